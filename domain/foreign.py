"""A token of a mint we do not trust: melted there into an invoice of ours, minted here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar
from uuid import UUID

import msgspec

from domain.command import AskTheLogError, Needs
from domain.deposit import Claim, OfToken, Plan, Signed, ended, keep, newest, owner_of
from domain.errors import LedgerBrokenError, TokenTakenError
from domain.event import Entry
from domain.guards import FOREIGN, GuardRows, MovementRow
from domain.invoice import Bill
from domain.msat import MSAT_PER_UNIT


class ForeignMelt(msgspec.Struct, frozen=True, kw_only=True):
    """What the foreign mint asks for paying our invoice, in the token's unit (NUT-05).

    `blanks` are the outputs for its change (NUT-08). They are derived from the movement
    and not from the purse: a foreign mint never touches the counters of a trusted one,
    whatever keyset id it shows.
    """

    quote: str
    amount: int
    fee_reserve: int
    input_fee: int
    blanks: Plan

    @property
    def most(self) -> int:
        """What leaves the token if the whole reserve is needed."""
        return self.amount + self.fee_reserve + self.input_fee


class ForeignQuoted(OfToken, frozen=True, kw_only=True):
    """Both mints were asked; the token is about to be melted into the invoice of `bill`.

    `claim.mint` is the foreign mint, `bill.mint` ours: what is credited is what arrives
    there. The quote there is locked to a key of this movement (NUT-20).
    """

    TOPIC: ClassVar[str] = "foreign.quoted"
    claim: Claim
    bill: Bill
    melt: ForeignMelt

    @property
    def owner(self) -> UUID | None:
        return self.claim.account_id

    def apply(self, rows: GuardRows, stream: UUID, version: int) -> None:
        _open(rows, stream, version, self.bill, self.at)


class ForeignArrived(OfToken, frozen=True, kw_only=True):
    """Our mint says that the invoice is paid; these outputs are about to be minted."""

    TOPIC: ClassVar[str] = "foreign.arrived"
    from_mint: str
    face_msat: int
    bill: Bill
    plan: Plan

    @property
    def owner(self) -> UUID | None:
        return self.bill.account_id

    def apply(self, rows: GuardRows, stream: UUID, version: int) -> None:
        self.plan.use(rows, self.bill.mint, self.bill.unit)
        _open(rows, stream, version, self.bill, self.at)


class ForeignCredited(OfToken, frozen=True, kw_only=True):
    """Our mint signed; the account got `credited_msat`, the `proofs` are ours.

    `change` is what the foreign mint gave back, still its ecash: it was never ours, and
    is handed to whoever shows the token. `fee_msat` is what both mints and Lightning kept.
    """

    TOPIC: ClassVar[str] = "foreign.credited"
    account_id: UUID
    mint: str
    unit: str
    from_mint: str
    face_msat: int
    fee_msat: int
    change_msat: int
    credited_msat: int
    proofs: tuple[Signed, ...]
    change: tuple[Signed, ...]

    @property
    def owner(self) -> UUID | None:
        return self.account_id

    def apply(self, rows: GuardRows, stream: UUID, _version: int) -> None:
        rows.add(self.account_id, self.credited_msat)
        rows.set_home(self.account_id, self.mint, self.unit)
        rows.movements.drop(stream)
        keep(rows, self.mint, self.unit, self.proofs)


class ForeignRefused(OfToken, frozen=True, kw_only=True):
    """Nothing arrived, and nothing was credited; the token is its owner's again.

    Where the foreign mint `claims` to have paid, the owner may have nothing left but that
    claim. Should our invoice be found paid after all, the token shown again is credited.
    """

    TOPIC: ClassVar[str] = "foreign.refused"
    account_id: UUID
    mint: str
    reason: str
    claims: bool

    @property
    def may_begin_again(self) -> bool:
        return True

    def apply(self, rows: GuardRows, stream: UUID, _version: int) -> None:
        rows.movements.drop(stream)


@dataclass(frozen=True, slots=True)
class QuoteForeign:
    """Record that a token is about to be melted, after event `version` (0: it is new).

    When something else was recorded meanwhile, that newest event is the answer; raises
    `TokenTakenError` if it is another account's.
    """

    stream: UUID
    version: int
    claim: Claim
    bill: Bill
    melt: ForeignMelt

    def need(self, needs: Needs) -> None:
        needs.movements.add(self.stream)

    def decide(self, rows: GuardRows, at: datetime) -> Entry:
        if rows.movements.get(self.stream):
            raise AskTheLogError
        quoted = ForeignQuoted(at=at, claim=self.claim, bill=self.bill, melt=self.melt)
        return Entry(self.stream, self.version + 1, quoted)

    def replay(self, history: Sequence[Entry]) -> Entry:
        entry = newest(self.stream, history)
        owner = owner_of(entry.event)
        if owner is not None and owner != self.claim.account_id:
            raise TokenTakenError
        return entry


@dataclass(frozen=True, slots=True)
class ArriveForeign:
    """Record the outputs about to be minted for an invoice that is paid, after `version`.

    `quoted` is the attempt that has arrived, which may have been given up before.
    """

    stream: UUID
    version: int
    quoted: ForeignQuoted
    keyset_id: str
    amounts: tuple[int, ...]

    def need(self, needs: Needs) -> None:
        needs.movements.add(self.stream)
        needs.keysets.add(self.keyset_id)

    def decide(self, rows: GuardRows, at: datetime) -> Entry:
        movement = rows.movements.get(self.stream)
        if movement is not None and movement.version != self.version:
            raise AskTheLogError
        bill = self.quoted.bill
        arrived = ForeignArrived(
            at=at,
            from_mint=self.quoted.claim.mint,
            face_msat=self.quoted.claim.face_msat,
            bill=bill,
            plan=Plan.next(rows, bill.mint, self.keyset_id, self.amounts),
        )
        return Entry(self.stream, self.version + 1, arrived)

    def replay(self, history: Sequence[Entry]) -> Entry:
        return newest(self.stream, history)


@dataclass(frozen=True, slots=True)
class CreditForeign:
    """End it well: our mint signed what was planned in event `version`.

    Raises `UnknownMovementError`, `MovementEndedError`, and `LedgerBrokenError` when more
    came of the token than it was worth; a repetition returns the credit.
    """

    stream: UUID
    version: int
    arrived: ForeignArrived
    proofs: tuple[Signed, ...]
    change: tuple[Signed, ...]
    change_unit: str

    def need(self, needs: Needs) -> None:
        needs.movements.add(self.stream)
        needs.accounts.add(self.arrived.bill.account_id)

    def decide(self, rows: GuardRows, at: datetime) -> Entry:
        _expect(rows, self.stream, self.version)
        bill, face_msat = self.arrived.bill, self.arrived.face_msat
        credited_msat = _worth(self.proofs) * MSAT_PER_UNIT[bill.unit]
        change_msat = _worth(self.change) * MSAT_PER_UNIT[self.change_unit]
        if credited_msat + change_msat > face_msat:
            raise LedgerBrokenError("more came of the token than it was worth")
        credited = ForeignCredited(
            at=at,
            account_id=bill.account_id,
            mint=bill.mint,
            unit=bill.unit,
            from_mint=self.arrived.from_mint,
            face_msat=face_msat,
            fee_msat=face_msat - credited_msat - change_msat,
            change_msat=change_msat,
            credited_msat=credited_msat,
            proofs=self.proofs,
            change=self.change,
        )
        return Entry(self.stream, self.version + 1, credited)

    def replay(self, history: Sequence[Entry]) -> Entry:
        return ended(self.stream, history, ForeignCredited)


@dataclass(frozen=True, slots=True)
class RefuseForeign:
    """End it ill: nothing has arrived of what was quoted in event `version`.

    Raises `UnknownMovementError`, `MovementEndedError`; a repetition returns the refusal.
    """

    stream: UUID
    version: int
    quoted: ForeignQuoted
    reason: str
    claims: bool

    def need(self, needs: Needs) -> None:
        needs.movements.add(self.stream)

    def decide(self, rows: GuardRows, at: datetime) -> Entry:
        _expect(rows, self.stream, self.version)
        refused = ForeignRefused(
            at=at,
            account_id=self.quoted.claim.account_id,
            mint=self.quoted.claim.mint,
            reason=self.reason[:200],
            claims=self.claims,
        )
        return Entry(self.stream, self.version + 1, refused)

    def replay(self, history: Sequence[Entry]) -> Entry:
        return ended(self.stream, history, ForeignRefused)


def _worth(proofs: Sequence[Signed]) -> int:
    return sum(proof.amount for proof in proofs)


def _open(rows: GuardRows, stream: UUID, version: int, bill: Bill, at: datetime) -> None:
    rows.movements.put(stream, MovementRow(FOREIGN, version, bill.account_id, bill.mint, at))


def _expect(rows: GuardRows, stream: UUID, version: int) -> None:
    movement = rows.movements.get(stream)
    if movement is None or movement.version != version:
        raise AskTheLogError
