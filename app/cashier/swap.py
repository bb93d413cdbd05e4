"""Keeps the purse in order: few proofs, all of keysets that are in use, at a bounded cost."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol
from uuid import UUID, uuid4

from app.cashier.own import are_unspent, inputs_of, made_before, other_purse, states_of
from app.cashier.turns import PAUSE_S, STEPS_MAX, Turns
from app.gateways.errors import GatewayError, MintRefusedError, MintUnknownError
from domain.errors import LedgerError, MovementEndedError, NothingToSwapError
from domain.event import Entry
from domain.guards import SWAP, MovementRow
from domain.identity import OWNER
from domain.msat import MSAT_PER_UNIT
from domain.swap import Order, SwapDone, SwapRedrafted, SwapStarted
from projections.chart import NotToldError
from projections.spending import spent_on_day_msat

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.cashier.own import Books as OwnBooks
    from app.gateways.mint.mints import Mints
    from app.gateways.mint.wallet import Wallet
    from domain.deposit import Signed
    from domain.ledger import Ledger
    from domain.swap import SelfSwap
    from projections.chart import Source

    class Books(Source, OwnBooks, Protocol):
        """What keeping order reads of the store."""

        def movements_of(
            self, account_id: UUID, kind: str
        ) -> list[tuple[UUID, MovementRow]]: ...

        def free(self, mint: str, unit: str) -> int: ...

        def keysets_free(self, mint: str, unit: str) -> list[str]: ...


logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Tidiness:
    """How many free proofs of one amount are enough, and what order may cost a day.

    With `alike_max` 0 no number is too many; with `fee_max_msat` 0 only what is free of
    charge is swapped.
    """

    alike_max: int
    fee_max_msat: int


class Swaps:
    """Swaps proofs of ours for others of ours; each swap is recorded before the mint is asked.

    A swap has no other end than being done. Giving one up safely would need another swap
    of the same inputs to ourselves, which is the same thing once more.
    """

    def __init__(
        self,
        ledger: Ledger,
        mints: Mints,
        books: Books,
        tidiness: Tidiness,
        pause: Callable[[float], None] = time.sleep,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        new_id: Callable[[], UUID] = uuid4,
    ) -> None:
        self._ledger = ledger
        self._mints = mints
        self._books = books
        self._tidiness = tidiness
        self._pause = pause
        self._now = now
        self._new_id = new_id
        self._turns = Turns()

    def tidy(self) -> int:
        """Swap once at each purse that is not in order; return how many swaps were done.

        One swap at a time in all: what is set aside for order nobody can be paid with.
        """
        if self._books.movements_of(OWNER, SWAP):
            return 0
        return sum(
            self._tidied(wallet, unit)
            for wallet in self._mints
            for unit in MSAT_PER_UNIT
            if self._books.free(wallet.url, unit)
        )

    def resume(self, entry: Entry) -> SwapDone:
        """Go on with a swap from its newest entry; raises a `GatewayError`."""
        with self._turns.at(entry.stream):
            for _ in range(STEPS_MAX):
                event = entry.event
                if isinstance(event, SwapDone):
                    return event
                if not isinstance(event, SwapStarted | SwapRedrafted):
                    raise TypeError(event)
                try:
                    entry = self._step(entry, event.swap)
                except MovementEndedError:
                    entry = self._newest(entry)
            raise MintUnknownError("the mint takes no outputs")

    def _tidied(self, wallet: Wallet, unit: str) -> bool:
        try:
            order = self._order(wallet, unit)
            held = self._books.keysets_free(wallet.url, unit)
            purse = wallet.purse(unit, held)
            entry = self._ledger.start_swap(self._new_id(), purse, order)
            done = self.resume(entry)
        except NothingToSwapError:
            return False
        except (GatewayError, LedgerError, NotToldError) as error:
            logger.info("swap at %s: %s", wallet.url, type(error).__name__)
            return False
        fields = {"mint": wallet.url, "unit": unit, "fee_msat": done.swap.fee_msat}
        counts = {"inputs": len(done.swap.inputs), "outputs": len(done.proofs)}
        logger.info("purse tidied", extra={"fields": {**fields, **counts}})
        return True

    def _order(self, wallet: Wallet, unit: str) -> Order:
        spent_msat = spent_on_day_msat(self._books, self._now())
        left_msat = max(self._tidiness.fee_max_msat - spent_msat, 0)
        return Order(
            active=frozenset(wallet.keysets.in_use(unit)),
            alike_max=self._tidiness.alike_max,
            fee_max=left_msat // MSAT_PER_UNIT[unit],
        )

    def _step(self, entry: Entry, swap: SelfSwap) -> Entry:
        wallet = self._mints.get(swap.mint)
        inputs = inputs_of(wallet, self._books, entry.stream, swap.inputs)
        if inputs is None:
            return self._newest(entry)
        try:
            signed = wallet.swap(inputs, swap.plan)
        except MintRefusedError as refusal:
            if are_unspent(states_of(wallet, swap.inputs)):
                self._pause(PAUSE_S)
                purse = other_purse(wallet, swap, refusal)
                return self._ledger.redraft_swap(entry, swap, purse)
            swap, signed = self._made_before(entry, wallet, refusal)
        done = self._ledger.finish_swap(entry, swap, signed)
        return Entry(entry.stream, entry.version + 1, done)

    def _made_before(
        self, entry: Entry, wallet: Wallet, refusal: MintRefusedError
    ) -> tuple[SelfSwap, tuple[Signed, ...]]:
        history = self._books.history(entry.stream)
        event, signed = made_before(wallet, history, refusal)
        if not isinstance(event, SwapStarted | SwapRedrafted):
            raise TypeError(event)
        return event.swap, signed

    def _newest(self, entry: Entry) -> Entry:
        return self._books.history(entry.stream)[-1]
