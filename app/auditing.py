"""The auditor's view and who may use it: their parts, built from the settings."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, TypeVar
from zoneinfo import ZoneInfo

import gevent
from gevent.threadpool import ThreadPool

from app.announcing import draft_of
from app.cashier.enquiry import Enquiry
from app.cashier.reconcile import Reconciliation
from app.cashier.swap import Swaps, Tidiness
from app.cashier.withdrawal import Withdrawals
from app.changes import Changes
from app.sealing.prove import Proofs
from app.selling import create_providers
from app.staff.attempts import Attempts
from app.staff.operators import Operators
from app.staff.passwords import Hasher
from app.store.seals import Seals
from app.store.threads import (
    beside_the_hub,
)
from app.web.admin.auditor import Auditor
from app.web.admin.log import Log
from app.web.admin.session import Sessions
from domain.guards import (
    BATCH,
    BATCHED,
    DEPOSIT,
    FOREIGN,
    INSTANT,
    INSTANT_ALONE,
    INVOICE,
    ISSUED,
    PAYOUT,
    REFUND,
    SWAP,
    SWEEP,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.house import House
    from app.staff.attempts import Change
    from app.store.opening import Store

ADMIN_SESSIONS = b"admin session"
ANSWER_WITHIN_S = 25.0
NO_ANSWER = (
    f"No answer within {ANSWER_WITHIN_S:.0f} seconds; it is asked about again by itself."
)
A = TypeVar("A")
B = TypeVar("B")


def create_auditor(house: House, told: Store, change: Change) -> Auditor:
    """Return what the pages of a worker read and act by.

    `told` is a store of their own, and `change` what changes rows there: a long page must not
    delay what moves money.
    """
    settings, thread = house.settings, ThreadPool(1)
    secret = settings.admin_password
    password = secret.get_secret_value() if secret else ""
    # One thread: guessing takes the memory of one hash, and no time of those who are served.
    hasher = Hasher(apart=thread.apply)
    return Auditor(
        house=settings.name,
        log=Log(told.position, told.mapper.decode),
        look=beside_the_hub(told),
        sealed=Proofs(Seals(told)).inclusion,
        operators=Operators(house.ledger, house.store, change, hasher, password),
        attempts=Attempts(change),
        sessions=Sessions(house.seed.subkey(ADMIN_SESSIONS), password),
        prices=house.book,
        fixed_btc_usd=None if settings.btc_usd is None else format(settings.btc_usd, "f"),
        public_url=settings.http_url,
        stuck_after_s=settings.stuck_after_s,
        zone=ZoneInfo(settings.time_zone),
        changes=Changes(house.ledger, house.store, house.given),
        providers=create_providers(house),
        withdrawals=Withdrawals(house.payouts, house.refunds, house.mints, house.store),
        ask_again=in_time(create_enquiry(house).ask),
        compare=in_time(create_reconciliation(house).compare),
        draft=partial(draft_of, settings),
    )


def create_enquiry(house: House) -> Enquiry:
    """Return what asks about one movement, of whichever kind."""
    # It resumes what was begun, and begins nothing that its order would speak of.
    swaps = Swaps(house.ledger, house.mints, house.store, Tidiness(0, 0))
    swept = house.batches.sweep
    return Enquiry(
        house.store,
        {
            DEPOSIT: house.deposits.resume,
            FOREIGN: house.deposits.resume,
            REFUND: house.refunds.resume,
            SWEEP: house.refunds.sweep,
            ISSUED: house.refunds.collected,
            PAYOUT: house.payouts.resume,
            INVOICE: house.invoices.resume,
            SWAP: swaps.resume,
            **dict.fromkeys((INSTANT, INSTANT_ALONE, BATCHED, BATCH), lambda _entry: swept()),
        },
    )


def create_reconciliation(house: House) -> Reconciliation:
    """Return what compares the books with the mints."""
    stuck_after = timedelta(seconds=house.settings.stuck_after_s)
    return Reconciliation(house.ledger, house.mints, house.store, stuck_after)


def in_time(ask: Callable[[A], B]) -> Callable[[A], B]:
    """Return the same, given up with a `TimeoutError` before whoever waits gives up.

    What is given up is in the state it would be in after a crash: nothing is lost.
    """

    def asked(given: A) -> B:
        with gevent.Timeout(ANSWER_WITHIN_S, TimeoutError(NO_ANSWER)):
            return ask(given)

    return asked
