"""Money out over Lightning: taken, melted at a mint, paid, or taken back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, NamedTuple
from uuid import UUID

import msgspec

from domain.command import AskTheLogError, Needs
from domain.deposit import Plan, Signed, ended, keep, newest
from domain.errors import (
    FeeTooHighError,
    InsufficientFundsError,
    LedgerBrokenError,
    NothingToRefundError,
    PurseShortError,
)
from domain.event import Entry, Event
from domain.guards import PAYOUT, GuardRows, MovementRow
from domain.identity import OWNER
from domain.msat import MSAT_PER_UNIT
from domain.purse import Purse, Spent, choose, free_proofs, set_aside, split
from domain.solvency import demand_surplus, payer


class Offer(NamedTuple):
    """What a mint asks for paying an invoice (NUT-05), in the unit of the purse."""

    quote: str
    amount: int
    fee_reserve: int


class Payment(msgspec.Struct, frozen=True, kw_only=True):
    """A payment of `amount` by a mint: `inputs` are melted for it, at most `taken_msat` spent.

    The account (or the owner) gives amount, `fee_reserve` and `input_fee`; what Lightning
    did not need of the reserve comes back to it. All that the inputs are worth beyond the
    amount and the fees is asked back in the `blanks`, outputs whose amounts the mint
    fills in (NUT-08). `destination` is whom it goes to, sealed.
    """

    account_id: UUID
    mint: str
    unit: str
    quote: str
    amount: int
    fee_reserve: int
    input_fee: int
    inputs: tuple[Spent, ...]
    blanks: Plan
    destination: bytes

    @property
    def taken(self) -> int:
        return self.amount + self.fee_reserve + self.input_fee

    @property
    def worth(self) -> int:
        return sum(spent.amount for spent in self.inputs)

    @property
    def spare(self) -> int:
        """What the inputs are worth beyond the amount and the mint's fee for them."""
        return self.worth - self.amount - self.input_fee

    @property
    def unit_msat(self) -> int:
        return MSAT_PER_UNIT[self.unit]

    @property
    def taken_msat(self) -> int:
        return self.taken * self.unit_msat


class PayoutStarted(Event, frozen=True, kw_only=True):
    """A payment is about to be asked of a mint; its money and its proofs are set aside.

    `who` of the operators wanted it; empty for a client's, and for what the clock begins.
    """

    TOPIC: ClassVar[str] = "payout.started"
    payment: Payment
    who: str = ""

    def apply(self, rows: GuardRows, stream: UUID, version: int) -> None:
        payment = self.payment
        rows.pay(payment.account_id, -payment.taken_msat)
        set_aside(rows, payment.inputs, stream)
        payment.blanks.use(rows, payment.mint, payment.unit)
        _open(rows, stream, version, self)


class PayoutPaid(Event, frozen=True, kw_only=True):
    """The mint has paid; `proofs` are what it gave back of the inputs.

    `lightning_fee` is what it kept beyond amount and input fee. As far as that is more
    than the reserve, it is the house's loss.
    """

    TOPIC: ClassVar[str] = "payout.paid"
    payment: Payment
    lightning_fee: int
    proofs: tuple[Signed, ...]

    @property
    def fees_msat(self) -> int:
        return (self.payment.input_fee + self.lightning_fee) * self.payment.unit_msat

    @property
    def returned_msat(self) -> int:
        unused = self.payment.fee_reserve - self.lightning_fee
        return max(unused, 0) * self.payment.unit_msat

    @property
    def excess_msat(self) -> int:
        beyond = self.lightning_fee - self.payment.fee_reserve
        return max(beyond, 0) * self.payment.unit_msat

    def apply(self, rows: GuardRows, stream: UUID, _version: int) -> None:
        rows.pay(self.payment.account_id, self.returned_msat)
        _exchange(rows, self.payment, self.proofs)
        rows.movements.drop(stream)


class PayoutAbandoned(Event, frozen=True, kw_only=True):
    """The mint says that it has not paid; the inputs are about to be swapped to ourselves.

    Only that swap makes sure: afterwards a payment that is still on its way anywhere
    finds its inputs spent. Asked again with other outputs when the mint refuses these.
    """

    TOPIC: ClassVar[str] = "payout.abandoned"
    payment: Payment
    plan: Plan
    reason: str

    @property
    def fee(self) -> int:
        """What the mint is to keep for that swap."""
        return self.payment.worth - sum(self.plan.amounts)

    def apply(self, rows: GuardRows, stream: UUID, version: int) -> None:
        self.plan.use(rows, self.payment.mint, self.payment.unit)
        _open(rows, stream, version, self)


class PayoutCancelled(Event, frozen=True, kw_only=True):
    """The inputs are ours again as `proofs`; what was taken comes back, less the mint's fee."""

    TOPIC: ClassVar[str] = "payout.cancelled"
    payment: Payment
    proofs: tuple[Signed, ...]
    reason: str

    @property
    def fee_msat(self) -> int:
        kept = self.payment.worth - sum(proof.amount for proof in self.proofs)
        return kept * self.payment.unit_msat

    @property
    def returned_msat(self) -> int:
        return self.payment.taken_msat - self.fee_msat

    def apply(self, rows: GuardRows, stream: UUID, _version: int) -> None:
        rows.pay(self.payment.account_id, self.returned_msat)
        _exchange(rows, self.payment, self.proofs)
        rows.movements.drop(stream)


def _open(
    rows: GuardRows, stream: UUID, version: int, event: PayoutStarted | PayoutAbandoned
) -> None:
    payment = event.payment
    row = MovementRow(PAYOUT, version, payment.account_id, payment.mint, event.at)
    rows.movements.put(stream, row)


def _exchange(rows: GuardRows, payment: Payment, proofs: tuple[Signed, ...]) -> None:
    for spent in payment.inputs:
        rows.proofs.drop(spent.key)
    keep(rows, payment.mint, payment.unit, proofs)


@dataclass(frozen=True, slots=True)
class StartPayout:
    """Take amount, reserve and fee of an `offer` from an account, or for the owner.

    Raises `UnknownAccountError`, `InsufficientFundsError`, `NothingToRefundError`,
    `PurseShortError`; for the owner `OwnerMayNotDrawError` and `UnexplainedError`. A
    repetition returns the newest event.
    """

    stream: UUID
    account_id: UUID
    purse: Purse
    offer: Offer
    destination: bytes
    who: str = ""

    def need(self, needs: Needs) -> None:
        needs.movements.add(self.stream)
        needs.keysets.add(self.purse.keyset_id)
        needs.purses.add((self.purse.mint, self.purse.unit))
        if self.account_id == OWNER:
            needs.totals = True
        else:
            needs.accounts.add(self.account_id)

    def decide(self, rows: GuardRows, at: datetime) -> Entry:
        if rows.movements.get(self.stream):
            raise AskTheLogError
        account = payer(rows, self.account_id, self.purse.mint)
        payment = self._payment(rows)
        demand_surplus(rows, self.account_id, self.purse.mint, payment.taken_msat)
        if payment.taken_msat > account.available_msat:
            raise InsufficientFundsError(
                required_msat=payment.taken_msat,
                available_msat=account.available_msat,
                held_msat=account.held_msat,
            )
        return Entry(self.stream, 1, PayoutStarted(at=at, payment=payment, who=self.who))

    def _payment(self, rows: GuardRows) -> Payment:
        purse, offer = self.purse, self.offer
        if offer.amount <= 0 or offer.fee_reserve < 0:
            raise NothingToRefundError(available_msat=0)
        inputs = cover(free_proofs(rows, purse), offer.amount + offer.fee_reserve, purse)
        fee = purse.fee(inputs)
        spare = sum(spent.amount for spent in inputs) - offer.amount - fee
        return Payment(
            account_id=self.account_id,
            mint=purse.mint,
            unit=purse.unit,
            quote=offer.quote,
            amount=offer.amount,
            fee_reserve=offer.fee_reserve,
            input_fee=fee,
            inputs=tuple(inputs),
            blanks=Plan.next(rows, purse.mint, purse.keyset_id, blanks(spare)),
            destination=self.destination,
        )

    def replay(self, history: Sequence[Entry]) -> Entry:
        return newest(self.stream, history)


@dataclass(frozen=True, slots=True)
class EndPayout:
    """Record that the mint has paid, and the change it signed on the blanks.

    Raises `LedgerBrokenError` when that is more than there was to give back.
    """

    stream: UUID
    version: int
    payment: Payment
    proofs: tuple[Signed, ...]

    def need(self, needs: Needs) -> None:
        _need_end(needs, self.stream, self.payment)

    def decide(self, rows: GuardRows, at: datetime) -> Entry:
        _expect(rows, self.stream, self.version)
        fee = self.payment.spare - sum(proof.amount for proof in self.proofs)
        if fee < 0:
            raise LedgerBrokenError("the mint gave more change than there was to give")
        paid = PayoutPaid(at=at, payment=self.payment, lightning_fee=fee, proofs=self.proofs)
        return Entry(self.stream, self.version + 1, paid)

    def replay(self, history: Sequence[Entry]) -> Entry:
        return ended(self.stream, history, PayoutPaid)


@dataclass(frozen=True, slots=True)
class AbandonPayout:
    """Record the outputs for which the inputs are about to be swapped to ourselves.

    `fee` is what the mint keeps for that, if it is not what the payment's start has
    counted on. Raises `FeeTooHighError` when that is more than was taken.
    """

    stream: UUID
    version: int
    payment: Payment
    keyset_id: str
    reason: str
    fee: int | None = None

    def need(self, needs: Needs) -> None:
        needs.movements.add(self.stream)
        needs.keysets.add(self.keyset_id)

    def decide(self, rows: GuardRows, at: datetime) -> Entry:
        _expect(rows, self.stream, self.version)
        payment = self.payment
        fee = payment.input_fee if self.fee is None else self.fee
        if fee > payment.taken:
            raise FeeTooHighError
        amounts = split(payment.worth - fee)
        abandoned = PayoutAbandoned(
            at=at,
            payment=payment,
            plan=Plan.next(rows, payment.mint, self.keyset_id, amounts),
            reason=self.reason[:200],
        )
        return Entry(self.stream, self.version + 1, abandoned)

    def replay(self, history: Sequence[Entry]) -> Entry:
        return newest(self.stream, history)


@dataclass(frozen=True, slots=True)
class CancelPayout:
    """Record that the swap of event `version` gave the inputs back as `proofs`.

    Raises `LedgerBrokenError` when these are worth another amount.
    """

    stream: UUID
    version: int
    abandoned: PayoutAbandoned
    proofs: tuple[Signed, ...]

    def need(self, needs: Needs) -> None:
        _need_end(needs, self.stream, self.abandoned.payment)

    def decide(self, rows: GuardRows, at: datetime) -> Entry:
        _expect(rows, self.stream, self.version)
        if tuple(proof.amount for proof in self.proofs) != self.abandoned.plan.amounts:
            raise LedgerBrokenError("the mint signed other amounts than it was asked for")
        cancelled = PayoutCancelled(
            at=at,
            payment=self.abandoned.payment,
            proofs=self.proofs,
            reason=self.abandoned.reason,
        )
        return Entry(self.stream, self.version + 1, cancelled)

    def replay(self, history: Sequence[Entry]) -> Entry:
        return ended(self.stream, history, PayoutCancelled)


def cover(free: Sequence[Spent], wanted: int, purse: Purse) -> list[Spent]:
    """Return few proofs worth `wanted` and the mint's fee for spending just these.

    Raises `PurseShortError` when there are none such.
    """
    inputs: list[Spent] = []
    while sum(spent.amount for spent in inputs) < wanted + purse.fee(inputs):
        # Each round asks for more than the one before, until nothing more is there.
        more = choose(free, wanted + purse.fee(inputs))
        if sum(spent.amount for spent in more) < wanted + purse.fee(inputs):
            raise PurseShortError
        inputs = more
    return inputs


def blanks(spare: int) -> tuple[int, ...]:
    """Return a 0 for each blank output that a mint may need to give `spare` back (NUT-08).

    >>> blanks(0), blanks(1), blanks(1000)
    ((), (0,), (0, 0, 0, 0, 0, 0, 0, 0, 0, 0))
    """
    return (0,) * max((spare - 1).bit_length(), 1) if spare else ()


def _need_end(needs: Needs, stream: UUID, payment: Payment) -> None:
    needs.movements.add(stream)
    needs.proofs_of.add(stream)
    # A fee above the reserve is paid by the house.
    needs.surplus = True
    if payment.account_id != OWNER:
        needs.accounts.add(payment.account_id)


def _expect(rows: GuardRows, stream: UUID, version: int) -> None:
    movement = rows.movements.get(stream)
    if movement is None or movement.kind != PAYOUT or movement.version != version:
        raise AskTheLogError
