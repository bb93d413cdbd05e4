"""The floor plan: every part of the house is built here and handed to those who use it."""

from __future__ import annotations

import atexit
import logging
from contextlib import contextmanager
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING

import gevent

from app.announcing import keeps_directory
from app.auditing import create_auditor
from app.cashier.bill import Policy
from app.cashier.charge import Charges
from app.cashier.opening import opener_of
from app.cashier.quote import Quotes, Rates
from app.cashier.sizing import TokenSizes
from app.cashier.ticket import Tickets
from app.changes import Changes
from app.environment import SettingsError, load_settings
from app.house import House, build, renewed, signing_key
from app.public import npub_of, onion_url_of
from app.readiness import health_of
from app.sealing.owed import OwedProofs
from app.sealing.prove import Proofs
from app.sealing.receipts import Receipts
from app.selling import create_providers, create_roster
from app.store.errors import StoreError
from app.store.liability_tables import LiabilityTables
from app.store.opening import Store, open_store
from app.store.seals import Seals
from app.store.threads import beside_the_hub, changing_beside_the_hub, in_groups, one_by_one
from app.web import free, health, owed, proof, providers, receipts, statement
from app.web.admin import shell
from app.web.admin.log import Log
from app.web.app import Doors, create_web
from app.web.bearer import Bearer
from app.web.info import About
from app.web.ratelimits import Limits, RateLimits, RealAddress
from app.web.statement import Books
from domain.errors import LedgerError
from domain.ledger import Ledger
from projections.invoices import find_invoice

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from decimal import Decimal
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from flask import Flask

    from app.cashier.providers import Providers
    from app.gateways.mint.crypto import Seed
    from app.sealing.sign import SigningKey
    from app.settings import Settings
    from app.staff.attempts import Change
    from app.store.locks import Locks

logger = logging.getLogger(__name__)

KEEP_EVERY_S = 5.0
LOOK_AGAIN_S = 2.0
API_KEYS = b"api keys"


class Present:
    """The doors of now: what has begun before they were renewed ends where it has begun."""

    def __init__(self, app: WSGIApplication) -> None:
        self.app = app

    def serve(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        return self.app(environ, start_response)


def create_app(settings: Settings | None = None) -> Flask:
    """Return the WSGI application of one gevent worker."""
    house = build(settings or load_settings(), in_groups)
    house.locks.take(house.ledger.owner)
    gevent.spawn(_keep_alive, house.locks)
    # A store of its own: a long statement must not delay what moves money.
    told, _ = open_store(house.settings.database_url)
    for store in (house.store, told):
        # Else its pool of connections is ended by an interpreter that is no longer whole.
        atexit.register(store.close)
    # Made once: nobody else writes through that store, whatever doors there are.
    change = changing_beside_the_hub(told)
    # Made once as well: a change of settings must not give anybody a full minute anew.
    limits = RateLimits(_limits(house.settings))
    app = _opened(house, told, change, limits)
    present = Present(app.wsgi_app)
    app.wsgi_app = present.serve  # type: ignore[method-assign]  # how Flask documents it
    gevent.spawn(_follow_settings, house, told, change, limits, present)
    return app


def _opened(house: House, told: Store, change: Change, limits: RateLimits) -> Flask:
    """Return the doors as the settings of now want them."""
    doors = _doors(house, limits)
    app = create_web(doors)
    app.register_blueprint(health.blueprint(health_of(house)))
    seals = Seals(house.store)
    app.register_blueprint(proof.blueprint(Proofs(seals)))
    paths = house.settings.free_get_paths
    app.register_blueprint(free.blueprint(paths, doors.quotes.routes))
    bearer = Bearer(house.deposits, house.store.account, house.store.key)
    log = Log(told.position, told.mapper.decode)
    look = beside_the_hub(told)
    app.register_blueprint(statement.blueprint(Books(bearer, look, log.movement)))
    app.register_blueprint(providers.blueprint(look, is_kept=keeps_directory(house.settings)))
    owing = OwedProofs(LiabilityTables(house.store))
    app.register_blueprint(owed.blueprint(bearer, owing))
    key = signing_key(house.given, house.seed)
    written = Receipts(seals, key, house.store.mapper.decode)
    routes = receipts.blueprint(bearer, doors.tickets.account_of, written.of_request)
    app.register_blueprint(routes)
    if house.settings.trusted_proxies:
        app.wsgi_app = RealAddress(app.wsgi_app, house.settings.trusted_proxies)  # type: ignore[method-assign]  # how Flask documents it
    shell.attach(app, create_auditor(house, told, change))
    return app


def _follow_settings(
    house: House, told: Store, change: Change, limits: RateLimits, present: Present
) -> None:
    """Let the doors be as the settings of now want them, within seconds of a change."""
    while True:
        gevent.sleep(LOOK_AGAIN_S)
        try:
            if house.store.settings() != house.changed:
                found = renewed(house)
                present.app = _opened(found, told, change, limits).wsgi_app
                limits.change(_limits(found.settings))
                house = found
        except (SettingsError, StoreError, LedgerError) as error:
            logger.warning("settings are as they were: %s", error)


@contextmanager
def open_providers(settings: Settings) -> Iterator[Providers]:
    """Build what sets providers up; raises `SettingsError`, `StoreError`."""
    house = build(settings, one_by_one)
    try:
        yield create_providers(house)
    finally:
        house.mints.close()
        house.store.close()


@contextmanager
def open_changes(settings: Settings) -> Iterator[Changes]:
    """Build what changes settings while the house is open; raises `StoreError`."""
    store, _ = open_store(settings.database_url)
    try:
        yield Changes(Ledger(one_by_one(store), owner="settings"), store, settings)
    finally:
        store.close()


def _doors(house: House, limits: RateLimits) -> Doors:
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
    charges = Charges(house.ledger, quotes, policy, account=house.store.left)
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
        about=_about(settings, signing_key(house.given, house.seed), house.seed),
        key_secret=house.seed.subkey(API_KEYS),
        body_bytes_max=settings.body_bytes_max,
        body_timeout_s=settings.body_timeout_s,
        limits=limits,
        witness=house.metrics.count_request,
    )


def _limits(settings: Settings) -> Limits:
    return Limits(
        requests_per_minute=settings.rate_limit_rpm,
        tokens_per_minute=settings.rate_limit_tpm,
        at_once=settings.rate_limit_concurrent,
        creations_per_minute=settings.rate_limit_create_rpm,
    )


def _about(settings: Settings, key: SigningKey, seed: Seed) -> About:
    return About(
        name=settings.name,
        description=settings.description,
        version=version("tallystick"),
        mints=settings.cashu_mints,
        npub=npub_of(settings),
        http_url=settings.http_url,
        onion_url=onion_url_of(settings),
        verifier_key=str(key.verifier),
        pubkey=opener_of(seed).pubkey,
        child_key_cost_msat=settings.child_key_cost_msat,
    )


def _keep_alive(locks: Locks) -> None:
    while True:
        gevent.sleep(KEEP_EVERY_S)
        locks.keep()


def _fixed_rate(btc_usd: Decimal | None) -> str | None:
    return None if btc_usd is None else format(btc_usd, "f")
