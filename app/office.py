"""The back office built: its jobs, and when each is done."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

from app.announcing import create_directory, create_publisher, keeps_directory
from app.auditing import create_reconciliation
from app.cashier.earnings import Earnings
from app.cashier.expiry import Expiry
from app.cashier.probe import Probe
from app.cashier.rates import RateDesk
from app.cashier.recover import ASK_AGAIN_AFTER, Recovery
from app.cashier.swap import Swaps, Tidiness
from app.diary import Diary
from app.environment import SettingsError
from app.figures import Figures
from app.gateways.errors import RefusedError
from app.gateways.exchange import Exchange
from app.house import House, build, own_key, renewed
from app.jobs import BackOffice, Job
from app.sealing.owed import Owing
from app.sealing.sign import Sealing
from app.selling import create_providers
from app.store.data_keys import DataKeys
from app.store.liability_tables import LiabilityTables
from app.store.locks import REBUILD
from app.store.opening import Store, open_store
from app.store.seals import Seals
from app.store.threads import changing_one_by_one, one_by_one
from app.webhooks import Webhooks
from domain.guards import PAYOUT, SWAP
from domain.msat import MSAT_PER_SAT
from projections.follow import catch_up_all
from projections.sheets import SHEETS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import requests

    from app.cashier.reconcile import Reconciliation
    from app.gateways.mint.crypto import Seed
    from app.settings import Settings
    from app.store.locks import Locks

logger = logging.getLogger(__name__)

ANNOUNCE_EVERY_S = 15.0
CONNECT_TIMEOUT_S = 10.0
FOLLOW_EVERY_S = 2.0
MEASURE_EVERY_S = 10.0
NOTE_EVERY_S = 10.0
TELL_EVERY_S = 2.0
FINISH_EVERY_S = 10.0
TIDY_EVERY_S = 60.0
SWEEP_EVERY_S = 3600.0
WATCH_EVERY_S = 5.0
SEAL_EVERY_S = 60.0
OWED_EVERY_S = 3600.0
COMPARE_EVERY_S = 86_400.0


def create_back_office(settings: Settings) -> BackOffice:
    """Return the back office; it begins to work when it is run."""
    house = build(settings, one_by_one)
    house.locks.take(house.ledger.owner)
    # A store of its own: following writes long pages, and must not delay what moves money.
    followed = _store(settings)
    sealing = create_sealing(settings, house.seed)
    diary = Diary(changing_one_by_one(_store(settings)))
    plan = Plan(house, followed, sealing, diary)

    @contextmanager
    def watched(name: str) -> Iterator[None]:
        with house.metrics.watched(name), diary.watched(name):
            yield

    return BackOffice(plan.jobs(), house.locks, watched, plan.renewed)


class Plan:
    """The jobs as the settings of now want them."""

    def __init__(self, house: House, followed: Store, sealing: Sealing, diary: Diary) -> None:
        self._house = house
        self._followed = followed
        self._sealing = sealing
        self._diary = diary
        self._owing = create_owing(house.given, house.seed)

    def jobs(self) -> list[Job]:
        jobs = _jobs(self._house, self._followed, self._sealing, self._owing)
        self._diary.expect({job.name: job.every_s for job in jobs})
        return [*jobs, Job("diary", NOTE_EVERY_S, self._diary.write)]

    def renewed(self) -> list[Job] | None:
        """Return the jobs if a setting was changed, else `None`; raises `StoreError`."""
        if self._house.store.settings() == self._house.changed:
            return None
        try:
            house = renewed(self._house)
        except SettingsError as error:
            logger.warning("settings are as they were: %s", error)
            return None
        self._house = house
        return self.jobs()


def _jobs(house: House, followed: Store, sealing: Sealing, owing: Owing) -> list[Job]:
    settings = house.settings
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
        *_nostr_jobs(house),
        Job("followers", FOLLOW_EVERY_S, lambda: _follow(followed, house.locks)),
        Job("models", settings.models_refresh_interval_s, create_providers(house).refresh_all),
        Job("figures", MEASURE_EVERY_S, _figures(house, followed).measure),
        Job("reconciliation", settings.reconcile_interval_s, create_reconciliation(house).run),
        Job("checkpoint", SEAL_EVERY_S, sealing.seal),
        Job("comparison with what was signed", COMPARE_EVERY_S, sealing.compare),
        Job("liabilities", OWED_EVERY_S, owing.make),
        Job("keys of erased accounts", SWEEP_EVERY_S, DataKeys(house.store).shred),
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
        hooks = Webhooks(settings.webhook_url, secret, followed, _session(house))
        jobs.append(Job("webhook", TELL_EVERY_S, hooks.tell))
    if settings.btc_usd is None and settings.model_based_pricing:
        exchange = Exchange(_session(house))
        desk = RateDesk(house.ledger, exchange, house.store.rate)
        jobs.append(Job("rate", settings.rate_update_interval_s, desk.update))
    return jobs


def create_sealing(settings: Settings, seed: Seed) -> Sealing:
    """Return what seals the log, on a store of its own.

    Raises `StoreError`, and `SettingsError` if the log was signed with another seed.
    """
    store = _store(settings)
    return Sealing(Seals(store), own_key(settings, seed, store))


def create_owing(settings: Settings, seed: Seed) -> Owing:
    """Return what signs all that is owed, on a store of its own; raises likewise."""
    store = _store(settings)
    key = own_key(settings, seed, store)
    return Owing(LiabilityTables(store), Sealing(Seals(store), key), key)


def _figures(house: House, told: Store) -> Figures:
    return Figures(house.metrics, house.store, told, tuple(sheet.name for sheet in SHEETS))


def _session(house: House) -> requests.Session:
    return house.way.session(CONNECT_TIMEOUT_S)


def _nostr_jobs(house: House) -> list[Job]:
    """Return what goes to relays: nothing does so unless it is asked for."""
    settings, jobs = house.settings, []
    if keeps_directory(settings):
        refresh = create_directory(settings, house.store).refresh
        jobs.append(Job("providers", settings.providers_refresh_interval_s, refresh))
    publisher = create_publisher(settings, house.store)
    if publisher is not None:
        jobs.append(Job("listing", ANNOUNCE_EVERY_S, publisher.look))
    return jobs


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


def _store(settings: Settings) -> Store:
    store, _ = open_store(settings.database_url)
    return store


def _tidiness(settings: Settings) -> Tidiness:
    return Tidiness(
        alike_max=settings.proofs_per_amount_max,
        fee_max_msat=int(settings.tidy_fee_max * MSAT_PER_SAT),
    )


def _age_to_ask_at(settings: Settings) -> timedelta:
    """How old a token is before the mint is first asked about it."""
    return min(ASK_AGAIN_AFTER, timedelta(seconds=settings.refund_check_interval_s))


def _follow(store: Store, locks: Locks) -> None:
    # Two who tell the same pages would each do all of the work.
    if not locks.is_free(REBUILD):
        return
    catch_up_all(store, [sheet.name for sheet in SHEETS], _quietly)


def _quietly(_done: int, _all: int) -> None:
    """Show no progress: nobody is watching."""


@contextmanager
def open_reconciliation(settings: Settings) -> Iterator[Reconciliation]:
    """Build what compares the books with the mints; raises `SettingsError`, `StoreError`."""
    house = build(settings, one_by_one)
    try:
        yield create_reconciliation(house)
    finally:
        house.mints.close()
        house.store.close()
