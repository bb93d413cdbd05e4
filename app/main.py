"""The floor plan: every part of the house is built here and handed to those who use it."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING

import gevent
import requests
from gevent.threadpool import ThreadPool

from app.cashier.bill import Policy
from app.cashier.charge import Charges
from app.cashier.earnings import Earnings
from app.cashier.expiry import Expiry
from app.cashier.opening import opener_of
from app.cashier.probe import Probe
from app.cashier.quote import Quotes, Rates
from app.cashier.rates import RateDesk
from app.cashier.reconcile import Reconciliation
from app.cashier.recover import ASK_AGAIN_AFTER, Recovery
from app.cashier.sizing import TokenSizes
from app.cashier.swap import Swaps, Tidiness
from app.cashier.ticket import Tickets
from app.environment import SettingsError, load_settings
from app.figures import Figures
from app.gateways.errors import RefusedError
from app.gateways.exchange import Exchange
from app.house import House, build, signing_key
from app.jobs import BackOffice, Job
from app.readiness import health_of
from app.sealing.prove import Proofs
from app.sealing.receipts import Receipts
from app.sealing.sign import Sealing
from app.selling import create_providers, create_roster
from app.store.opening import Store, open_store
from app.store.seals import Seals
from app.store.threads import beside_the_hub, in_groups, one_by_one
from app.web import free, health, proof, receipts, statement
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
from app.webhooks import Webhooks
from domain.guards import PAYOUT, SWAP
from domain.msat import MSAT_PER_SAT
from projections.follow import catch_up
from projections.invoices import find_invoice
from projections.sheets import SHEETS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from decimal import Decimal

    from flask import Flask

    from app.cashier.providers import Providers
    from app.gateways.mint.crypto import Seed
    from app.settings import Settings
    from app.store.locks import Locks

KEEP_EVERY_S = 5.0
FOLLOW_EVERY_S = 2.0
MEASURE_EVERY_S = 10.0
TELL_EVERY_S = 2.0
FINISH_EVERY_S = 10.0
TIDY_EVERY_S = 60.0
SWEEP_EVERY_S = 3600.0
WATCH_EVERY_S = 5.0
SEAL_EVERY_S = 60.0
COMPARE_EVERY_S = 86_400.0
API_KEYS = b"api keys"
ADMIN_SESSIONS = b"admin session"


def create_app(settings: Settings | None = None) -> Flask:
    """Return the WSGI application of one gevent worker."""
    house = build(settings or load_settings(), in_groups)
    house.locks.take(house.ledger.owner)
    gevent.spawn(_keep_alive, house.locks)
    doors = _doors(house)
    app = create_web(doors)
    app.register_blueprint(health.blueprint(health_of(house)))
    seals = Seals(house.store)
    app.register_blueprint(proof.blueprint(Proofs(seals)))
    paths = house.settings.free_get_paths
    app.register_blueprint(free.blueprint(paths, doors.quotes.routes))
    # A store of its own: a long statement must not delay what moves money.
    told, _ = open_store(house.settings.database_url)
    bearer = Bearer(house.deposits, house.store.account, house.store.key)
    log = Log(told.position, told.mapper.decode)
    books = Books(bearer, beside_the_hub(told), log.movement)
    app.register_blueprint(statement.blueprint(books))
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
        others={SWAP: swaps.resume, PAYOUT: house.payouts.resume},
        stuck_after=timedelta(seconds=settings.stuck_after_s),
    )
    # A store of its own: following writes long pages, and must not delay what moves money.
    followed, _ = open_store(settings.database_url)
    sealing = create_sealing(settings, house.seed)
    jobs = [
        Job("counters", COMPARE_EVERY_S, Probe(house.ledger, house.mints, house.store).run),
        Job("orphaned holds", settings.sweep_interval_s, recovery.release_orphans),
        Job("unfinished movements", FINISH_EVERY_S, recovery.finish_movements),
        Job(
            "tokens collected",
            settings.refund_check_interval_s,
            partial(recovery.watch_tokens, _age_to_ask_at(settings)),
        ),
        Job("order in the purse", TIDY_EVERY_S, swaps.tidy),
        Job("locked tokens", FINISH_EVERY_S, house.batches.sweep),
        Job("invoices", WATCH_EVERY_S, house.invoices.watch),
        *_payout_jobs(house),
        Job("followers", FOLLOW_EVERY_S, lambda: _follow(followed)),
        Job("models", settings.models_refresh_interval_s, create_providers(house).refresh_all),
        Job("figures", MEASURE_EVERY_S, _figures(house, followed).measure),
        Job("reconciliation", settings.reconcile_interval_s, _reconciliation(house).run),
        Job("checkpoint", SEAL_EVERY_S, sealing.seal),
        Job("comparison with what was signed", COMPARE_EVERY_S, sealing.compare),
    ]
    if settings.refund_processing_interval:
        jobs.append(Job("expired keys", settings.refund_processing_interval, _expiry(house)))
    if settings.uncollected_token_days:
        unwanted = partial(
            recovery.sweep_tokens, timedelta(days=settings.uncollected_token_days)
        )
        jobs.append(Job("uncollected tokens", SWEEP_EVERY_S, unwanted))
    if settings.webhook_url and settings.webhook_secret:
        secret = settings.webhook_secret.get_secret_value().encode()
        hooks = Webhooks(settings.webhook_url, secret, followed, requests.Session())
        jobs.append(Job("webhook", TELL_EVERY_S, hooks.tell))
    if settings.btc_usd is None and settings.model_based_pricing:
        exchange = Exchange(requests.Session())
        desk = RateDesk(house.ledger, exchange, house.store.rate)
        jobs.append(Job("rate", settings.rate_update_interval_s, desk.update))
    return BackOffice(jobs, house.locks, house.metrics.watched)


@contextmanager
def open_reconciliation(settings: Settings) -> Iterator[Reconciliation]:
    """Build what compares the books with the mints; raises `SettingsError`, `StoreError`."""
    house = build(settings, one_by_one)
    try:
        yield _reconciliation(house)
    finally:
        house.mints.close()
        house.store.close()


@contextmanager
def open_providers(settings: Settings) -> Iterator[Providers]:
    """Build what sets providers up; raises `SettingsError`, `StoreError`."""
    house = build(settings, one_by_one)
    try:
        yield create_providers(house)
    finally:
        house.mints.close()
        house.store.close()


def create_sealing(settings: Settings, seed: Seed) -> Sealing:
    """Return what seals the log, on a store of its own; raises `StoreError`."""
    store, _ = open_store(settings.database_url)
    return Sealing(Seals(store), signing_key(settings, seed))


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
        stuck_after_s=house.settings.stuck_after_s,
        providers=create_providers(house),
    )


def _doors(house: House) -> Doors:
    settings = house.settings
    rates = Rates(
        house.store.rate,
        fixed_btc_usd=_fixed_rate(settings.btc_usd),
        stale_after_s=settings.rate_stale_after_s,
    )
    roster = create_roster(house)
    # Before any request: every price list that is sold by is in the log.
    roster.routes()
    quotes = Quotes(roster.routes, rates)
    policy = Policy(
        settings.missing_usage,
        settings.drain_seconds,
        settings.upstream_attempts_max,
        settings.failover_s,
    )
    charges = Charges(house.ledger, quotes, policy, account=house.store.account)
    sizes = TokenSizes(house.mints)
    return Doors(
        deposits=house.deposits,
        refunds=house.refunds,
        payouts=house.payouts,
        charges=charges,
        tickets=Tickets(
            house.deposits,
            charges,
            house.refunds,
            quotes,
            sizes,
            house.store,
            opener_of(house.seed).lock if settings.instant_max_sat else None,
        ),
        invoices=house.invoices,
        find_invoice=partial(find_invoice, house.store),
        quotes=quotes,
        account=house.store.account,
        history=house.store.history,
        keys=house.keys,
        used=house.store.used,
        donate=house.ledger.donate,
        check_address=house.addresses.read,
        token_fee_ppk=sizes.fee_ppk,
        about=_about(settings, house.seed),
        key_secret=house.seed.subkey(API_KEYS),
        body_bytes_max=settings.body_bytes_max,
        body_timeout_s=settings.body_timeout_s,
        limits=_limits(settings),
        witness=house.metrics.count_request,
    )


def _limits(settings: Settings) -> Limits:
    return Limits(
        requests_per_minute=settings.rate_limit_rpm,
        tokens_per_minute=settings.rate_limit_tpm,
        at_once=settings.rate_limit_concurrent,
        creations_per_minute=settings.rate_limit_create_rpm,
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
        pubkey=opener_of(seed).pubkey,
    )


def _figures(house: House, told: Store) -> Figures:
    return Figures(house.metrics, house.store, told, tuple(sheet.name for sheet in SHEETS))


def _payout_jobs(house: House) -> list[Job]:
    """Return what pays the owner; raises `SettingsError` if nobody can be paid there."""
    settings, address = house.settings, house.settings.receive_ln_address
    if address is None:
        return []
    try:
        house.addresses.read(address)
    except RefusedError as error:
        raise SettingsError(f"RECEIVE_LN_ADDRESS: {error}") from error
    earnings = Earnings(
        house.payouts,
        house.mints.urls,
        house.store,
        house.metrics.count_payout,
        address=address,
        least_msat=int(settings.minimum_payout * MSAT_PER_SAT),
        most_msat=int(settings.maximum_payout * MSAT_PER_SAT),
    )
    return [Job("payouts to the owner", settings.payout_interval_s, earnings.pay_out)]


def _expiry(house: House) -> Callable[[], object]:
    address_of = house.keys.refund_address
    return Expiry(house.store, house.refunds, house.payouts, address_of).refund_expired


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
