"""Money on its way back to a client: taken from the account, issued as a token, collected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar
from uuid import UUID

import msgspec

from domain.command import AskTheLogError, Needs
from domain.deposit import Plan, Signed, ended, keep, newest
from domain.errors import NothingToRefundError, PurseShortError
from domain.event import Entry, Event
from domain.guards import (
    FREE,
    ISSUED,
    OUT,
    REFUND,
    SWEEP,
    AccountRow,
    GuardRows,
    MovementRow,
    ProofKey,
    ProofRow,
)
from domain.identity import OWNER
from domain.purse import Purse, Spent, choose, free_proofs, set_aside, split
from domain.solvency import demand_surplus, payer


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """A token being made: `inputs` are swapped for it and for change to ourselves.

    The first `send_count` outputs of `plan` are the token, the others are change.
    `taken_msat` leaves the account: `token_msat` to the client, `fee_msat` to the mint.
    """

    account_id: UUID
    mint: str
    unit: str
    taken_msat: int
    token_msat: int
    fee_msat: int
    inputs: tuple[Spent, ...]
    plan: Plan
    send_count: int


class Started(Event, frozen=True, kw_only=True):
    """A refund was asked for: its amount left the account, its proofs are set aside.

    Of the owner's, `who` of the operators wanted it.
    """

    TOPIC: ClassVar[str] = "refund.started"
    draft: Draft
    who: str = ""

    def apply(self, rows: GuardRows, stream: UUID, version: int) -> None:
        rows.pay(self.draft.account_id, -self.draft.taken_msat)
        set_aside(rows, self.draft.inputs, stream)
        _open(rows, stream, version, self)


class Redrafted(Event, frozen=True, kw_only=True):
    """The mint refused the outputs asked before; the same inputs are tried with new ones."""

    TOPIC: ClassVar[str] = "refund.redrafted"
    draft: Draft

    def apply(self, rows: GuardRows, stream: UUID, version: int) -> None:
        _open(rows, stream, version, self)


class Issued(Event, frozen=True, kw_only=True):
    """The mint signed: the token exists, and can be fetched until it is collected."""

    TOPIC: ClassVar[str] = "refund.issued"
    draft: Draft
    proofs: tuple[Signed, ...]

    @property
    def token_proofs(self) -> tuple[Signed, ...]:
        return self.proofs[: self.draft.send_count]

    @property
    def token(self) -> tuple[Spent, ...]:
        """The token's proofs as whoever spends them names them."""
        return tuple(
            Spent(keyset_id=proof.keyset_id, counter=proof.counter, amount=proof.amount)
            for proof in self.token_proofs
        )

    def apply(self, rows: GuardRows, stream: UUID, version: int) -> None:
        draft = self.draft
        for spent in draft.inputs:
            rows.proofs.drop(spent.key)
        for proof in self.token_proofs:
            row = ProofRow(
                draft.mint, draft.unit, proof.amount, OUT, stream, proof.c, proof.e, proof.s
            )
            rows.proofs.put(proof.key, row)
        keep(rows, draft.mint, draft.unit, self.proofs[draft.send_count :])
        rows.movements.put(
            stream, MovementRow(ISSUED, version, draft.account_id, draft.mint, self.at)
        )


class Cancelled(Event, frozen=True, kw_only=True):
    """The mint certainly did not make the token; the amount is the account's again.

    The inputs were swapped for `proofs` of ours, at a fee of `fee_msat` that the house
    pays: then no late copy of the swap for the token can be carried out. Without proofs,
    as it was first written, the inputs are free again.
    """

    TOPIC: ClassVar[str] = "refund.cancelled"
    draft: Draft
    reason: str
    proofs: tuple[Signed, ...] = ()
    fee_msat: int = 0

    def apply(self, rows: GuardRows, stream: UUID, _version: int) -> None:
        rows.pay(self.draft.account_id, self.draft.taken_msat)
        for spent in self.draft.inputs:
            row = rows.proofs.get(spent.key)
            if self.proofs:
                rows.proofs.drop(spent.key)
            elif row is not None:
                rows.proofs.put(spent.key, row._replace(state=FREE, movement=None))
        keep(rows, self.draft.mint, self.draft.unit, self.proofs)
        rows.movements.drop(stream)


class Collected(Event, frozen=True, kw_only=True):
    """The mint says that the token's proofs are spent: the client has its money (NUT-07)."""

    TOPIC: ClassVar[str] = "refund.collected"
    account_id: UUID
    mint: str
    token_msat: int
    proofs: tuple[Spent, ...]

    def apply(self, rows: GuardRows, stream: UUID, _version: int) -> None:
        for spent in self.proofs:
            rows.proofs.drop(spent.key)
        rows.movements.drop(stream)


def _open(rows: GuardRows, stream: UUID, version: int, event: Started | Redrafted) -> None:
    draft = event.draft
    draft.plan.use(rows, draft.mint, draft.unit)
    rows.movements.put(
        stream, MovementRow(REFUND, version, draft.account_id, draft.mint, event.at)
    )


@dataclass(frozen=True, slots=True)
class Start:
    """Take what is available, or `amount_msat` of it, for a token made at `purse`.

    Rounded down to the purse's unit; the mint's fee comes out of it. When the purse has
    less than that, as much as it has, or nothing if it must be the `whole`. Made of the
    proofs that are wanted `first`, as far as they are there and enough. Raises
    `UnknownAccountError`, `NothingToRefundError`, `PurseShortError`; when it is the owner
    who draws, `OwnerMayNotDrawError` and `UnexplainedError`. A repetition returns the
    newest event.
    """

    stream: UUID
    account_id: UUID
    purse: Purse
    amount_msat: int | None = None
    whole: bool = False
    first: frozenset[ProofKey] = frozenset()
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
        demand_surplus(rows, self.account_id, self.purse.mint, self.amount_msat or 0)
        draft = self._draft(rows, account)
        return Entry(self.stream, 1, Started(at=at, draft=draft, who=self.who))

    def _draft(self, rows: GuardRows, account: AccountRow) -> Draft:
        purse = self.purse
        wanted_msat = account.available_msat
        if self.amount_msat is not None:
            wanted_msat = min(wanted_msat, self.amount_msat)
        wanted = wanted_msat // purse.msat_per_unit
        if wanted == 0:
            raise NothingToRefundError(available_msat=account.available_msat)
        inputs = self._inputs(free_proofs(rows, purse), wanted)
        taken = min(wanted, sum(spent.amount for spent in inputs))
        fee = purse.fee(inputs)
        if not inputs or (self.whole and taken < wanted):
            raise PurseShortError
        if taken <= fee:
            raise NothingToRefundError(
                available_msat=account.available_msat, fee_msat=fee * purse.msat_per_unit
            )
        send = split(taken - fee)
        change = split(sum(spent.amount for spent in inputs) - taken)
        return Draft(
            account_id=self.account_id,
            mint=purse.mint,
            unit=purse.unit,
            taken_msat=taken * purse.msat_per_unit,
            token_msat=(taken - fee) * purse.msat_per_unit,
            fee_msat=fee * purse.msat_per_unit,
            inputs=tuple(inputs),
            plan=Plan.next(rows, purse.mint, purse.keyset_id, send + change),
            send_count=len(send),
        )

    def _inputs(self, free: Sequence[Spent], wanted: int) -> list[Spent]:
        first = [spent for spent in free if spent.key in self.first]
        is_enough = sum(spent.amount for spent in first) >= wanted
        return choose(first if is_enough else free, wanted)

    def replay(self, history: Sequence[Entry]) -> Entry:
        return newest(self.stream, history)


@dataclass(frozen=True, slots=True)
class Redraft:
    """Ask for the same outputs of another keyset after event `version` was refused."""

    stream: UUID
    version: int
    draft: Draft
    keyset_id: str

    def need(self, needs: Needs) -> None:
        needs.movements.add(self.stream)
        needs.keysets.add(self.keyset_id)

    def decide(self, rows: GuardRows, at: datetime) -> Entry:
        expect(rows, self.stream, self.version, REFUND)
        amounts = self.draft.plan.amounts
        plan = Plan.next(rows, self.draft.mint, self.keyset_id, amounts)
        draft = msgspec.structs.replace(self.draft, plan=plan)
        return Entry(self.stream, self.version + 1, Redrafted(at=at, draft=draft))

    def replay(self, history: Sequence[Entry]) -> Entry:
        return newest(self.stream, history)


@dataclass(frozen=True, slots=True)
class Issue:
    """Record the mint's signatures on the outputs of `draft`; `version` is the newest."""

    stream: UUID
    version: int
    draft: Draft
    proofs: tuple[Signed, ...]

    def need(self, needs: Needs) -> None:
        needs.movements.add(self.stream)

    def decide(self, rows: GuardRows, at: datetime) -> Entry:
        expect(rows, self.stream, self.version, REFUND)
        issued = Issued(at=at, draft=self.draft, proofs=self.proofs)
        return Entry(self.stream, self.version + 1, issued)

    def replay(self, history: Sequence[Entry]) -> Entry:
        collected = isinstance(newest(self.stream, history).event, Collected)
        return ended(self.stream, history[:-1] if collected else history, Issued)


@dataclass(frozen=True, slots=True)
class Cancel:
    """Give the amount back: the mint certainly did not make the token of `draft`.

    `version` is the movement's newest; `proofs` are what its inputs were swapped for.
    """

    stream: UUID
    version: int
    draft: Draft
    reason: str
    proofs: tuple[Signed, ...] = ()
    fee_msat: int = 0

    def need(self, needs: Needs) -> None:
        needs.movements.add(self.stream)
        needs.proofs_of.add(self.stream)
        if self.draft.account_id != OWNER:
            needs.accounts.add(self.draft.account_id)

    def decide(self, rows: GuardRows, at: datetime) -> Entry:
        expect(rows, self.stream, self.version, REFUND)
        cancelled = Cancelled(
            at=at,
            draft=self.draft,
            reason=self.reason[:200],
            proofs=self.proofs,
            fee_msat=self.fee_msat,
        )
        return Entry(self.stream, self.version + 1, cancelled)

    def replay(self, history: Sequence[Entry]) -> Entry:
        return ended(self.stream, history, Cancelled)


@dataclass(frozen=True, slots=True)
class Collect:
    """Record that the token issued by event `version` was spent by its owner."""

    stream: UUID
    version: int
    issued: Issued

    def need(self, needs: Needs) -> None:
        needs.movements.add(self.stream)

    def decide(self, rows: GuardRows, at: datetime) -> Entry:
        expect(rows, self.stream, self.version, ISSUED, SWEEP)
        draft = self.issued.draft
        collected = Collected(
            at=at,
            account_id=draft.account_id,
            mint=draft.mint,
            token_msat=draft.token_msat,
            proofs=self.issued.token,
        )
        return Entry(self.stream, self.version + 1, collected)

    def replay(self, history: Sequence[Entry]) -> Entry:
        return ended(self.stream, history, Collected)


def expect(rows: GuardRows, stream: UUID, version: int, *kinds: str) -> None:
    """Raise `AskTheLogError` unless a movement is one of `kinds` and at `version`."""
    movement = rows.movements.get(stream)
    if movement is None or movement.kind not in kinds or movement.version != version:
        raise AskTheLogError
