"""Looks behind the counters that the log knows: a mint may have signed more for us."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Protocol
from uuid import uuid4

from app.cashier.own import states_of
from app.gateways.errors import GatewayError
from app.gateways.mint.wire import ProofState
from domain.deposit import Plan
from domain.errors import CountersMovedError, LedgerError
from domain.guards import FREE
from domain.keyset import AdvanceKeyset
from domain.msat import MSAT_PER_UNIT
from domain.purse import Spent

if TYPE_CHECKING:
    from app.gateways.mint.mints import Mints
    from app.gateways.mint.wallet import Wallet
    from domain.deposit import Signed
    from domain.guards import KeysetRow, ProofKey, ProofRow
    from domain.ledger import Ledger

logger = logging.getLogger(__name__)

BATCH = 100
EMPTY_MAX = 2
"""After so many batches of which a mint has signed nothing, there is nothing more."""

BATCHES_MAX = 10_000
TRIES = 3


class Books(Protocol):
    """What a probe reads of the store."""

    def counters(self) -> dict[str, KeysetRow]: ...

    def holdings(self, mint: str) -> tuple[int, dict[ProofKey, ProofRow]]: ...


class Probe:
    """Asks each mint what it has signed for us at counters the log calls unused (NUT-09).

    After an old backup was restored there is something: the log has forgotten deposits,
    refunds and tokens. Their counters are passed over, for whoever asks for outputs at
    them is refused; what of it is unspent is told and left alone, for whose it is, the log
    does not know: a token that a client still holds is derived from our seed, too.
    """

    def __init__(self, ledger: Ledger, mints: Mints, books: Books) -> None:
        self._ledger = ledger
        self._mints = mints
        self._books = books

    def run(self) -> int:
        """Probe every keyset of every mint; return of how many the counters were moved."""
        return sum(self._probed_at(wallet) for wallet in self._mints)

    def _probed_at(self, wallet: Wallet) -> int:
        moved = sum(
            self._probed(wallet, keyset_id, unit)
            for unit in MSAT_PER_UNIT
            for keyset_id in self._keysets(wallet, unit)
        )
        if moved:
            for unit in MSAT_PER_UNIT:
                self._lost(wallet, unit)
        return moved

    def _lost(self, wallet: Wallet, unit: str) -> None:
        """Take out of the purse what was spent in the time that the log has forgotten."""
        _, rows = self._books.holdings(wallet.url)
        free = [
            Spent(keyset_id=key.keyset_id, counter=key.counter, amount=row.amount)
            for key, row in rows.items()
            if row.state == FREE and row.unit == unit
        ]
        try:
            states = states_of(wallet, free)
            spent = tuple(each for each in free if states[each] is ProofState.SPENT)
            if spent:
                lost = self._ledger.lose_proofs(uuid4(), wallet.purse(unit), spent)
                fields = {"mint": wallet.url, "lost_msat": lost.lost_msat}
                logger.error(
                    "proofs are spent and nobody knows for what", extra={"fields": fields}
                )
        except (GatewayError, LedgerError) as error:
            # What is left in is named by the reconciliation.
            logger.warning("no look at the purse: %s", type(error).__name__)

    def _keysets(self, wallet: Wallet, unit: str) -> list[str]:
        try:
            return list(wallet.keysets.fees(unit))
        except GatewayError as error:
            logger.warning("no probe at %s: %s", wallet.url, type(error).__name__)
            return []

    def _probed(self, wallet: Wallet, keyset_id: str, unit: str) -> bool:
        for _ in range(TRIES):
            row = self._books.counters().get(keyset_id)
            try:
                found = self._found(wallet, keyset_id, unit, row.next_counter if row else 0)
                if found is None:
                    return False
                self._ledger.advance_keyset(found)
            except CountersMovedError:
                # Another process is at work: what was found may be its own, by now recorded.
                continue
            except (GatewayError, LedgerError) as error:
                fields = {"mint": wallet.url, "keyset_id": keyset_id}
                name = type(error).__name__
                logger.warning("no probe: %s", name, extra={"fields": fields})
                return False
            _alarm(found)
            return True
        return False

    def _found(
        self, wallet: Wallet, keyset_id: str, unit: str, begin: int
    ) -> AdvanceKeyset | None:
        """Return what the mint has signed from the counter `begin` on, if anything."""
        signed = _signed_behind(wallet, keyset_id, begin)
        if not signed:
            return None
        states = wallet.states([(proof.keyset_id, proof.counter) for proof in signed])
        unspent = sum(
            proof.amount
            for proof, state in zip(signed, states, strict=True)
            if state is not ProofState.SPENT
        )
        return AdvanceKeyset(
            mint=wallet.url,
            unit=unit,
            keyset_id=keyset_id,
            counter_from=begin,
            counter_to=max(proof.counter for proof in signed) + 1,
            signed_count=len(signed),
            unspent_msat=unspent * MSAT_PER_UNIT[unit],
        )


def _signed_behind(wallet: Wallet, keyset_id: str, begin: int) -> list[Signed]:
    """Return all that a mint has signed at and behind a counter, gaps and all."""
    signed: list[Signed] = []
    empty = 0
    for batch in range(BATCHES_MAX):
        # The amounts are not asked for, but told: a restored signature has its own.
        plan = Plan(
            keyset_id=keyset_id, counter_from=begin + batch * BATCH, amounts=(1,) * BATCH
        )
        found = wallet.restored(plan)
        signed += found
        empty = 0 if found else empty + 1
        if empty == EMPTY_MAX:
            break
    return signed


def _alarm(found: AdvanceKeyset) -> None:
    fields = {
        "mint": found.mint,
        "keyset_id": found.keyset_id,
        "counter_from": found.counter_from,
        "counter_to": found.counter_to,
        "signed": found.signed_count,
        "unspent_msat": found.unspent_msat,
    }
    logger.error(
        "the mint has signed what the log knows nothing of: was an old backup restored?",
        extra={"fields": fields},
    )
