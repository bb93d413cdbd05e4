"""The floor plan: every part of the house is built here and handed to those who use it."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from fractions import Fraction
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import gevent
import requests
from gevent.threadpool import ThreadPool

from app.cashier.bill import Policy
from app.cashier.charge import Charges
from app.cashier.deposit import Deposits
from app.cashier.invoice import Invoices
from app.cashier.quote import Quotes, Rates
from app.cashier.rates import RateDesk
from app.cashier.reconcile import Reconciliation
from app.cashier.recover import ASK_AGAIN_AFTER, Recovery
from app.cashier.refund import Refunds
from app.cashier.route import Route
from app.cashier.sizing import TokenSizes
from app.cashier.swap import Swaps, Tidiness
from app.cashier.ticket import Tickets
from app.gateways.exchange import Exchange
from app.gateways.mint.crypto import Seed
from app.gateways.mint.mints import Mints
from app.gateways.mint.seal import Sealer
from app.gateways.upstream import Upstream
from app.jobs import BackOffice, Job
from app.logs import set_up_logs
from app.sealing.prove import Proofs
from app.sealing.receipts import Receipts
from app.sealing.sign import Sealing, SigningKey
from app.settings import Settings, SettingsError, load_settings
from app.store.opening import Store, open_store
from app.store.seals import Seals
from app.store.threads import beside_the_hub, in_groups, one_by_one
from app.web import proof, receipts, statement
from app.web.admin import shell
from app.web.admin.log import Log
from app.web.admin.password import Password, Throttle
from app.web.admin.room import Auditor
from app.web.admin.session import Sessions
from app.web.app import Doors, create_web
from app.web.bearer import Bearer
from app.web.info import About
from app.web.ratelimits import Limits, RealAddress
from app.web.statement import Books
from domain.errors import PricingError
from domain.guards import SWAP
from domain.ledger import Ledger, Record
from domain.msat import MSAT_PER_SAT
from domain.price_list import entries_of, fixed, from_models_json
from projections.checkpoint import origin_of
from projections.follow import catch_up
from projections.invoices import find_invoice
from projections.sheets import SHEETS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from decimal import Decimal
    from uuid import UUID

    from flask import Flask

    from app.store.locks import Locks
    from domain.pricing import PriceBook

KEEP_EVERY_S = 5.0
FOLLOW_EVERY_S = 2.0
FINISH_EVERY_S = 10.0
TIDY_EVERY_S = 60.0
SWEEP_EVERY_S = 3600.0
WATCH_EVERY_S = 5.0
UPSTREAM_CONNECTIONS_MAX = 2000
SEAL_EVERY_S = 60.0
COMPARE_EVERY_S = 86_400.0
SEAL, API_KEYS, CHECKPOINTS = b"sealed proofs", b"api keys", b"checkpoints"
ADMIN_SESSIONS = b"admin session"
DEFAULT_PROVIDER = "default"


@dataclass(frozen=True)
class House:
    """The parts that workers and the back office have in common."""

    settings: Settings
    store: Store
    locks: Locks
    ledger: Ledger
    seed: Seed
    mints: Mints
    deposits: Deposits
    refunds: Refunds
    invoices: Invoices
    book: PriceBook
    models: list[dict[str, Any]]


def create_app(settings: Settings | None = None) -> Flask:
    """Return the WSGI application of one gevent worker."""
    house = build(settings or load_settings(), in_groups)
    house.locks.take(house.ledger.owner)
    house.ledger.adopt_prices(house.book.version, house.book.to_document())
    gevent.spawn(_keep_alive, house.locks)
    doors = _doors(house)
    app = create_web(doors)
    seals = Seals(house.store)
    app.register_blueprint(proof.blueprint(Proofs(seals)))
    # A store of its own: a long statement must not delay what moves money.
    told, _ = open_store(house.settings.database_url)
    bearer = Bearer(house.deposits, house.store.account)
    app.register_blueprint(statement.blueprint(Books(bearer, beside_the_hub(told))))
    key = signing_key(house.settings, house.seed)
    written = Receipts(seals, key, house.store.mapper.decode)
    routes = receipts.blueprint(bearer, doors.tickets.account_of, written.of_request)
    app.register_blueprint(routes)
    if house.settings.trusted_proxies:
        app.wsgi_app = RealAddress(app.wsgi_app, house.settings.trusted_proxies)  # type: ignore[method-assign]  # how Flask documents it
    if house.settings.admin_password is not None:
        password = house.settings.admin_password.get_secret_value()
        shell.attach(app, _auditor(house, told, password))
    return app


def create_back_office(settings: Settings) -> BackOffice:
    """Return the back office; it begins to work when it is run."""
    house = build(settings, one_by_one)
    house.locks.take(house.ledger.owner)
    swaps = Swaps(house.ledger, house.mints, house.store, _tidiness(settings))
    recovery = Recovery(
        house.ledger,
        house.store,
        house.locks,
        house.deposits,
        house.refunds,
        others={SWAP: swaps.resume},
    )
    # A store of its own: following writes long pages, and must not delay what moves money.
    followed, _ = open_store(settings.database_url)
    sealing = create_sealing(settings, house.seed)
    jobs = [
        Job("orphaned holds", settings.sweep_interval_s, recovery.release_orphans),
        Job("unfinished movements", FINISH_EVERY_S, recovery.finish_movements),
        Job(
            "tokens collected",
            settings.refund_check_interval_s,
            partial(recovery.watch_tokens, _age_to_ask_at(settings)),
        ),
        Job("order in the purse", TIDY_EVERY_S, swaps.tidy),
        Job("invoices", WATCH_EVERY_S, house.invoices.watch),
        Job("followers", FOLLOW_EVERY_S, lambda: _follow(followed)),
        Job("reconciliation", settings.reconcile_interval_s, _reconciliation(house).run),
        Job("checkpoint", SEAL_EVERY_S, sealing.seal),
        Job("comparison with what was signed", COMPARE_EVERY_S, sealing.compare),
    ]
    if settings.uncollected_token_days:
        unwanted = partial(
            recovery.sweep_tokens, timedelta(days=settings.uncollected_token_days)
        )
        jobs.append(Job("uncollected tokens", SWEEP_EVERY_S, unwanted))
    if settings.btc_usd is None and settings.model_based_pricing:
        exchange = Exchange(requests.Session())
        desk = RateDesk(house.ledger, exchange, house.store.rate)
        jobs.append(Job("rate", settings.rate_update_interval_s, desk.update))
    return BackOffice(jobs, house.locks)


@contextmanager
def open_reconciliation(settings: Settings) -> Iterator[Reconciliation]:
    """Build what compares the books with the mints; raises `SettingsError`, `StoreError`."""
    house = build(settings, one_by_one)
    try:
        yield _reconciliation(house)
    finally:
        house.mints.close()
        house.store.close()


def create_sealing(settings: Settings, seed: Seed) -> Sealing:
    """Return what seals the log, on a store of its own; raises `StoreError`."""
    store, _ = open_store(settings.database_url)
    return Sealing(Seals(store), signing_key(settings, seed))


def signing_key(settings: Settings, seed: Seed) -> SigningKey:
    """Return the key for checkpoints and receipts; its `verifier` is for everybody to know."""
    return SigningKey(seed.subkey(CHECKPOINTS), origin_of(settings.http_url, settings.name))


def build(settings: Settings, records: Callable[[Store], Record]) -> House:
    """Build what everybody needs; `records` decides how commands reach the store.

    Raises `SettingsError`, `StoreError`.
    """
    set_up_logs(settings.log_level)
    models, book = read_prices(settings)
    store, locks = open_store(settings.database_url)
    seed = Seed.from_mnemonic(settings.wallet_seed.get_secret_value())
    ledger = Ledger(records(store), owner=f"process-{uuid4().hex}")
    mints = Mints(
        settings.cashu_mints,
        seed,
        connect_timeout_s=settings.mint_timeout_s,
        timeout_s=settings.mint_timeout_s,
    )
    return House(
        settings=settings,
        store=store,
        locks=locks,
        ledger=ledger,
        seed=seed,
        mints=mints,
        deposits=Deposits(ledger, mints, Sealer(seed.subkey(SEAL)), store.history),
        refunds=Refunds(ledger, mints, store),
        invoices=Invoices(ledger, mints, store, partial(_quote_key, seed)),
        book=book,
        models=models,
    )


def _auditor(house: House, told: Store, password: str) -> Auditor:
    thread = ThreadPool(1)
    return Auditor(
        house=house.settings.name,
        log=Log(told.position, told.mapper.decode),
        look=beside_the_hub(told),
        apart=lambda check: bool(thread.apply(check)),
        sealed=Proofs(Seals(told)).inclusion,
        password=Password(password),
        throttle=Throttle(),
        sessions=Sessions(house.seed.subkey(ADMIN_SESSIONS), password),
        prices=house.book,
        fixed_btc_usd=_fixed_rate(house.settings.btc_usd),
        public_url=house.settings.http_url,
    )


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


def _doors(house: House) -> Doors:
    settings = house.settings
    rates = Rates(
        house.store.rate,
        fixed_btc_usd=_fixed_rate(settings.btc_usd),
        stale_after_s=settings.rate_stale_after_s,
    )
    key = settings.upstream_api_key
    upstream = Upstream(
        settings.upstream_base_url,
        key.get_secret_value() if key else "",
        connect_timeout_s=settings.upstream_connect_timeout_s,
        read_timeout_s=settings.upstream_read_timeout_s,
        connections_max=UPSTREAM_CONNECTIONS_MAX,
    )
    routes = (Route(DEFAULT_PROVIDER, house.book, upstream, house.models),)
    quotes = Quotes(lambda: routes, rates)
    policy = Policy(
        settings.missing_usage,
        settings.drain_seconds,
        settings.upstream_attempts_max,
        settings.failover_s,
    )
    charges = Charges(house.ledger, quotes, policy)
    sizes = TokenSizes(house.mints)
    return Doors(
        deposits=house.deposits,
        refunds=house.refunds,
        charges=charges,
        tickets=Tickets(house.deposits, charges, house.refunds, quotes, sizes, house.store),
        invoices=house.invoices,
        find_invoice=partial(find_invoice, house.store),
        quotes=quotes,
        account=house.store.account,
        token_fee_ppk=sizes.fee_ppk,
        about=_about(settings, house.seed),
        key_secret=house.seed.subkey(API_KEYS),
        body_bytes_max=settings.body_bytes_max,
        body_timeout_s=settings.body_timeout_s,
        limits=Limits(
            requests_per_minute=settings.rate_limit_rpm,
            tokens_per_minute=settings.rate_limit_tpm,
            at_once=settings.rate_limit_concurrent,
            creations_per_minute=settings.rate_limit_create_rpm,
        ),
    )


def _about(settings: Settings, seed: Seed) -> About:
    return About(
        name=settings.name,
        description=settings.description,
        version=version("tallystick"),
        mints=settings.cashu_mints,
        npub=settings.npub,
        http_url=settings.http_url,
        onion_url=settings.onion_url,
        verifier_key=str(signing_key(settings, seed).verifier),
    )


def _reconciliation(house: House) -> Reconciliation:
    stuck_after = timedelta(seconds=house.settings.stuck_after_s)
    return Reconciliation(house.ledger, house.mints, house.store, stuck_after)


def _tidiness(settings: Settings) -> Tidiness:
    return Tidiness(
        alike_max=settings.proofs_per_amount_max,
        fee_max_msat=int(settings.tidy_fee_max * MSAT_PER_SAT),
    )


def _age_to_ask_at(settings: Settings) -> timedelta:
    """How old a token is before the mint is first asked about it."""
    return min(ASK_AGAIN_AFTER, timedelta(seconds=settings.refund_check_interval_s))


def _quote_key(seed: Seed, invoice_id: UUID) -> bytes:
    """Return the private key that the mint quote of an invoice is locked to (NUT-20)."""
    return seed.subkey(b"quote:" + invoice_id.bytes)


def _keep_alive(locks: Locks) -> None:
    while True:
        gevent.sleep(KEEP_EVERY_S)
        locks.keep()


def _follow(store: Store) -> None:
    for sheet in SHEETS:
        catch_up(store, sheet.name, _quietly)


def _quietly(_done: int, _all: int) -> None:
    """Show no progress: nobody is watching."""


def _fixed_rate(btc_usd: Decimal | None) -> str | None:
    return None if btc_usd is None else format(btc_usd, "f")
