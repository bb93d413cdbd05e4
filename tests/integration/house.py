"""A house built of its real parts through their constructors, as `main` builds it."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass, replace
from datetime import timedelta
from fractions import Fraction
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from mnemonic import Mnemonic

from app.cashier.bill import Call, Policy
from app.cashier.charge import Charges
from app.cashier.dead import known_dead
from app.cashier.expiry import Expiry
from app.cashier.invoice import Invoices
from app.cashier.offers import Offers
from app.cashier.opening import Taking, open_batches, open_deposits
from app.cashier.payout import Payouts
from app.cashier.quote import Quotes, Rates
from app.cashier.recover import Recovery
from app.cashier.refund import Refunds
from app.cashier.route import Route
from app.cashier.sizing import TokenSizes
from app.cashier.swap import Swaps, Tidiness
from app.cashier.ticket import Tickets
from app.cashier.vault import Destinations, Vault
from app.gateways.guarded import Fetch, Guard
from app.gateways.lnurl import LightningAddresses
from app.gateways.mint.crypto import Seed
from app.gateways.mint.mints import Mints
from app.store.data_keys import DataKeys
from app.store.group import OneByOne
from app.store.locks import FileLocks, PostgresLocks
from app.store.opening import Store, open_store
from domain.guards import PAYOUT, SWAP
from domain.ledger import Ledger
from domain.msat import Msat
from domain.price_list import fixed
from tests.integration.fuse import Fuse, FusedAdapter, FusedGuard, FusedUpstream

if TYPE_CHECKING:
    from app.cashier.batch import Batches
    from app.cashier.deposit import Deposits

# In sat a request, sat for 1,000 tokens in and out: as many msat for one token.
PRICES = fixed(Fraction(1), Fraction(10), Fraction(20))
PRICES_SETTINGS = {
    "MODEL_BASED_PRICING": "false",
    "COST_PER_REQUEST": "1",
    "COST_PER_1K_INPUT_TOKENS": "10",
    "COST_PER_1K_OUTPUT_TOKENS": "20",
}
"""The same prices, as an operator sets them."""
QUESTION = "please count to four"
COST_MSAT = 1_000 + 4 * 10 + (11 + 4) * 20
"""What `QUESTION` costs: 4 words in, and out the sample's 11 with the same 4 again."""

AT_ONCE = timedelta(0)
STEP_S = 60.0
MOST = Msat(10_000_000)


@dataclass(frozen=True)
class Address:
    """Where everything is that a house needs; as JSON it goes to another process."""

    database_url: str
    mint_url: str
    upstream_url: str
    seed_phrase: str
    allow: tuple[str, ...] = ()
    foreign_url: str = ""


def new_address(database_url: str, mint_url: str, upstream_url: str) -> Address:
    """Return an address with a seed of its own.

    Two houses with one seed would use each other's counters.
    """
    return Address(database_url, mint_url, upstream_url, Mnemonic("english").generate())


@dataclass(frozen=True)
class House:
    """The parts of one process of the house."""

    store: Store
    locks: FileLocks | PostgresLocks
    ledger: Ledger
    mints: Mints
    deposits: Deposits
    refunds: Refunds
    payouts: Payouts
    invoices: Invoices
    charges: Charges
    upstream: FusedUpstream
    tickets: Tickets
    recovery: Recovery
    swaps: Swaps
    batches: Batches

    def deposit(self, text: str, account_id: UUID | None = None) -> int:
        """Present a token, by default as a key; return what was credited, in msat."""
        token = self.deposits.read(text)
        owner = account_id or self.deposits.account_of(token)
        return self.deposits.deposit(token, owner).credited_msat

    def chat(self, account_id: UUID, *, stream: bool) -> bytes:
        """Have a chat that costs `COST_MSAT`; return all that the client reads."""
        body = self.charges.serve(chat(account_id, stream=stream)).body
        return body if isinstance(body, bytes) else b"".join(body)

    def buy(self, text: str) -> str:
        """Have a chat for a token, as `X-Cashu` is paid; return its change."""
        ticket = self.tickets.read(text)
        call = chat(ticket.account_id, stream=False)
        self.tickets.serve(ticket, replace(call, request_id=ticket.request_id))
        return self.tickets.change(ticket).token

    def recover(self) -> None:
        """Do all that the back office does about what others left unfinished."""
        for _ in range(2):
            # Seen missing once, and once more after the time of grace.
            self.recovery.release_orphans()
        self.recovery.finish_movements(older_than=AT_ONCE)
        self.recovery.watch_tokens(older_than=AT_ONCE)
        self.invoices.watch()
        self.batches.sweep()

    def refund_expired(self) -> int:
        """Refund what is left on expired keys, none of which has an address."""
        return Expiry(
            self.store, self.refunds, self.payouts, lambda _account_id: ""
        ).refund_expired()

    def close(self) -> None:
        """Give back all that a process's end gives back by itself."""
        self.store.close()
        self.upstream.close()
        for wallet in self.mints:
            wallet.client._session.close()
        if isinstance(self.locks, FileLocks):
            for file in self.locks._held.values():
                file.close()
        elif self.locks._session is not None:
            self.locks._session.close()

    def msat(self, account_id: UUID) -> tuple[int, int]:
        """Return what an account has available and held."""
        row = self.store.account(account_id)
        return (0, 0) if row is None else (row.available_msat, row.held_msat)


def build(address: Address, fuse: Fuse | None = None) -> House:
    """Build a house; with a `fuse` it will die at its place."""
    fuse = fuse or Fuse()
    store, locks = open_store(address.database_url)
    seed = Seed.from_mnemonic(address.seed_phrase)
    record = fuse.recording(OneByOne(store.commit).record)
    ledger = Ledger(record, owner=f"process-{uuid4().hex}")
    assert isinstance(locks, FileLocks | PostgresLocks)
    locks.take(ledger.owner)
    ledger.adopt_prices(PRICES.version, PRICES.to_document())
    mints = Mints([address.mint_url], seed, connect_timeout_s=5.0, timeout_s=20.0)
    for wallet in mints:
        wallet.client._session.mount("http://", FusedAdapter(fuse))
    taking = Taking((address.foreign_url,), 10, MOST, timeout_s=20.0, instant_max=MOST)
    guard = FusedGuard(address.foreign_url, fuse)
    dead = known_dead(store)
    deposits = open_deposits(ledger, mints, seed, store.history, taking, guard, find_dead=dead)
    batches = open_batches(ledger, mints, seed, store)
    refunds = Refunds(ledger, mints, store, gather=batches.gather)
    payouts = _payouts(address, ledger, mints, seed, store)
    invoices = Invoices(
        ledger,
        mints,
        store,
        lambda invoice_id: seed.subkey(b"quote:" + invoice_id.bytes),
        # Minutes pass between one look and the next.
        clock=itertools.count(0.0, 10 * STEP_S).__next__,
    )
    rates = Rates(store.rate, fixed_btc_usd=None, stale_after_s=60.0)
    upstream = FusedUpstream(address.upstream_url, fuse)
    routes = (Route("upstream", PRICES, upstream),)
    quotes = Quotes(lambda: routes, rates)
    charges = Charges(
        ledger,
        quotes,
        Policy("estimate", drain_s=20.0),
    )
    tickets = Tickets(deposits, charges, refunds, quotes, TokenSizes(mints), store)
    # A clock that leaps at each look, so that nobody waits for times of grace.
    clock = itertools.count(0.0, STEP_S).__next__
    swaps = Swaps(ledger, mints, store, Tidiness(alike_max=2, fee_max_msat=100_000))
    others = {SWAP: swaps.resume, PAYOUT: payouts.resume}
    recovery = Recovery(ledger, store, locks, deposits, refunds, clock, others)
    return House(
        store,
        locks,
        ledger,
        mints,
        deposits,
        refunds,
        payouts,
        invoices,
        charges,
        upstream,
        tickets,
        recovery,
        swaps,
        batches,
    )


def _payouts(
    address: Address, ledger: Ledger, mints: Mints, seed: Seed, store: Store
) -> Payouts:
    addresses = LightningAddresses(Fetch(Guard(address.allow)))
    return Payouts(
        ledger,
        mints,
        addresses,
        Offers(mints, addresses, store),
        Destinations(Vault(seed.subkey, DataKeys(store))),
        store,
        on_its_way=AT_ONCE,
    )


def chat(account_id: UUID, *, stream: bool, model: str = "gpt-4o-mini") -> Call:
    """Return a call that costs `COST_MSAT`."""
    document: dict[str, Any] = {
        "model": model,
        "messages": [{"role": "user", "content": QUESTION}],
        "max_tokens": 64,
        "stream": stream,
    }
    return Call(
        request_id=uuid4(),
        account_id=account_id,
        path="/chat/completions",
        model=model,
        document=document,
        body=json.dumps(document).encode(),
        headers={"content-type": "application/json"},
        stream=stream,
    )
