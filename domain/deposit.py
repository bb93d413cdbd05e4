"""A token on its way into an account: received, swapped at its mint, credited."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar
from uuid import UUID

import msgspec

from domain.command import AskTheLogError, Needs
from domain.errors import (
    KeysetTakenError,
    LedgerBrokenError,
    MovementEndedError,
    TokenTakenError,
    UnknownMovementError,
)
from domain.event import Entry, Event
from domain.guards import DEPOSIT, FREE, TAKEN, GuardRows, MovementRow, ProofKey, ProofRow
from domain.msat import MSAT_PER_UNIT


class Signed(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A proof of ours as the log names it: where it is derived, and the blind signature.

    `c`, `e`, `s` are the mint's blinded signature and DLEQ proof (NUT-00, NUT-12) in hex;
    nobody can spend them without the secret, which only the seed yields (NUT-13).
    """

    keyset_id: str
    counter: int
    amount: int
    c: str
    e: str = ""
    s: str = ""

    @property
    def key(self) -> ProofKey:
        return ProofKey(self.keyset_id, self.counter)


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Outputs asked of a mint: one for each of `amounts`, counters from `counter_from` on."""

    keyset_id: str
    counter_from: int
    amounts: tuple[int, ...]

    @classmethod
    def next(cls, rows: GuardRows, mint: str, keyset_id: str, amounts: tuple[int, ...]) -> Plan:
        """Return outputs at the first counters nobody has used.

        Raises `KeysetTakenError`: a second mint that shows a keyset id of the first must
        gain nothing by it.
        """
        row = rows.keysets.get(keyset_id)
        if row is not None and row.mint != mint:
            raise KeysetTakenError
        return cls(
            keyset_id=keyset_id,
            counter_from=row.next_counter if row else 0,
            amounts=amounts,
        )

    def use(self, rows: GuardRows, mint: str, unit: str) -> None:
        """Mark the counters as used for ever, whether or not the mint signs them."""
        rows.use_counters(self.keyset_id, mint, unit, self.counter_from, len(self.amounts))


def blanks(most: int) -> tuple[int, ...]:
    """Return the amounts of the outputs that can take any change up to `most` (NUT-08).

    They are zero: the mint decides what each is worth when it signs.

    >>> blanks(1000), blanks(1), blanks(0)
    ((0, 0, 0, 0, 0, 0, 0, 0, 0, 0), (0,), ())
    """
    return (0,) * max((most - 1).bit_length(), 1) if most > 0 else ()


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """What a presented token says, and for whom it was presented.

    `face_msat` is its worth, `fee_msat` what the mint keeps of it (NUT-02). `sealed` are
    its proofs, encrypted under a key that the seed yields; once they are swapped they are
    worth nothing to anybody.
    """

    account_id: UUID
    mint: str
    unit: str
    face_msat: int
    fee_msat: int
    sealed: bytes


class OfToken(Event, frozen=True, kw_only=True):
    """Something that has happened to a token, which is one movement for ever."""

    @property
    def owner(self) -> UUID | None:
        """Whose deposit the token is; nobody's, once it was refused."""
        return None

    @property
    def may_begin_again(self) -> bool:
        """Whether the token was refused, and may be presented as if it were new."""
        return False


class Received(OfToken, frozen=True, kw_only=True):
    """A token was presented; its proofs are about to be swapped for ours.

    `ys` are the points by which its mint knows those of them that are locked to us.
    """

    TOPIC: ClassVar[str] = "deposit.received"
    claim: Claim
    plan: Plan
    ys: tuple[str, ...] = ()

    @property
    def owner(self) -> UUID | None:
        return self.claim.account_id

    def apply(self, rows: GuardRows, stream: UUID, version: int) -> None:
        _open(rows, stream, version, self)


class Replanned(OfToken, frozen=True, kw_only=True):
    """The mint refused the outputs asked before; the same proofs are tried with new ones."""

    TOPIC: ClassVar[str] = "deposit.replanned"
    claim: Claim
    plan: Plan
    ys: tuple[str, ...] = ()

    @property
    def owner(self) -> UUID | None:
        return self.claim.account_id

    def apply(self, rows: GuardRows, stream: UUID, version: int) -> None:
        _open(rows, stream, version, self)


class Credited(OfToken, frozen=True, kw_only=True):
    """The mint signed our outputs; the account got `credited_msat`, the proofs are ours."""

    TOPIC: ClassVar[str] = "deposit.credited"
    account_id: UUID
    mint: str
    unit: str
    face_msat: int
    fee_msat: int
    credited_msat: int
    proofs: tuple[Signed, ...]

    @property
    def owner(self) -> UUID | None:
        return self.account_id

    def apply(self, rows: GuardRows, stream: UUID, _version: int) -> None:
        rows.add(self.account_id, self.credited_msat)
        rows.set_home(self.account_id, self.mint, self.unit)
        rows.movements.drop(stream)
        keep(rows, self.mint, self.unit, self.proofs)


class Refused(OfToken, frozen=True, kw_only=True):
    """The mint certainly did not take the proofs; nothing was credited.

    A `final` refusal (already spent) is for ever; after any other the same token may be
    presented again. `dead` are marks, which are hashes, of what the mint will not take:
    every proof of the token that is spent, or the token just as it was written.
    """

    TOPIC: ClassVar[str] = "deposit.refused"
    account_id: UUID
    mint: str
    code: int
    reason: str
    final: bool
    dead: tuple[str, ...] = ()
    ys: tuple[str, ...] = ()

    @property
    def may_begin_again(self) -> bool:
        return not self.final

    def apply(self, rows: GuardRows, stream: UUID, _version: int) -> None:
        rows.movements.drop(stream)
        rows.free_ys(self.ys, stream)


def keep(rows: GuardRows, mint: str, unit: str, proofs: Sequence[Signed]) -> None:
    """Add freshly signed proofs to the purse."""
    for proof in proofs:
        row = ProofRow(mint, unit, proof.amount, FREE, None, proof.c, proof.e, proof.s)
        rows.proofs.put(proof.key, row)


def _open(rows: GuardRows, stream: UUID, version: int, event: Received | Replanned) -> None:
    claim = event.claim
    event.plan.use(rows, claim.mint, claim.unit)
    rows.take_ys(event.ys, stream)
    rows.movements.put(
        stream, MovementRow(DEPOSIT, version, claim.account_id, claim.mint, event.at)
    )


@dataclass(frozen=True, slots=True)
class Receive:
    """Record that a token's proofs are about to be swapped for outputs of `amounts`.

    A token that was seen before is answered with its newest event, whatever that is, for
    the same account; for another one `TokenTakenError` unless it was refused.
    """

    stream: UUID
    claim: Claim
    keyset_id: str
    amounts: tuple[int, ...]
    ys: tuple[str, ...] = ()

    def need(self, needs: Needs) -> None:
        needs.movements.add(self.stream)
        needs.keysets.add(self.keyset_id)
        _need_ys(needs, self.ys, self.claim.mint)

    def decide(self, rows: GuardRows, at: datetime) -> Entry:
        if rows.movements.get(self.stream):
            raise AskTheLogError
        _demand_own(rows, self.ys, self.stream)
        plan = Plan.next(rows, self.claim.mint, self.keyset_id, self.amounts)
        return Entry(self.stream, 1, Received(at=at, claim=self.claim, plan=plan, ys=self.ys))

    def replay(self, history: Sequence[Entry]) -> Entry:
        entry = newest(self.stream, history)
        owner = owner_of(entry.event)
        if owner is not None and owner != self.claim.account_id:
            raise TokenTakenError
        return entry


@dataclass(frozen=True, slots=True)
class Replan:
    """Ask for new outputs after event `version`, a plan or a refusal that is not final.

    When something else was recorded meanwhile, that newest event is the answer.
    """

    stream: UUID
    version: int
    claim: Claim
    keyset_id: str
    amounts: tuple[int, ...]
    ys: tuple[str, ...] = ()

    def need(self, needs: Needs) -> None:
        needs.movements.add(self.stream)
        needs.keysets.add(self.keyset_id)
        _need_ys(needs, self.ys, self.claim.mint)

    def decide(self, rows: GuardRows, at: datetime) -> Entry:
        movement = rows.movements.get(self.stream)
        if movement is not None and movement.version != self.version:
            raise AskTheLogError
        _demand_own(rows, self.ys, self.stream)
        plan = Plan.next(rows, self.claim.mint, self.keyset_id, self.amounts)
        replanned = Replanned(at=at, claim=self.claim, plan=plan, ys=self.ys)
        return Entry(self.stream, self.version + 1, replanned)

    def replay(self, history: Sequence[Entry]) -> Entry:
        return newest(self.stream, history)


@dataclass(frozen=True, slots=True)
class Credit:
    """End a deposit: the mint signed the outputs planned in event `version`.

    What is credited is what the proofs are worth; the rest of the token is the mint's fee.
    Raises `UnknownMovementError`, `MovementEndedError`, and `LedgerBrokenError` when the
    proofs are worth more than the token; a repetition returns the credit.
    """

    stream: UUID
    version: int
    intent: Received | Replanned
    proofs: tuple[Signed, ...]

    def need(self, needs: Needs) -> None:
        needs.movements.add(self.stream)
        needs.accounts.add(self.intent.claim.account_id)

    def decide(self, rows: GuardRows, at: datetime) -> Entry:
        _expect(rows, self.stream, self.version)
        claim = self.intent.claim
        credited_msat = sum(proof.amount for proof in self.proofs) * MSAT_PER_UNIT[claim.unit]
        if credited_msat > claim.face_msat:
            raise LedgerBrokenError("the mint signed more than the token was worth")
        credited = Credited(
            at=at,
            account_id=claim.account_id,
            mint=claim.mint,
            unit=claim.unit,
            face_msat=claim.face_msat,
            fee_msat=claim.face_msat - credited_msat,
            credited_msat=credited_msat,
            proofs=self.proofs,
        )
        return Entry(self.stream, self.version + 1, credited)

    def replay(self, history: Sequence[Entry]) -> Entry:
        return ended(self.stream, history, Credited)


@dataclass(frozen=True, slots=True)
class Refuse:
    """End a deposit: the mint certainly did not take the proofs.

    Raises `UnknownMovementError`, `MovementEndedError`; a repetition returns the refusal.
    """

    stream: UUID
    version: int
    intent: Received | Replanned
    code: int
    reason: str
    final: bool
    dead: tuple[str, ...] = ()

    def need(self, needs: Needs) -> None:
        needs.movements.add(self.stream)
        _need_ys(needs, self.intent.ys, self.intent.claim.mint)

    def decide(self, rows: GuardRows, at: datetime) -> Entry:
        _expect(rows, self.stream, self.version)
        refused = Refused(
            at=at,
            account_id=self.intent.claim.account_id,
            mint=self.intent.claim.mint,
            code=self.code,
            reason=self.reason[:200],
            final=self.final,
            dead=self.dead,
            ys=self.intent.ys,
        )
        return Entry(self.stream, self.version + 1, refused)

    def replay(self, history: Sequence[Entry]) -> Entry:
        return ended(self.stream, history, Refused)


def owner_of(event: Event) -> UUID | None:
    """Return whose deposit an event tells of; nobody's, once it was refused."""
    return event.owner if isinstance(event, OfToken) else None


def newest(stream: UUID, history: Sequence[Entry]) -> Entry:
    """Return a movement's newest entry, or raise `UnknownMovementError`."""
    if not history:
        raise UnknownMovementError(stream)
    return history[-1]


def ended(stream: UUID, history: Sequence[Entry], wanted: type[Event]) -> Entry:
    """Return the newest entry if it is the `wanted` end, else raise what it is instead."""
    entry = newest(stream, history)
    if not isinstance(entry.event, wanted):
        raise MovementEndedError(stream, entry.event)
    return entry


def _expect(rows: GuardRows, stream: UUID, version: int) -> None:
    movement = rows.movements.get(stream)
    if movement is None or movement.version != version:
        raise AskTheLogError


def _need_ys(needs: Needs, ys: Sequence[str], mint: str) -> None:
    if ys:
        # With the mint's exposure comes its turn: of two that show the same proof at the
        # same moment, one is second.
        needs.ys.update(ys)
        needs.exposures.add(mint)


def _demand_own(rows: GuardRows, ys: Sequence[str], stream: UUID) -> None:
    """Raise `TokenTakenError` if a proof is that of another deposit already."""
    for y in ys:
        row = rows.ys.get(y)
        if row is not None and row.state == TAKEN and row.stream != stream:
            raise TokenTakenError
