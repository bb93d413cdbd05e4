"""The parts that every process of the house has in common, built from the settings."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from app.cashier.dead import known_dead
from app.cashier.invoice import Invoices
from app.cashier.keys import Keys
from app.cashier.offers import Offers
from app.cashier.opening import Taking, open_batches, open_deposits, quote_key
from app.cashier.payout import Payouts
from app.cashier.refund import Refunds
from app.cashier.vault import Addresses, Destinations, Vault
from app.changes import present
from app.environment import SettingsError
from app.gateways.guarded import Fetch, Guard
from app.gateways.lnurl import LightningAddresses
from app.gateways.mint.crypto import Seed
from app.gateways.mint.gate import GateLimits
from app.gateways.mint.mints import Mints
from app.gateways.way_out import WayOut
from app.logs import set_up_logs
from app.metrics import Metrics
from app.sealing.check import is_of_another
from app.sealing.sign import SigningKey
from app.store.data_keys import DataKeys
from app.store.opening import Store, open_store
from app.store.seals import Seals
from domain.errors import PricingError
from domain.ledger import Ledger
from domain.msat import Msat
from domain.price_list import entries_of, fixed, from_models_json
from projections.checkpoint import origin_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.cashier.batch import Batches
    from app.cashier.deposit import Deposits
    from app.settings import Settings
    from app.store.locks import Locks
    from domain.foreign_ledger import Record
    from domain.guards import SettingRow
    from domain.pricing import PriceBook

CHECKPOINTS = b"checkpoints"
# Such a process would take in proofs that no other can spend, and could open none of theirs.
ANOTHER_SEED = (
    "WALLET_SEED: the books at DATABASE_URL were signed with another seed. All hosts of a house"
    " have the same."
)
PROXY_TIMEOUT_S = 30.0
"""Tor finds a way to an onion service in seconds, and at times in many."""


@dataclass(frozen=True)
class House:
    """The parts that workers and the back office have in common.

    `given` are the settings of the environment, which the house is known by; `settings` are
    those of now, with `changes` while it is open.
    """

    given: Settings
    changed: dict[str, SettingRow]
    settings: Settings
    store: Store
    locks: Locks
    ledger: Ledger
    seed: Seed
    mints: Mints
    deposits: Deposits
    refunds: Refunds
    batches: Batches
    addresses: LightningAddresses
    payouts: Payouts
    invoices: Invoices
    keys: Keys
    book: PriceBook
    models: list[dict[str, Any]]
    metrics: Metrics
    way: WayOut
    guard: Guard


def build(given: Settings, records: Callable[[Store], Record]) -> House:
    """Build what everybody needs; `records` decides how commands reach the store.

    Raises `SettingsError`, `StoreError`.
    """
    set_up_logs(given.log_level)
    store, locks = open_store(given.database_url)
    changed = store.settings()
    settings = present(given, changed)
    models, book = read_prices(settings)
    seed = Seed.from_mnemonic(settings.wallet_seed.get_secret_value())
    own_key(given, seed, store)
    ledger = Ledger(records(store), owner=f"process-{uuid4().hex}")
    way, metrics = way_out(settings), Metrics()
    mints = Mints(
        settings.cashu_mints,
        seed,
        connect_timeout_s=settings.mint_timeout_s,
        timeout_s=settings.mint_timeout_s,
        limits=GateLimits(settings.mint_requests_max, 4 * settings.mint_requests_max),
        session=partial(way.session, settings.mint_timeout_s),
        count=partial(metrics.count_failure, "mint"),
    )
    batches = open_batches(ledger, mints, seed, store)
    guard = guard_of(settings, way)
    addresses = LightningAddresses(Fetch(guard))
    payouts = Payouts(
        ledger,
        mints,
        addresses,
        Offers(mints, addresses, store),
        Destinations(_vault(seed, store)),
        store,
    )
    return House(
        given=given,
        changed=changed,
        settings=settings,
        store=store,
        locks=locks,
        ledger=ledger,
        seed=seed,
        mints=mints,
        deposits=_deposits(settings, ledger, mints, seed, store, guard),
        refunds=Refunds(ledger, mints, store, gather=batches.gather),
        batches=batches,
        addresses=addresses,
        payouts=payouts,
        invoices=Invoices(ledger, mints, store, partial(quote_key, seed)),
        keys=_keys(settings, ledger, store, seed),
        book=book,
        models=models,
        metrics=metrics,
        way=way,
        guard=guard,
    )


def way_out(settings: Settings) -> WayOut:
    """Return by which way connections leave the house."""
    proxy = settings.tor_proxy_url
    return WayOut(
        proxy.get_secret_value() if proxy else None, only_onion=settings.tor_only_onion
    )


def guard_of(settings: Settings, way: WayOut) -> Guard:
    """Return what decides where strangers may send us."""
    if way.proxy_url is None:
        return Guard(settings.guard_allow)
    return Guard(
        settings.guard_allow,
        through=way.through,
        goes_through=way.goes_through,
        connect_timeout_s=PROXY_TIMEOUT_S,
    )


def renewed(house: House) -> House:
    """Return the house as the settings of now want it; what is not of them stays the same.

    Raises `SettingsError`, `StoreError`.
    """
    changed = house.store.settings()
    settings = present(house.given, changed)
    models, book = read_prices(settings)
    return replace(
        house,
        changed=changed,
        settings=settings,
        deposits=_deposits(
            settings, house.ledger, house.mints, house.seed, house.store, house.guard
        ),
        keys=_keys(settings, house.ledger, house.store, house.seed),
        book=book,
        models=models,
    )


def signing_key(given: Settings, seed: Seed) -> SigningKey:
    """Return the key for checkpoints and receipts; its `verifier` is for everybody to know.

    The name it signs under is of the environment alone: no change while the house is open
    must make another house of it.
    """
    return SigningKey(seed.subkey(CHECKPOINTS), origin_of(given.http_url, given.name))


def own_key(given: Settings, seed: Seed, store: Store) -> SigningKey:
    """Return the same; raises `SettingsError` if the books were signed with another seed.

    To sign them with this one would lock out whoever has the other.
    """
    key = signing_key(given, seed)
    if is_of_another(Seals(store), key.verifier.public):
        raise SettingsError(ANOTHER_SEED)
    return key


def read_prices(settings: Settings) -> tuple[list[dict[str, Any]], PriceBook]:
    """Return the models as they are listed, and the book that requests are charged by.

    Raises `SettingsError` naming the file and what is wrong in it.
    """
    path = settings.models_file
    try:
        document = json.loads(path.read_text())
        markup = Fraction(settings.exchange_fee) * Fraction(settings.upstream_provider_fee)
        book = from_models_json(document, markup - 1)
    except (OSError, ValueError, RecursionError, PricingError) as error:
        raise SettingsError(f"MODELS_PATH: {path}: {error}") from error
    if not settings.model_based_pricing:
        book = fixed(
            *(
                Fraction(price)
                for price in (
                    settings.cost_per_request,
                    settings.cost_per_1k_input_tokens,
                    settings.cost_per_1k_output_tokens,
                )
            )
        )
    return entries_of(document), book


def _deposits(
    settings: Settings, ledger: Ledger, mints: Mints, seed: Seed, store: Store, guard: Guard
) -> Deposits:
    return open_deposits(
        ledger,
        mints,
        seed,
        store.history,
        _taking(settings),
        guard,
        find_dead=known_dead(store),
    )


def _keys(settings: Settings, ledger: Ledger, store: Store, seed: Seed) -> Keys:
    cost = Msat(settings.child_key_cost_msat)
    return Keys(ledger, store, Addresses(_vault(seed, store)), cost)


def _vault(seed: Seed, store: Store) -> Vault:
    return Vault(seed.subkey, DataKeys(store))


def _taking(settings: Settings) -> Taking:
    return Taking(
        foreign_urls=settings.foreign_urls,
        foreign_fee_max_percent=settings.foreign_fee_max_percent,
        foreign_max=Msat.from_sat(settings.foreign_max_sat),
        instant_max=Msat.from_sat(settings.instant_max_sat),
        timeout_s=settings.mint_timeout_s,
    )
