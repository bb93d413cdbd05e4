"""The clients of a simulation: each uses every door at once, and remembers what it was told."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from app.cashier.bill import Call
from app.cashier.errors import (
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
from app.cashier.keys import Spender, Wanted
from app.cashier.payout import Status
from app.cashier.stream import MeteredStream
from domain.allowance import RESETS
from domain.errors import (
    InsufficientFundsError,
    NothingToRefundError,
    PurseShortError,
    UnknownAccountError,
)
from domain.hold import Charged
from domain.identity import account_of_key
from domain.key import Changes
from domain.msat import Msat
from tests.simulation.caller import (
    ALL_BACK,
    TRIES_MAX,
    Caller,
    LostError,
    PoorHouseError,
    owns_msat,
)
from tests.simulation.network import ADDRESS
from tests.simulation.stage import ViolationError
from tests.simulation.upstream import COST_MSAT, MODEL

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from app.cashier.answer import Served
    from app.cashier.payout import Payout
    from tests.simulation.house import SimHouse, World
    from tests.simulation.street import Street

PURSE_SAT = (64, 65, 128, 17)
TICKETS_SAT = (33, 20, 65)
FOREIGN_SAT = 70
INVOICED_SAT, PAID_MSAT = 32, 9_000
GIFT = Msat(20_000)
CALM_S_MAX, SLOW = 2.0, 0.3
LIMITS_MSAT, EXPIRES_S = (None, 6_000, 12_000), (5.0, 200.0)
KEPT = (TokenRefusedError, TokenSpentError, FeesExceedTokenError, ForeignSwapError)
UNPAID = (
    InsufficientFundsError,
    NoLightningError,
    NothingToRefundError,
    PayoutFeeError,
    UnknownAccountError,
)


@dataclass
class Diary:
    """What a client has sent, and what it was told."""

    presented: list[str] = field(default_factory=list)
    credited: set[str] = field(default_factory=set)
    tickets: list[str] = field(default_factory=list)
    asked: set[UUID] = field(default_factory=set)
    served: set[UUID] = field(default_factory=set)
    payments: dict[UUID, bool | None] = field(default_factory=dict)
    invoices: dict[UUID, bool] = field(default_factory=dict)
    children: dict[UUID, bool] = field(default_factory=dict)
    expires: bool = False


class Client(Caller):
    """One account and its two devices; both do what they like at the same time."""

    def __init__(self, world: World, street: Street, number: int) -> None:
        super().__init__(world, street, f"client-{number}")
        self.account_id = account_of_key(f"sk-{number}")
        self.diary = Diary()
        self.devices = self.stage.chance.choice((1, 2))
        self.is_here = True
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
            *[self._make_child, self._reset_child, self._bind, self._donate],
        ]
        while self.stage.is_wild:
            self._tried(self._acts.pop() if self._acts else self.stage.chance.choice(acts))
            self._rest(self.stage.chance.uniform(0.0, CALM_S_MAX))
        self.devices -= 1
        if not self.devices:
            self._leave()
            self.is_here = False

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
        children = [salt for salt, is_made in self.diary.children.items() if is_made]
        child = self.stage.chance.choice([None, *children])

        def ask(house: SimHouse) -> None:
            key_id = _child_of(child) if child else self._own_key(house)
            call = _chat(self.account_id, request_id, stream=stream, key_id=key_id)
            self._read(house.charges.serve(call), call, leaves=leaves)

        self._call(ask)

    def _own_key(self, house: SimHouse) -> UUID | None:
        """Return what binds the client's own key, as a worker looks it up."""
        return self.account_id if house.keys.row(self.account_id) else None

    def _make_child(self) -> None:
        salt = self.stage.new_id()
        self.diary.children[salt] = False
        self._made(salt)

    def _made(self, salt: UUID) -> None:
        """Ask for a child; asked again under the same name, it is not paid again."""
        # Chosen by the child, so that whoever asks again asks for the same.
        number = salt.int
        limit_msat, reset = LIMITS_MSAT[number % len(LIMITS_MSAT)], RESETS[number % len(RESETS)]
        changes = Changes(limit_msat=limit_msat, reset=reset)

        def make(house: SimHouse) -> int:
            spender = Spender(self.account_id, self._own_key(house))
            return house.keys.make(spender, _child_of, [salt], changes, str(salt))

        self._call(make)
        self.stage.told.count("children made")
        self.diary.children[salt] = True

    def _reset_child(self) -> None:
        if self.diary.children:
            child = _child_of(self.stage.chance.choice(list(self.diary.children)))
            self._call(lambda house: house.keys.reset(Spender(self.account_id), child))
            self.stage.told.count("children reset")

    def _bind(self) -> None:
        """Let the key expire soon, and what is left be paid to Bob, or wait as a token."""
        after = timedelta(seconds=self.stage.chance.uniform(*EXPIRES_S))
        changes = Changes(expires_at=self.stage.now() + after)
        wanted = Wanted(changes, self.stage.chance.choice((None, ADDRESS)))
        self.diary.expires = True
        self._call(lambda house: house.keys.bind(Spender(self.account_id), wanted))
        self.stage.told.count("keys bound")

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

    def _donate(self) -> None:
        """Give the house something, of which the owner may take."""
        name = self.stage.new_id()
        self._call(lambda house: house.ledger.donate(name, self.account_id, GIFT))
        self.stage.told.count("donated")

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

    def _leave(self) -> None:
        """Ask for everything until it is certain, as every honest client does."""
        for token in self.diary.presented:
            self._insist(partial(self._deposit, token), KEPT)
        for name in self.diary.payments:
            self._insist(partial(self._settled, name), UNPAID)
        for name, is_paid in self.diary.invoices.items():
            if is_paid:
                self._insist(partial(self._credited, name), ())
        for salt, is_made in self.diary.children.items():
            if is_made:
                self._insist(partial(self._made, salt), ())
        for ticket in self.diary.tickets:
            self._insist(partial(self._change, ticket), (NoChangeError, ChangeCollectedError))
        # What dead workers held comes back later, and of an expired key as a token.
        self._insist(self._released, ())
        for _ in range(TRIES_MAX):
            if not self._insist(self._all_back, ALL_BACK):
                return
        raise ViolationError("the house went on giving refunds")

    def _released(self) -> None:
        account = self._call(lambda house: house.store.account(self.account_id))
        if account is not None and account.held_msat:
            raise LostError

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


def _child_of(salt: UUID) -> UUID:
    return account_of_key(f"sk-child-{salt}")


def _chat(
    account_id: UUID, request_id: UUID, *, stream: bool, key_id: UUID | None = None
) -> Call:
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
        key_id=key_id,
    )
