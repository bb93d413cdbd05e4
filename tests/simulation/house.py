"""One process of the house in a simulation, built of the house's own parts."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast

from app.cashier.batch import Batches
from app.cashier.bill import Policy
from app.cashier.charge import Charges
from app.cashier.dead import known_dead
from app.cashier.deposit import Deposits
from app.cashier.expiry import Expiry
from app.cashier.foreign import ForeignTokens
from app.cashier.foreign_quote import ForeignLimits, ForeignQuotes
from app.cashier.instant import InstantTokens
from app.cashier.invoice import Invoices
from app.cashier.keys import Keys
from app.cashier.offers import Offers
from app.cashier.payout import Payouts
from app.cashier.quote import Quotes, Rates
from app.cashier.recover import Recovery
from app.cashier.refund import Refunds
from app.cashier.route import Route
from app.cashier.sizing import TokenSizes
from app.cashier.swap import Swaps, Tidiness
from app.cashier.ticket import Tickets
from app.cashier.vault import Addresses, Destinations, Vault
from app.cashier.withdrawal import Withdrawals
from app.gateways.breaker import Breaker
from app.gateways.lnurl import LightningAddresses
from app.gateways.mint.foreign import ForeignMints
from app.gateways.mint.gate import GateLimits
from app.gateways.mint.opener import Opener
from app.gateways.mint.seal import Sealer
from app.store.group import GroupCommit, OneByOne
from domain.guards import PAYOUT, SWAP
from domain.ledger import Ledger
from domain.msat import Msat
from tests.simulation.network import Fetch, Guard, Session
from tests.simulation.store import SimKeys, SimLocks, SimStore
from tests.simulation.upstream import BOOK, SimUpstream
from tests.simulation.wallet import SimMints, SimSeed

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from domain.command import Command
    from domain.event import Entry
    from tests.simulation.mint import SimMint
    from tests.simulation.stage import Process, Stage
    from tests.simulation.store import Disk

# Test vectors of BIP-39; they hold no money.
SEED = SimSeed.from_mnemonic("abandon " * 11 + "about")
OPENER_KEY = SEED.subkey(b"locks")
INSTANT_MAX = Msat(60_000)
LIMITS = ForeignLimits(fee_max_percent=20, amount_max=Msat(10_000_000), attempts_max=3)
GATE = GateLimits(at_once_max=100, limited_pause_s=1.0, pause_s=1.0)
DRAIN_S = 5.0
CHILD_COST = Msat(700)
SWEEP_AFTER = timedelta(seconds=2)


@dataclass(frozen=True)
class Parts:
    """Which makers the house is built of; a planted bug is another maker in its place."""

    store: Callable[[Disk, Stage, Process], SimStore] = SimStore
    ledger: Callable[[Callable[[Command], Entry], str], Ledger] = Ledger
    deposits: Callable[..., Deposits] = Deposits
    locks: Callable[[dict[str, Process], Process], SimLocks] = SimLocks
    keys: Callable[..., Keys] = Keys


@dataclass
class World:
    """What all processes share: mints, the store's disk, locks that fall with them."""

    stage: Stage
    disk: Disk
    ours: SimMint
    theirs: SimMint
    bank: SimMint
    parts: Parts = field(default_factory=Parts)
    holders: dict[str, Process] = field(default_factory=dict)

    @property
    def mints(self) -> dict[str, SimMint]:
        return {mint.url: mint for mint in (self.ours, self.theirs)}


class SimHouse:
    """The parts of one process; all its lines and its pauses are the stage's."""

    def __init__(self, world: World, process: Process, *, groups: bool) -> None:
        stage, parts = world.stage, world.parts
        self.stage = stage
        self.process = process
        self.store = parts.store(world.disk, stage, process)
        self.locks = parts.locks(world.holders, process)
        record = (GroupCommit if groups else OneByOne)(self.store.commit).record
        self.ledger = parts.ledger(record, process.name)
        self.locks.take(process.name)
        self._line = Session(stage, process, world.mints)
        self.mints = SimMints(
            [world.ours.url],
            SEED,
            connect_timeout_s=1.0,
            timeout_s=1.0,
            limits=GATE,
            session=lambda: cast("Any", self._line),
            clock=stage.clock,
        )
        self._vault = Vault(SEED.subkey, SimKeys(self.store))
        self._sealer = Sealer(SEED.subkey(b"sealed proofs"))
        self._opener = Opener(OPENER_KEY, lambda: stage.now().timestamp())
        self.deposits = self._deposits(parts)
        self.batches = Batches(
            self.ledger,
            self.mints,
            self._sealer,
            self.store,
            self._opener,
            self.pause,
            stage.new_id,
        )
        self.refunds = Refunds(
            self.ledger, self.mints, self.store, self.pause, self.batches.gather, stage.new_id
        )
        self.payouts = self._payouts(world)
        self.invoices = Invoices(
            self.ledger,
            self.mints,
            self.store,
            self._quote_key,
            self.pause,
            stage.now,
            stage.clock,
        )
        self.withdrawals = Withdrawals(self.payouts, self.refunds, self.mints, self.store)
        self._sell()
        self._keep_order(parts)

    @property
    def pubkey(self) -> str:
        return self._opener.pubkey

    def pause(self, seconds: float) -> None:
        self.stage.sleep(self.process, seconds)

    def close(self) -> None:
        self.store.close()

    def _quote_key(self, movement: UUID) -> bytes:
        return SEED.subkey(b"quote:" + movement.bytes)

    def _deposits(self, parts: Parts) -> Deposits:
        instant = InstantTokens(
            self.ledger,
            self.mints,
            self._sealer,
            self.store.history,
            self._opener,
            INSTANT_MAX,
            lambda: self.stage.now().timestamp(),
        )
        guard = cast("Any", Guard(self._line))
        quotes = ForeignQuotes(
            self.mints, self._sealer, self._quote_key, LIMITS, self.stage.now
        )
        foreign = ForeignTokens(
            self.ledger,
            self.mints,
            ForeignMints(None, guard, SEED, timeout_s=1.0),
            quotes,
            self._sealer,
            self.store.history,
            self.pause,
            self.stage.clock,
        )
        return parts.deposits(
            self.ledger,
            self.mints,
            self._sealer,
            self.store.history,
            self.pause,
            [instant, foreign],
            known_dead(self.store),
            self._opener,
        )

    def _payouts(self, world: World) -> Payouts:
        guard = Guard(self._line)
        fetch = cast("Any", Fetch(self.stage, self.process, world.bank, guard))
        addresses = LightningAddresses(fetch, now=self.stage.now)
        return Payouts(
            self.ledger,
            self.mints,
            addresses,
            Offers(self.mints, addresses, self.store),
            Destinations(self._vault),
            self.store,
            self.pause,
        )

    def _sell(self) -> None:
        upstream = cast("Any", SimUpstream(self.stage, self.process))
        route = Route("main", BOOK, upstream, breaker=Breaker("main", self.stage.clock))
        rates = Rates(
            lambda: None, fixed_btc_usd=None, stale_after_s=900.0, clock=self.stage.clock
        )
        quotes = Quotes(lambda: (route,), rates)
        self.charges = Charges(
            self.ledger,
            quotes,
            Policy("estimate", DRAIN_S),
            self.stage.clock,
            self.store.account,
            self.pause,
        )
        self.tickets = Tickets(
            self.deposits,
            self.charges,
            self.refunds,
            quotes,
            TokenSizes(self.mints, self.stage.clock),
            self.store,
        )

    def _keep_order(self, parts: Parts) -> None:
        self.keys = parts.keys(
            self.ledger, self.store, Addresses(self._vault), CHILD_COST, self.pause
        )
        self.expiry = Expiry(
            self.store,
            self.refunds,
            self.payouts,
            self.keys.refund_address,
            self.stage.now,
            self.stage.new_id,
        )
        self.swaps = Swaps(
            self.ledger,
            self.mints,
            self.store,
            Tidiness(alike_max=3, fee_max_msat=0),
            self.pause,
            self.stage.now,
            self.stage.new_id,
        )
        self.recovery = Recovery(
            self.ledger,
            self.store,
            self.locks,
            self.deposits,
            self.refunds,
            self.stage.clock,
            {SWAP: self.swaps.resume, PAYOUT: self.payouts.resume},
            timedelta(hours=1),
        )

    def sweep_tokens(self) -> int:
        """Take back what nobody has collected; far sooner than a real house would."""
        swept = self.recovery.sweep_tokens(SWEEP_AFTER)
        for _ in range(swept):
            self.stage.told.count("tokens swept")
        return swept

    def jobs(self) -> list[Callable[[], object]]:
        """Return what the back office does by the clock until nothing is open."""
        return [
            self.recovery.release_orphans,
            self.recovery.release_orphans,
            self.recovery.finish_movements,
            self.recovery.watch_tokens,
            self.batches.sweep,
            self.invoices.watch,
            self.swaps.tidy,
        ]
