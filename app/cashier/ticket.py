"""A ticket: a token that pays for one request and no other, and what of it is given back."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, Protocol

from app.cashier.errors import (
    ChangeCollectedError,
    DepositPendingError,
    MintDownError,
    NoChangeError,
    RefundPendingError,
    TokenRefusedError,
    TokenSpentError,
    TokenTooSmallError,
)
from app.cashier.plan import tries_of
from app.cashier.sizing import UNIT
from app.cashier.ways import Deposited
from app.gateways.errors import OutcomeUnknownError, RefusedError
from app.gateways.mint.mints import UntrustedMintError
from app.gateways.mint.paymentrequest import Lock, PaymentRequest
from app.gateways.mint.tokens import Token, token_id
from domain.deposit import OfToken, Refused, owner_of
from domain.errors import (
    InsufficientFundsError,
    NothingToRefundError,
    RequestInProgressError,
    RequestRepeatedError,
)
from domain.identity import (
    account_of_token,
    change_of_request,
    deposit_of_token,
    hold_of_request,
)
from domain.msat import MSAT_PER_SAT, Msat
from domain.reclaim import Swept
from domain.refund import Cancelled, Collected, Issued

if TYPE_CHECKING:
    from collections.abc import Mapping
    from uuid import UUID

    from app.cashier.answer import Served
    from app.cashier.bill import Call
    from app.cashier.charge import Charges
    from app.cashier.deposit import Deposits
    from app.cashier.quote import Quotes
    from app.cashier.refund import Refund, Refunds
    from app.cashier.sizing import TokenSizes
    from domain.event import Entry
    from domain.guards import AccountRow

THE_REQUEST = "x-cashu"
"""What every ticket's request is called, so that a token buys one for ever."""

CHANGES_MAX = 100
ENDS = (Issued, Cancelled, Collected, Swept)
"""What a refund comes to; a token that was issued is still to be asked about."""


class Books(Protocol):
    """What a ticket reads of the store."""

    def account(self, account_id: UUID) -> AccountRow | None: ...

    def history(self, stream: UUID) -> list[Entry]: ...


class Standing(Enum):
    """Whose a token is just now."""

    ITS_OWNERS = auto()
    """Nothing was done to it: whoever sent it still has it."""
    IN_BETWEEN = auto()
    """Its mint has given no final answer."""
    OURS = auto()
    """It was redeemed here; what it did not buy is given back as change."""
    NOBODYS = auto()
    """It was spent elsewhere, or deposited to another account."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """A token as payment for one request: its account, its deposit and its request's hold."""

    token: Token = field(repr=False)
    account_id: UUID
    deposit_id: UUID
    request_id: UUID


class Tickets:
    """Sells single requests for tokens, and gives back what the tokens are too much.

    A token is redeemed when it certainly covers the request, as deposits are; the request
    is held and charged, as all are; its change is a refund. So whatever stops a process
    between any two of these, the log says what is still to be done, and asking again for
    the change does it.
    """

    def __init__(
        self,
        deposits: Deposits,
        charges: Charges,
        refunds: Refunds,
        quotes: Quotes,
        sizes: TokenSizes,
        books: Books,
        lock: Lock | None = None,
    ) -> None:
        self._deposits = deposits
        self._charges = charges
        self._refunds = refunds
        self._quotes = quotes
        self._sizes = sizes
        self._books = books
        self._lock = lock

    def read(self, text: str) -> Ticket:
        """Return the ticket that the token `text` is, or raise `TokenRefusedError`."""
        token = self._deposits.read(text)
        name = token_id(token.proofs)
        account_id = account_of_token(name)
        return Ticket(
            token=token,
            account_id=account_id,
            deposit_id=deposit_of_token(name),
            request_id=hold_of_request(account_id, THE_REQUEST),
        )

    def account_of(self, text: str) -> UUID:
        """Return the account that the token `text` has paid from, or `TokenRefusedError`."""
        return self.read(text).account_id

    def payment_request(
        self, path: str, model: str, document: Mapping[str, Any], prompt_bytes: int
    ) -> PaymentRequest:
        """Return what a stranger must send for a request (NUT-24); no money is moved.

        Raises `PricingError`, `NoRateError`.
        """
        tries = tries_of(self._quotes, path, model, document, prompt_bytes)
        ceiling = max(each.ceiling for each in tries)
        return PaymentRequest(
            amount=self._sizes.token_sat(ceiling),
            unit=UNIT,
            mints=self._sizes.mints,
            lock=self._lock,
        )

    def serve(self, ticket: Ticket, call: Call) -> Served:
        """Serve `call` for the ticket; its change is the next thing to ask for.

        Raises `RequestInProgressError` and `RequestRepeatedError` for a ticket that was
        used, `TokenTooSmallError` and what `Deposits.worth` raises for one that was not
        redeemed, and what `Deposits.deposit` and `Charges.serve` raise.
        """
        self._expect_unused(ticket)
        self._expect_enough(ticket, call)
        self._deposits.deposit(ticket.token, ticket.account_id)
        try:
            return self._charges.serve(call)
        except InsufficientFundsError:
            # The same token was sent twice at once, and the other request was quicker.
            self._expect_unused(ticket)
            raise

    def standing(self, ticket: Ticket) -> Standing:
        """Tell whose the token is, by what the log says of it."""
        history = self._books.history(ticket.deposit_id)
        event = history[-1].event if history else None
        if event is None or (isinstance(event, OfToken) and event.may_begin_again):
            return Standing.ITS_OWNERS
        if isinstance(event, Refused) or owner_of(event) != ticket.account_id:
            return Standing.NOBODYS
        return Standing.OURS if isinstance(event, Deposited) else Standing.IN_BETWEEN

    def change(self, ticket: Ticket) -> Refund:
        """Return what the ticket's token was too much, as a token of its mint and unit.

        Before the request it is all of it, after it what was not charged; while it runs
        there is none. The mint's fee for making change is taken off. The same token is
        returned until its owner has collected it; then the next one, should there be more.
        Raises `NoChangeError`, `ChangeCollectedError`, `PurseShortError`,
        `RefundPendingError`.
        """
        if self._is_running(ticket):
            raise RefundPendingError
        credited = self._credited(ticket)
        change_id = change_of_request(ticket.request_id)
        was_collected = False
        for _ in range(CHANGES_MAX):
            history = self._books.history(change_id)
            newest = history[-1] if history else None
            if not self._is_over(newest):
                return self._made(change_id, credited, was_collected=was_collected)
            is_back = newest is not None and isinstance(newest.event, Cancelled | Swept)
            was_collected |= not is_back
            change_id = change_of_request(change_id)
        raise RefundPendingError

    def _made(self, change_id: UUID, credited: Deposited, *, was_collected: bool) -> Refund:
        try:
            return self._refunds.change(change_id, credited)
        except NothingToRefundError as error:
            if was_collected:
                raise ChangeCollectedError from error
            raise NoChangeError from error

    def _is_over(self, entry: Entry | None) -> bool:
        """Tell whether a refund has come to its end, so that the next one is looked at."""
        if entry is None or not isinstance(entry.event, ENDS):
            return False
        if not isinstance(entry.event, Issued):
            return True
        try:
            return self._refunds.collected(entry)
        except (OutcomeUnknownError, RefusedError, UntrustedMintError) as error:
            raise RefundPendingError from error

    def _credited(self, ticket: Ticket) -> Deposited:
        """Return the token's deposit, which is finished if it was begun.

        Raises `NoChangeError` for a token that is not ours, `RefundPendingError`.
        """
        if self.standing(ticket) in {Standing.ITS_OWNERS, Standing.NOBODYS}:
            raise NoChangeError
        try:
            return self._deposits.deposit(ticket.token, ticket.account_id)
        except (DepositPendingError, MintDownError) as error:
            raise RefundPendingError from error
        except (TokenRefusedError, TokenSpentError) as error:
            raise NoChangeError from error

    def _expect_unused(self, ticket: Ticket) -> None:
        history = self._books.history(ticket.request_id)
        if len(history) == 1:
            raise RequestInProgressError(ticket.request_id)
        if history:
            raise RequestRepeatedError(ticket.request_id, history[-1].event)

    def _is_running(self, ticket: Ticket) -> bool:
        return len(self._books.history(ticket.request_id)) == 1

    def _expect_enough(self, ticket: Ticket, call: Call) -> None:
        """Raise `TokenTooSmallError`, before its mint is shown the token if it never was."""
        tries = tries_of(self._quotes, call.path, call.model, call.document, call.prompt_bytes)
        ceiling = min(each.ceiling for each in tries)
        account = self._books.account(ticket.account_id)
        if account is None:
            worth = self._deposits.worth(ticket.token)
        else:
            worth = Msat(account.available_msat)
        if worth < ceiling:
            required_sat = self._sizes.token_sat(ceiling)
            raise TokenTooSmallError(
                required_msat=required_sat * MSAT_PER_SAT, model=call.model
            )
