"""The clients of a simulation: each uses every door at once, and remembers what it was told."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from app.cashier.bill import Call
from app.cashier.errors import (
    CashierError,
    ChangeCollectedError,
    FeesExceedTokenError,
    ForeignSwapError,
    NoChangeError,
    NoLightningError,
    PayoutFeeError,
    TokenRefusedError,
    TokenSpentError,
)
from app.cashier.invoice import TOPUP
from app.cashier.invoice import Status as InvoiceStatus
from app.cashier.payout import Status
from app.cashier.stream import MeteredStream
from app.gateways.errors import GatewayError
from app.gateways.mint.errors import TokenError
from app.store.errors import StoreError
from domain.errors import (
    InsufficientFundsError,
    LedgerBrokenError,
    LedgerError,
    NothingToRefundError,
    PurseShortError,
    UnknownAccountError,
)
from domain.hold import Charged
from domain.identity import account_of_key
from projections.books import Books
from tests.integration.soundness import OF_THE_HOUSE
from tests.simulation.mint import read_token
from tests.simulation.network import ADDRESS
from tests.simulation.stage import Died, Process, ViolationError
from tests.simulation.upstream import COST_MSAT, MODEL

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from app.cashier.answer import Served
    from app.cashier.payout import Payout
    from app.store.opening import Store
    from tests.simulation.house import SimHouse, World
    from tests.simulation.street import Street

PURSE_SAT = (64, 65, 128, 17)
TICKETS_SAT = (33, 20, 65)
FOREIGN_SAT = 70
INVOICED_SAT, PAID_MSAT = 32, 9_000
CALM_S_MAX, SLOW = 2.0, 0.3
TRIES_MAX = 400
KEPT = (TokenRefusedError, TokenSpentError, FeesExceedTokenError, ForeignSwapError)
UNPAID = (
    InsufficientFundsError,
    NoLightningError,
    NothingToRefundError,
    PayoutFeeError,
    UnknownAccountError,
)
EXPECTED = (CashierError, GatewayError, LedgerError, StoreError, TokenError)

T = TypeVar("T")


class LostError(Exception):
    """No answer came; what was asked may have been done."""


class PoorHouseError(Exception):
    """The house has paid mints more in fees than it has earned: it owes until it earns."""


ALL_BACK = (NothingToRefundError, UnknownAccountError, PoorHouseError)


def owns_msat(store: Store) -> int:
    """Return what is the house's own, by its books; below 0 if its fees were more."""
    books = Books()
    for page in store.log():
        for _, entry in page:
            books.post(entry.event)
    return sum(books.balances_msat[name] for name in OF_THE_HOUSE)


@dataclass
class Diary:
    """What a client has sent, and what it was told."""

    presented: list[str] = field(default_factory=list)
    credited: set[str] = field(default_factory=set)
    tickets: list[str] = field(default_factory=list)
    asked: set[UUID] = field(default_factory=set)
    served: set[UUID] = field(default_factory=set)
    collected: set[str] = field(default_factory=set)
    payments: dict[UUID, bool | None] = field(default_factory=dict)
    invoices: dict[UUID, bool] = field(default_factory=dict)


class Client:
    """One account and its two devices; both do what they like at the same time."""

    def __init__(self, world: World, street: Street, number: int) -> None:
        self.world = world
        self.stage = world.stage
        self.account_id = account_of_key(f"sk-{number}")
        self.process = Process(f"client-{number}")
        self.diary = Diary()
        self.devices = self.stage.chance.choice((1, 2))
        self.is_here = True
        self._street = street
        lock = street.pubkey
        self._purse = [
            *(world.ours.fund(sat) for sat in PURSE_SAT),
            world.ours.fund(32, lock),
            world.theirs.fund(FOREIGN_SAT),
        ]
        self.stage.chance.shuffle(self._purse)
        self._tickets = [world.ours.fund(sat) for sat in TICKETS_SAT]
        # Most begin as customers do: with money.
        self._acts = [self._topup] if self.stage.chance.random() < 0.8 else []

    @property
    def kept(self) -> list[str]:
        """The tokens that were never shown to anybody."""
        return [*self._purse, *self._tickets]

    def live(self) -> None:
        """Do one thing after the other while the world is wild, then take all home."""
        acts: list[Callable[[], None]] = [
            *[self._topup] * 3,
            *[partial(self._ask, stream=False), partial(self._ask, stream=True)] * 2,
            partial(self._ask, stream=True, leaves=True),
            *[self._by_ticket, self._refund, self._pay, self._invoice, self._again],
        ]
        while self.stage.is_wild:
            self._tried(self._acts.pop() if self._acts else self.stage.chance.choice(acts))
            self._rest(self.stage.chance.uniform(0.0, CALM_S_MAX))
        self.devices -= 1
        if not self.devices:
            self._leave()
            self.is_here = False

    def _tried(self, act: Callable[[], None]) -> None:
        try:
            act()
        except (LostError, *EXPECTED) as error:
            self.stage.told.count(f"told {type(error).__name__}")

    def _topup(self) -> None:
        if self._purse:
            self.diary.presented.append(self._purse.pop())
            self._deposit(self.diary.presented[-1])

    def _again(self) -> None:
        if self.diary.presented:
            self._deposit(self.stage.chance.choice(self.diary.presented))

    def _deposit(self, token: str) -> None:
        self._call(
            lambda house: house.deposits.deposit(house.deposits.read(token), self.account_id)
        )
        self.stage.told.count("deposits told")
        self.diary.credited.add(token)
        self._street.watch.expect_credited(token, self.account_id)

    def _ask(self, *, stream: bool, leaves: bool = False) -> None:
        request_id = self.stage.new_id()
        self.diary.asked.add(request_id)
        call = _chat(self.account_id, request_id, stream=stream)
        self._call(lambda house: self._read(house.charges.serve(call), call, leaves=leaves))

    def _by_ticket(self) -> None:
        if not self._tickets:
            return
        text = self._tickets.pop()
        self.diary.tickets.append(text)

        def buy(house: SimHouse) -> None:
            ticket = house.tickets.read(text)
            self.diary.asked.add(ticket.request_id)
            call = _chat(ticket.account_id, ticket.request_id, stream=False)
            self._read(house.tickets.serve(ticket, call), call, leaves=False)

        self._call(buy)

    def _read(self, served: Served, call: Call, *, leaves: bool) -> None:
        """Read an answer; whoever has read it all has paid for it, just what it costs."""
        body = served.body
        if not isinstance(body, MeteredStream):
            is_whole = served.status == 200 and b"choices" in body
        else:
            pieces = []
            try:
                for piece in body:
                    pieces.append(piece)
                    if self.stage.happens(SLOW):
                        self._rest(self.stage.chance.uniform(0.0, CALM_S_MAX))
                    if leaves and self.stage.chance.random() < 0.4:
                        break
            finally:
                body.close()
            is_whole = not body.is_broken and pieces[-1:] != [] and b"[DONE]" in pieces[-1]
        if is_whole:
            self.stage.told.count("served")
            self.diary.served.add(call.request_id)
            end = self._street.watch.newest(call.request_id)
            if not isinstance(end, Charged) or end.cost_msat != COST_MSAT:
                raise ViolationError(f"an answer was read that was not paid for: {end}")

    def _refund(self) -> None:
        refund = self._call(lambda house: house.refunds.refund(self.account_id))
        if self.stage.chance.random() < 0.5:
            self._collect(refund.token)

    def _pay(self) -> None:
        name = self.stage.new_id()
        self.diary.payments[name] = None
        self._paid(name)

    def _paid(self, name: UUID) -> None:
        def pay(house: SimHouse) -> Payout:
            return house.payouts.refund_to(
                name, self.account_id, ADDRESS, PAID_MSAT, named=True
            )

        payout = self._call(pay)
        if payout.payout_id == name and payout.status is not Status.PENDING:
            self.stage.told.count(f"payout {payout.status}")
            self.diary.payments[name] = payout.status is Status.PAID

    def _invoice(self) -> None:
        name = self.stage.new_id()
        bill = self._call(
            lambda house: house.invoices.open(name, self.account_id, INVOICED_SAT, TOPUP)
        )
        self.diary.invoices[name] = False
        if self.stage.chance.random() < 0.7:
            self.world.ours.take_payment(bill.request)
            self.diary.invoices[name] = True
            self._call(lambda house: house.invoices.standing(name))

    def _collect(self, token: str) -> None:
        if token in self.diary.collected:
            return
        self.diary.collected.add(token)
        self.stage.told.count("tokens collected")
        if not self.world.ours.redeem(read_token(token)):
            raise ViolationError("a token was given to a client that somebody has spent")

    def _leave(self) -> None:
        """Ask for everything until it is certain, as every honest client does."""
        for token in self.diary.presented:
            self._insist(partial(self._deposit, token), KEPT)
        for name in self.diary.payments:
            self._insist(partial(self._settled, name), UNPAID)
        for name, is_paid in self.diary.invoices.items():
            if is_paid:
                self._insist(partial(self._credited, name), ())
        for ticket in self.diary.tickets:
            self._insist(partial(self._change, ticket), (NoChangeError, ChangeCollectedError))
        for _ in range(TRIES_MAX):
            if not self._insist(self._all_back, ALL_BACK):
                return
        raise ViolationError("the house went on giving refunds")

    def _settled(self, name: UUID) -> None:
        self._paid(name)
        if self.diary.payments[name] is None:
            raise LostError

    def _credited(self, name: UUID) -> None:
        standing = self._call(lambda house: house.invoices.standing(name))
        if standing.status is not InvoiceStatus.PAID:
            raise LostError

    def _change(self, ticket: str) -> None:
        change = self._call(lambda house: house.tickets.change(house.tickets.read(ticket)))
        self._collect(change.token)
        raise LostError  # there may be more of it

    def _all_back(self) -> None:
        try:
            refund = self._call(lambda house: house.refunds.refund(self.account_id))
        except PurseShortError as error:
            if self._call(lambda house: owns_msat(house.store)) < 0:
                raise PoorHouseError from error
            raise
        self._collect(refund.token)

    def _insist(self, act: Callable[[], None], ends: tuple[type[Exception], ...]) -> bool:
        """Do `act` until it goes well, or is told one of `ends`; tell which."""
        last: Exception | None = None
        for _ in range(TRIES_MAX):
            try:
                act()
            except ends:
                return False
            except (LostError, *EXPECTED) as error:
                last = error
                self._rest(20.0)
            else:
                return True
        raise ViolationError(f"{self.process.name} asked for ever, and was told {last!r}")

    def _call(self, ask: Callable[[SimHouse], T]) -> T:
        """Ask a worker; raises `LostError` when it died before it had answered."""
        house = self._street.worker()
        if house is None:
            raise LostError
        try:
            answer = ask(house)
        except Died:
            raise LostError from None
        except LedgerBrokenError as error:
            raise ViolationError(f"the ledger says it is broken: {error}") from error
        except EXPECTED:
            if house.process.is_alive:
                raise
            raise LostError from None
        if not house.process.is_alive:
            raise LostError
        return answer

    def _rest(self, seconds: float) -> None:
        self.stage.sleep(self.process, seconds, "rests")


def _chat(account_id: UUID, request_id: UUID, *, stream: bool) -> Call:
    document: dict[str, Any] = {
        "model": MODEL,
        "messages": [{"role": "user", "content": "is it so?"}],
        "max_tokens": 50,
        "stream": stream,
    }
    return Call(
        request_id=request_id,
        account_id=account_id,
        path="/chat/completions",
        model=MODEL,
        document=document,
        body=json.dumps(document).encode(),
        headers={"content-type": "application/json"},
        stream=stream,
    )
