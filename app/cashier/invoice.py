"""Money in over Lightning: a mint's invoice, watched until it is paid or nobody can pay it."""

from __future__ import annotations

import logging
import time
from collections import OrderedDict, deque
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from app.cashier.errors import (
    InvoiceUnknownError,
    MintDownError,
    NoLightningError,
    TooManyInvoicesError,
)
from app.cashier.turns import PAUSE_S, STEPS_MAX, Turns
from app.gateways.errors import (
    GatewayError,
    MintAnswerError,
    MintRefusedError,
    OutcomeUnknownError,
    UnreachableError,
)
from app.gateways.mint import crypto
from app.gateways.mint.keysets import split
from app.gateways.mint.mints import UntrustedMintError
from app.gateways.mint.wallet import REPLAN, Code
from app.gateways.mint.wire import QuoteState
from domain.errors import LedgerError, MovementEndedError
from domain.event import Entry
from domain.guards import INVOICE
from domain.invoice import Bill, InvoiceCredited, InvoiceLapsed, InvoiceOpened, InvoicePlanned

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from uuid import UUID

    from app.gateways.mint.mints import Mints
    from app.gateways.mint.wallet import Wallet
    from app.gateways.mint.wire import MintQuote
    from domain.deposit import Signed
    from domain.guards import MovementRow
    from domain.ledger import Ledger

logger = logging.getLogger(__name__)

UNIT = "sat"
CREATE, TOPUP = "create", "topup"
NUT_LOCKED_QUOTES = 20
LATE_FOR = timedelta(hours=24)
"""How long after its expiry a mint is still asked about an invoice that nobody has paid."""

VALID_FOR = timedelta(hours=1)
"""How long an invoice is taken to be payable whose mint does not say it (BOLT11's default)."""

VALID_MAX = timedelta(days=30)
REQUEST_CHARS_MAX = 2_000
ASK_EVERY_S = 2.0
"""How often one process asks the mint about one invoice, however often clients ask us."""

BACKOFF_S = (10.0, 30.0, 120.0, 600.0)
WATCHED_MAX = 100
"""Invoices that are asked about in one round of the back office, those that wait longest."""

OPENED_MAX, OPENED_PER_S = 60, 60.0
KNOWN_MAX = 10_000


class Status(StrEnum):
    """How far an invoice is, in the words of RIP-08."""

    PENDING = "pending"
    SETTLING = "settlement_pending"
    PAID = "paid"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of an invoice just now; `paid_at` is when it was credited."""

    invoice_id: UUID
    bill: Bill
    status: Status
    created_at: datetime
    paid_at: datetime | None


class Books(Protocol):
    """What is read of the store."""

    def history(self, stream: UUID) -> list[Entry]: ...

    def open_movements(self) -> list[tuple[UUID, MovementRow]]: ...


class Invoices:
    """Opens invoices, and credits each that is paid, once, whoever finds out first.

    `lock_key` yields the private key that an invoice's quote is locked to (NUT-20).
    """

    def __init__(
        self,
        ledger: Ledger,
        mints: Mints,
        books: Books,
        lock_key: Callable[[UUID], bytes],
        pause: Callable[[float], None] = time.sleep,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ledger = ledger
        self._mints = mints
        self._books = books
        self._lock_key = lock_key
        self._pause = pause
        self._now = now
        self._clock = clock
        self._turns = Turns()
        self._able: set[str] = set()
        self._opened_s: deque[float] = deque(maxlen=OPENED_MAX)
        self._asked_s: OrderedDict[UUID, float] = OrderedDict()
        self._rounds: dict[UUID, tuple[int, float]] = {}

    def open(self, invoice_id: UUID, account_id: UUID, amount_sat: int, purpose: str) -> Bill:
        """Return an invoice over `amount_sat` for an account, durable before anybody sees it.

        Raises `TooManyInvoicesError`, `MintDownError`, `NoLightningError`.
        """
        self._count_one()
        pubkey = crypto.public_key(self._lock_key(invoice_id))
        wallet, quote = self._quote(amount_sat, pubkey)
        bill = Bill(
            account_id=account_id,
            mint=wallet.url,
            unit=UNIT,
            amount=amount_sat,
            quote=quote.quote,
            request=quote.request,
            purpose=purpose,
            expires_at=self._expiry(quote.expiry),
        )
        self._ledger.open_invoice(invoice_id, bill)
        return bill

    def standing(self, invoice_id: UUID) -> Standing:
        """Return how far an invoice is, after asking its mint unless that was just done.

        Raises `InvoiceUnknownError`.
        """
        history = self._books.history(invoice_id)
        if not history or not isinstance(history[0].event, InvoiceOpened):
            raise InvoiceUnknownError
        if not _has_ended(history[-1]) and self._may_ask(invoice_id):
            try:
                self.resume(history[-1])
            except (GatewayError, LedgerError, UntrustedMintError) as error:
                logger.info("invoice %s: %s", invoice_id, type(error).__name__)
            history = self._books.history(invoice_id)
        return self._told(history)

    def resume(self, entry: Entry) -> Entry:
        """Go as far as it goes from an invoice's newest entry; return the newest then.

        Raises what the gateways raise: then, and after a crash anywhere, nothing is lost,
        and the same is done again.
        """
        with self._turns.at(entry.stream):
            for _ in range(STEPS_MAX):
                try:
                    following = self._step(entry)
                except MovementEndedError:
                    # Another process has gone on from here meanwhile.
                    following = self._books.history(entry.stream)[-1]
                if following == entry:
                    break
                entry = following
        return entry

    def watch(self) -> int:
        """Ask the mints about the open invoices whose turn it is; return how many ended."""
        found = [
            (stream, row) for stream, row in self._books.open_movements() if row.kind == INVOICE
        ]
        now_s = self._clock()
        self._rounds = {
            stream: self._rounds.get(stream) or (0, now_s + self._first_wait_s(row))
            for stream, row in found
        }
        due = sorted((at_s, stream) for stream, (_, at_s) in self._rounds.items())
        mints = {stream: row.mint for stream, row in found}
        away: set[str] = set()
        return sum(
            self._watched(stream, mints[stream], away)
            for at_s, stream in due[:WATCHED_MAX]
            if at_s <= now_s and mints[stream] not in away
        )

    def _watched(self, stream: UUID, mint: str, away: set[str]) -> bool:
        count, _ = self._rounds[stream]
        wait_s = BACKOFF_S[min(count + 1, len(BACKOFF_S) - 1)]
        self._rounds[stream] = count + 1, self._clock() + wait_s
        try:
            return _has_ended(self.resume(self._books.history(stream)[-1]))
        except (GatewayError, LedgerError, UntrustedMintError) as error:
            # One invoice that cannot go on must not stand in the way of the others, nor a
            # mint that does not answer in the way of another.
            logger.info("invoice %s: %s", stream, type(error).__name__)
            if isinstance(error, UnreachableError | OutcomeUnknownError):
                away.add(mint)
            return False

    def _first_wait_s(self, row: MovementRow) -> float:
        age_s = (self._now() - row.at).total_seconds()
        return min(max(0.0, BACKOFF_S[0] - age_s), BACKOFF_S[0])

    def _step(self, entry: Entry) -> Entry:
        event = entry.event
        if isinstance(event, InvoiceOpened):
            return self._looked_after(entry, event.bill)
        if isinstance(event, InvoicePlanned):
            return self._minted(entry, event)
        return entry

    def _looked_after(self, entry: Entry, bill: Bill) -> Entry:
        """Go on with an invoice that nobody is known to have paid."""
        wallet = self._mints.get(bill.mint)
        if wallet.client.mint_quote_state(bill.quote).state is not QuoteState.UNPAID:
            keyset_id = wallet.keysets.active(bill.unit).id
            return self._ledger.plan_invoice(entry, bill, keyset_id, split(bill.amount))
        if self._now() < bill.expires_at + LATE_FOR:
            return entry
        lapsed = self._ledger.lapse_invoice(entry, bill)
        return Entry(entry.stream, entry.version + 1, lapsed)

    def _minted(self, entry: Entry, event: InvoicePlanned) -> Entry:
        """Mint what is planned, whether or not that was tried before, and credit it."""
        bill, wallet = event.bill, self._mints.get(event.bill.mint)
        key = self._lock_key(entry.stream)
        try:
            signed = wallet.mint(bill.quote, event.plan, key)
        except MintRefusedError as error:
            if error.code in REPLAN:
                self._pause(PAUSE_S)
                keyset_id = wallet.other_keyset(bill.unit)
                return self._ledger.plan_invoice(entry, bill, keyset_id, event.plan.amounts)
            if error.code != Code.QUOTE_ISSUED:
                raise
            signed = self._minted_before(entry, wallet)
            if not signed:
                # Only we can mint it: an older log than the mint's was restored.
                logger.exception("invoice %s was minted at unknown counters", entry.stream)
                raise
        credited = self._ledger.credit_invoice(entry, bill, signed)
        return Entry(entry.stream, entry.version + 1, credited)

    def _minted_before(self, newest: Entry, wallet: Wallet) -> tuple[Signed, ...]:
        """Return what the mint signed for an earlier plan of the same invoice, if it did.

        A plan can have been given up while a copy of its request was still on its way.
        """
        for entry in self._books.history(newest.stream)[: newest.version - 1]:
            if isinstance(entry.event, InvoicePlanned):
                signed = wallet.restored(entry.event.plan)
                if tuple(proof.amount for proof in signed) == entry.event.plan.amounts:
                    return signed
        return ()

    def _quote(self, amount_sat: int, pubkey: str) -> tuple[Wallet, MintQuote]:
        """Return the first wallet whose mint makes the invoice, and what it made."""
        failure: GatewayError | None = None
        for wallet in self._locking():
            try:
                quote = wallet.client.mint_quote(amount_sat, UNIT, pubkey)
                if quote.amount not in {None, amount_sat}:
                    raise MintAnswerError("the mint's invoice is over another amount")
                if len(quote.request) > REQUEST_CHARS_MAX:
                    raise MintAnswerError("the mint's invoice is too long")
            except GatewayError as error:
                failure = error
            else:
                return wallet, quote
        if failure is None or isinstance(failure, MintRefusedError):
            raise NoLightningError from failure
        raise MintDownError from failure

    def _locking(self) -> Iterator[Wallet]:
        """Yield the wallets whose mints lock quotes to a key (NUT-20).

        Whoever knows the name of any other quote could mint what the client has paid.
        """
        failure: GatewayError | None = None
        found = False
        for wallet in self._mints:
            try:
                able = wallet.url in self._able or wallet.client.info().supports(
                    NUT_LOCKED_QUOTES
                )
            except GatewayError as error:
                failure = error
                continue
            if able:
                found = True
                self._able.add(wallet.url)
                yield wallet
        if failure is not None and not found:
            raise MintDownError from failure

    def _count_one(self) -> None:
        """Raise `TooManyInvoicesError` when more are asked for than a mint would bear."""
        now_s = self._clock()
        full = len(self._opened_s) == OPENED_MAX
        if full and now_s - self._opened_s[0] < OPENED_PER_S:
            raise TooManyInvoicesError
        self._opened_s.append(now_s)

    def _may_ask(self, invoice_id: UUID) -> bool:
        now_s, asked_s = self._clock(), self._asked_s.get(invoice_id)
        if asked_s is not None and now_s - asked_s < ASK_EVERY_S:
            return False
        self._asked_s[invoice_id] = now_s
        self._asked_s.move_to_end(invoice_id)
        if len(self._asked_s) > KNOWN_MAX:
            self._asked_s.popitem(last=False)
        return True

    def _expiry(self, expiry_s: int | None) -> datetime:
        """Return when the mint says that the invoice expires, within bounds."""
        now = self._now().replace(microsecond=0)
        if not expiry_s:
            return now + VALID_FOR
        left_s = expiry_s - int(now.timestamp())
        return now + timedelta(seconds=max(0, min(left_s, int(VALID_MAX.total_seconds()))))

    def _told(self, history: list[Entry]) -> Standing:
        opened, newest = history[0], history[-1].event
        if not isinstance(opened.event, InvoiceOpened):
            raise TypeError(opened)
        bill, paid_at, status = opened.event.bill, None, Status.PENDING
        if isinstance(newest, InvoiceCredited):
            status, paid_at = Status.PAID, newest.at
        elif isinstance(newest, InvoicePlanned):
            status = Status.SETTLING
        elif isinstance(newest, InvoiceLapsed) or self._now() >= bill.expires_at:
            status = Status.EXPIRED
        return Standing(opened.stream, bill, status, opened.event.at, paid_at)


def _has_ended(entry: Entry) -> bool:
    return isinstance(entry.event, InvoiceCredited | InvoiceLapsed)
