"""Tokens locked to our key: credited at once, without asking their mint, and swapped later.

What makes that safe: nobody but us can spend them (NUT-11), the mint's signature is checked
by its DLEQ proof (NUT-12), no proof is ever credited twice, and what is credited and not yet
swapped is limited for each mint.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar
from uuid import UUID

import msgspec

from domain.command import AskTheLogError, Needs
from domain.deposit import Claim, OfToken, Plan, Signed, ended, keep, newest, owner_of
from domain.errors import LedgerBrokenError, NotInstantError, TokenTakenError
from domain.event import Entry, Event
from domain.guards import (
    BATCH,
    BATCHED,
    INSTANT,
    INSTANT_ALONE,
    NO_EXPOSURE,
    ExposureRow,
    GuardRows,
    MovementRow,
)
from domain.identity import OWNER
from domain.msat import MSAT_PER_UNIT

WAITING = frozenset({INSTANT, INSTANT_ALONE})


class InstantCredited(OfToken, frozen=True, kw_only=True):
    """A token locked to us was credited; its proofs, sealed in the claim, wait to be swapped.

    `ys` are the points by which its mint knows the proofs; none is ever credited again.
    """

    TOPIC: ClassVar[str] = "instant.credited"
    claim: Claim
    ys: tuple[str, ...]

    @property
    def owner(self) -> UUID | None:
        return self.claim.account_id

    @property
    def account_id(self) -> UUID:
        return self.claim.account_id

    @property
    def mint(self) -> str:
        return self.claim.mint

    @property
    def unit(self) -> str:
        return self.claim.unit

    @property
    def face_msat(self) -> int:
        return self.claim.face_msat

    @property
    def fee_msat(self) -> int:
        return self.claim.fee_msat

    @property
    def credited_msat(self) -> int:
        return self.claim.face_msat - self.claim.fee_msat

    @property
    def proofs(self) -> tuple[Signed, ...]:
        """None of them is ours yet."""
        return ()

    def apply(self, rows: GuardRows, stream: UUID, version: int) -> None:
        claim = self.claim
        rows.add(claim.account_id, self.credited_msat)
        rows.set_home(claim.account_id, claim.mint, claim.unit)
        rows.take_ys(self.ys, stream)
        _expose(rows, claim.mint, self.credited_msat)
        row = MovementRow(INSTANT, version, claim.account_id, claim.mint, self.at)
        rows.movements.put(stream, row)


class InstantLost(OfToken, frozen=True, kw_only=True):
    """The mint does not take the proofs that it had signed: the house has lost `lost_msat`.

    The client keeps its credit. At this mint nothing is credited at once any more.
    """

    TOPIC: ClassVar[str] = "instant.lost"
    account_id: UUID
    mint: str
    lost_msat: int
    reason: str

    @property
    def owner(self) -> UUID | None:
        return self.account_id

    def apply(self, rows: GuardRows, stream: UUID, _version: int) -> None:
        _expose(rows, self.mint, -self.lost_msat, lost_msat=self.lost_msat)
        rows.movements.drop(stream)


class Batched(msgspec.Struct, frozen=True, kw_only=True):
    """A deposit whose proofs are swapped together with those of others."""

    stream: UUID
    credited_msat: int


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """Deposits of one mint and unit, and the outputs that all their proofs are swapped for."""

    mint: str
    unit: str
    deposits: tuple[Batched, ...]
    plan: Plan

    @property
    def credited_msat(self) -> int:
        return sum(deposit.credited_msat for deposit in self.deposits)


class BatchPlanned(Event, frozen=True, kw_only=True):
    """The proofs of several instant deposits are about to be swapped for ours."""

    TOPIC: ClassVar[str] = "batch.planned"
    batch: Batch

    def apply(self, rows: GuardRows, stream: UUID, version: int) -> None:
        _open_batch(rows, stream, version, self.batch, self.at)


class BatchReplanned(Event, frozen=True, kw_only=True):
    """The mint refused the outputs asked before; the same proofs are tried with new ones."""

    TOPIC: ClassVar[str] = "batch.replanned"
    batch: Batch

    def apply(self, rows: GuardRows, stream: UUID, version: int) -> None:
        _open_batch(rows, stream, version, self.batch, self.at)


class BatchSwapped(Event, frozen=True, kw_only=True):
    """The mint signed; `proofs` are ours, and the deposits are done."""

    TOPIC: ClassVar[str] = "batch.swapped"
    batch: Batch
    proofs: tuple[Signed, ...]

    @property
    def swapped_msat(self) -> int:
        each_msat = MSAT_PER_UNIT[self.batch.unit]
        return sum(proof.amount for proof in self.proofs) * each_msat

    def apply(self, rows: GuardRows, stream: UUID, _version: int) -> None:
        batch = self.batch
        for deposit in batch.deposits:
            rows.movements.drop(deposit.stream)
        rows.movements.drop(stream)
        _expose(rows, batch.mint, -batch.credited_msat)
        keep(rows, batch.mint, batch.unit, self.proofs)


class BatchParted(Event, frozen=True, kw_only=True):
    """The mint certainly refused the proofs together; each deposit is to be swapped alone."""

    TOPIC: ClassVar[str] = "batch.parted"
    batch: Batch
    reason: str

    def apply(self, rows: GuardRows, stream: UUID, _version: int) -> None:
        _mark(rows, self.batch.deposits, INSTANT_ALONE)
        rows.movements.drop(stream)


@dataclass(frozen=True, slots=True)
class CreditInstantly:
    """Credit a token at once, after event `version` (0: it is new) of its movement.

    Raises `NotInstantError`, nothing being done, when one of its proofs was taken before,
    when more than `limit_msat` would be credited and not swapped at its mint, or when that
    mint has cost us something; `TokenTakenError` when it is another account's. A token seen
    before is answered with its newest event.
    """

    stream: UUID
    version: int
    claim: Claim
    ys: tuple[str, ...]
    limit_msat: int

    def need(self, needs: Needs) -> None:
        needs.movements.add(self.stream)
        needs.accounts.add(self.claim.account_id)
        needs.ys.update(self.ys)
        needs.exposures.add(self.claim.mint)

    def decide(self, rows: GuardRows, at: datetime) -> Entry:
        if rows.movements.get(self.stream):
            raise AskTheLogError
        credited = InstantCredited(at=at, claim=self.claim, ys=self.ys)
        exposure = rows.exposures.get(self.claim.mint) or NO_EXPOSURE
        exposed_msat = exposure.unswapped_msat + credited.credited_msat
        taken = any(rows.ys.get(y) for y in self.ys)
        if taken or exposure.lost_msat or exposed_msat > self.limit_msat:
            raise AskTheLogError(NotInstantError())
        return Entry(self.stream, self.version + 1, credited)

    def replay(self, history: Sequence[Entry]) -> Entry:
        entry = newest(self.stream, history)
        if isinstance(entry.event, OfToken) and entry.event.may_begin_again:
            raise NotInstantError
        if owner_of(entry.event) != self.claim.account_id:
            raise TokenTakenError
        return entry


@dataclass(frozen=True, slots=True)
class PlanBatch:
    """Record that deposits are about to be swapped together.

    Raises `NotInstantError` when one of them is in another batch, or done.
    """

    stream: UUID
    mint: str
    unit: str
    deposits: tuple[Batched, ...]
    keyset_id: str
    amounts: tuple[int, ...]

    def need(self, needs: Needs) -> None:
        _need_batch(needs, self.stream, self.deposits, self.mint)
        needs.keysets.add(self.keyset_id)

    def decide(self, rows: GuardRows, at: datetime) -> Entry:
        waiting = [rows.movements.get(deposit.stream) for deposit in self.deposits]
        if any(row is None or row.kind not in WAITING for row in waiting):
            raise NotInstantError
        plan = Plan.next(rows, self.mint, self.keyset_id, self.amounts)
        batch = Batch(mint=self.mint, unit=self.unit, deposits=self.deposits, plan=plan)
        return Entry(self.stream, 1, BatchPlanned(at=at, batch=batch))

    def replay(self, history: Sequence[Entry]) -> Entry:
        return newest(self.stream, history)


@dataclass(frozen=True, slots=True)
class ReplanBatch:
    """Ask for the same outputs of another keyset after event `version` was refused."""

    stream: UUID
    version: int
    batch: Batch
    keyset_id: str

    def need(self, needs: Needs) -> None:
        _need_batch(needs, self.stream, self.batch.deposits, self.batch.mint)
        needs.keysets.add(self.keyset_id)

    def decide(self, rows: GuardRows, at: datetime) -> Entry:
        _expect(rows, self.stream, BATCH, self.version)
        plan = Plan.next(rows, self.batch.mint, self.keyset_id, self.batch.plan.amounts)
        batch = msgspec.structs.replace(self.batch, plan=plan)
        return Entry(self.stream, self.version + 1, BatchReplanned(at=at, batch=batch))

    def replay(self, history: Sequence[Entry]) -> Entry:
        return newest(self.stream, history)


@dataclass(frozen=True, slots=True)
class SwapBatch:
    """End a batch well: the mint signed what was planned in event `version`.

    Raises `UnknownMovementError`, `MovementEndedError`; a repetition returns the end.
    """

    stream: UUID
    version: int
    batch: Batch
    proofs: tuple[Signed, ...]

    def need(self, needs: Needs) -> None:
        _need_batch(needs, self.stream, self.batch.deposits, self.batch.mint)

    def decide(self, rows: GuardRows, at: datetime) -> Entry:
        _expect(rows, self.stream, BATCH, self.version)
        swapped = BatchSwapped(at=at, batch=self.batch, proofs=self.proofs)
        return Entry(self.stream, self.version + 1, swapped)

    def replay(self, history: Sequence[Entry]) -> Entry:
        return ended(self.stream, history, BatchSwapped)


@dataclass(frozen=True, slots=True)
class PartBatch:
    """End a batch that the mint certainly refused; a repetition returns the end."""

    stream: UUID
    version: int
    batch: Batch
    reason: str

    def need(self, needs: Needs) -> None:
        _need_batch(needs, self.stream, self.batch.deposits, self.batch.mint)

    def decide(self, rows: GuardRows, at: datetime) -> Entry:
        _expect(rows, self.stream, BATCH, self.version)
        parted = BatchParted(at=at, batch=self.batch, reason=self.reason[:200])
        return Entry(self.stream, self.version + 1, parted)

    def replay(self, history: Sequence[Entry]) -> Entry:
        return ended(self.stream, history, BatchParted)


@dataclass(frozen=True, slots=True)
class LoseInstant:
    """Record that what event `version` credited cannot be swapped, ever."""

    stream: UUID
    version: int
    credited: InstantCredited
    reason: str

    def need(self, needs: Needs) -> None:
        needs.movements.add(self.stream)
        needs.exposures.add(self.credited.mint)

    def decide(self, rows: GuardRows, at: datetime) -> Entry:
        _expect(rows, self.stream, BATCHED, self.version)
        lost = InstantLost(
            at=at,
            account_id=self.credited.account_id,
            mint=self.credited.mint,
            lost_msat=self.credited.credited_msat,
            reason=self.reason[:200],
        )
        return Entry(self.stream, self.version + 1, lost)

    def replay(self, history: Sequence[Entry]) -> Entry:
        return ended(self.stream, history, InstantLost)


def _expose(rows: GuardRows, mint: str, change_msat: int, lost_msat: int = 0) -> None:
    row = rows.exposures.get(mint) or NO_EXPOSURE
    unswapped_msat = row.unswapped_msat + change_msat
    if unswapped_msat < 0:
        raise LedgerBrokenError(f"more was swapped at {mint} than was credited")
    rows.exposures.put(mint, ExposureRow(unswapped_msat, row.lost_msat + lost_msat))


def _open_batch(
    rows: GuardRows, stream: UUID, version: int, batch: Batch, at: datetime
) -> None:
    batch.plan.use(rows, batch.mint, batch.unit)
    _mark(rows, batch.deposits, BATCHED)
    rows.movements.put(stream, MovementRow(BATCH, version, OWNER, batch.mint, at))


def _mark(rows: GuardRows, deposits: Iterable[Batched], kind: str) -> None:
    """Say of each deposit that is not done how far it is."""
    for deposit in deposits:
        row = rows.movements.get(deposit.stream)
        if row is not None:
            rows.movements.put(deposit.stream, row._replace(kind=kind))


def _need_batch(needs: Needs, stream: UUID, deposits: Iterable[Batched], mint: str) -> None:
    needs.movements.add(stream)
    needs.movements.update(deposit.stream for deposit in deposits)
    needs.exposures.add(mint)


def _expect(rows: GuardRows, stream: UUID, kind: str, version: int) -> None:
    movement = rows.movements.get(stream)
    if movement is None or (movement.kind, movement.version) != (kind, version):
        raise AskTheLogError
