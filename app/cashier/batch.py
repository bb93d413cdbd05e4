"""Swapping what was credited at once: many locked proofs in one request to their mint."""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from typing import TYPE_CHECKING, Protocol
from uuid import uuid4

from app.cashier.sealed import unseal
from app.cashier.turns import PAUSE_S, STEPS_MAX, Turns
from app.gateways.errors import GatewayError, MintRefusedError
from app.gateways.mint.errors import SealError, TokenError
from app.gateways.mint.keysets import split
from app.gateways.mint.wallet import FINAL, REPLAN
from domain.errors import LedgerError, MovementEndedError
from domain.event import Entry
from domain.guards import BATCH, INSTANT, INSTANT_ALONE, MovementRow
from domain.instant import (
    WAITING,
    Batch,
    Batched,
    BatchPlanned,
    BatchReplanned,
    InstantCredited,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from uuid import UUID

    from app.gateways.mint.mints import Mints
    from app.gateways.mint.opener import Opener
    from app.gateways.mint.seal import Sealer
    from app.gateways.mint.tokens import Proof
    from app.gateways.mint.wallet import Wallet
    from domain.deposit import Signed
    from domain.ledger import Ledger

logger = logging.getLogger(__name__)

PROOFS_MAX = 100
"""Proofs that are swapped in one request; mints bear no many more."""


class Books(Protocol):
    """What is read of the store."""

    def history(self, stream: UUID) -> list[Entry]: ...

    def open_movements(self) -> list[tuple[UUID, MovementRow]]: ...


class Batches:
    """Makes credited tokens into proofs of ours; doing it twice, or by two, changes nothing."""

    def __init__(
        self,
        ledger: Ledger,
        mints: Mints,
        sealer: Sealer,
        books: Books,
        opener: Opener,
        pause: Callable[[float], None] = time.sleep,
        new_id: Callable[[], UUID] = uuid4,
    ) -> None:
        self._ledger = ledger
        self._mints = mints
        self._sealer = sealer
        self._books = books
        self._opener = opener
        self._pause = pause
        self._new_id = new_id
        self._turns = Turns()

    def sweep(self) -> int:
        """Swap all that waits, and go on with what was begun; return how many batches ended."""
        return sum(self.gather(url) for url in self._mints.urls)

    def gather(self, mint: str) -> int:
        """Do that at one mint; return how many batches were swapped."""
        if mint not in self._mints.urls:
            return 0
        with self._turns.at(mint):
            rows = [
                (stream, row)
                for stream, row in self._books.open_movements()
                if row.mint == mint and row.kind in {BATCH, INSTANT, INSTANT_ALONE}
            ]
            begun = [stream for stream, row in rows if row.kind == BATCH]
            done = sum(self._finished(self._books.history(stream)[-1]) for stream in begun)
            wallet = self._mints.get(mint)
            for unit, deposits in self._groups(rows):
                entry = self._planned(wallet, unit, deposits)
                done += entry is not None and self._finished(entry)
            return done

    def _groups(
        self, rows: list[tuple[UUID, MovementRow]]
    ) -> Iterator[tuple[str, list[Entry]]]:
        """Yield what is to be swapped together: one unit, and so many proofs at most."""
        together: dict[str, list[Entry]] = defaultdict(list)
        count: dict[str, int] = defaultdict(int)
        for stream, row in sorted(rows, key=lambda pair: (pair[1].at, pair[0])):
            if row.kind not in WAITING:
                continue
            entry = self._books.history(stream)[-1]
            event = entry.event
            if not isinstance(event, InstantCredited):
                continue
            if row.kind == INSTANT_ALONE:
                yield event.unit, [entry]
                continue
            if count[event.unit] + len(event.ys) > PROOFS_MAX and together[event.unit]:
                yield event.unit, together.pop(event.unit)
                count[event.unit] = 0
            together[event.unit].append(entry)
            count[event.unit] += len(event.ys)
        yield from together.items()

    def _planned(self, wallet: Wallet, unit: str, deposits: list[Entry]) -> Entry | None:
        try:
            proofs = [proof for entry in deposits for proof in self._proofs(entry)]
            amount = sum(proof.amount for proof in proofs) - wallet.keysets.fee_for(proofs)
            keyset_id = wallet.keysets.active(unit).id
            batched = tuple(
                Batched(stream=entry.stream, credited_msat=entry.event.credited_msat)
                for entry in deposits
                if isinstance(entry.event, InstantCredited)
            )
            place = (wallet.url, unit)
            amounts = split(amount)
            return self._ledger.plan_batch(self._new_id(), place, batched, keyset_id, amounts)
        except (GatewayError, LedgerError, SealError, TokenError) as error:
            logger.info("locked tokens of %s: %s", wallet.url, type(error).__name__)
            return None

    def _finished(self, entry: Entry) -> bool:
        """Go as far as it goes; tell whether the batch was swapped."""
        try:
            for _ in range(STEPS_MAX):
                event = entry.event
                if not isinstance(event, BatchPlanned | BatchReplanned):
                    return True
                try:
                    following = self._step(entry, event.batch)
                except MovementEndedError:
                    following = self._books.history(entry.stream)[-1]
                if following is None:
                    return False
                entry = following
        except (GatewayError, LedgerError, SealError, TokenError) as error:
            # Nobody can tell yet: the same is asked again.
            logger.info("batch %s: %s", entry.stream, type(error).__name__)
        return False

    def _step(self, entry: Entry, batch: Batch) -> Entry | None:
        """Swap the batch; return the entry that follows, None if it was parted."""
        wallet = self._mints.get(batch.mint)
        newest = [self._books.history(deposit.stream)[-1] for deposit in batch.deposits]
        inputs = [proof for credited in newest for proof in self._proofs(credited)]
        if not inputs:
            # It was found lost, and the process that found it died.
            self._ledger.part_batch(entry, batch, "nothing is left of it")
            return None
        try:
            signed = wallet.swap(inputs, batch.plan)
        except MintRefusedError as error:
            if error.code in REPLAN:
                self._pause(PAUSE_S)
                keyset_id = wallet.other_keyset(batch.unit)
                return self._ledger.replan_batch(entry, batch, keyset_id)
            signed = self._signed_before(entry, wallet)
            if not signed:
                self._refused(entry, batch, error)
                return None
        swapped = self._ledger.swap_batch(entry, batch, signed)
        return Entry(entry.stream, entry.version + 1, swapped)

    def _signed_before(self, newest: Entry, wallet: Wallet) -> tuple[Signed, ...]:
        """Return what the mint signed for an earlier plan of the same batch, if it did."""
        for entry in self._books.history(newest.stream)[: newest.version - 1]:
            if isinstance(entry.event, BatchPlanned | BatchReplanned):
                signed = wallet.restored(entry.event.batch.plan)
                amounts = entry.event.batch.plan.amounts
                if tuple(proof.amount for proof in signed) == amounts:
                    return signed
        return ()

    def _refused(self, entry: Entry, batch: Batch, refusal: MintRefusedError) -> None:
        """Let each deposit be tried alone; one that was, and is spent, is lost."""
        if len(batch.deposits) == 1 and refusal.code in FINAL:
            history = self._books.history(batch.deposits[0].stream)
            event = history[-1].event
            if isinstance(event, InstantCredited):
                lost = self._ledger.lose_instant(history[-1], event, refusal.detail)
                logger.error(
                    "ALARM: %d msat of locked tokens are lost at mint %s, which signed them and"
                    " does not take them; there nothing is credited at once any more",
                    lost.lost_msat,
                    lost.mint,
                )
        self._ledger.part_batch(entry, batch, refusal.detail)

    def _proofs(self, entry: Entry) -> list[Proof]:
        event = entry.event
        if not isinstance(event, InstantCredited):
            return []
        return unseal(self._sealer, self._opener, entry.stream, event.claim.sealed)
