"""The auditor's view and who may use it: their parts, built from the settings."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from gevent.threadpool import ThreadPool

from app.cashier.withdrawal import Withdrawals
from app.sealing.prove import Proofs
from app.selling import create_providers
from app.staff.attempts import Attempts
from app.staff.operators import Operators
from app.staff.passwords import Hasher, made_up
from app.store.opening import open_store
from app.store.seals import Seals
from app.store.threads import (
    beside_the_hub,
    changing_beside_the_hub,
    changing_one_by_one,
    one_by_one,
)
from app.web.admin.auditor import Auditor
from app.web.admin.log import Log
from app.web.admin.session import Sessions
from domain.ledger import Ledger
from domain.rights import FIRST, SCOPES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from app.house import House
    from app.store.opening import Store

ADMIN_SESSIONS = b"admin session"
FIRST_START = "the first start of the house"


def create_auditor(house: House, told: Store) -> Auditor:
    """Return what the pages of a worker read and act by.

    `told` is a store of their own: a long page must not delay what moves money.
    """
    settings, thread = house.settings, ThreadPool(1)
    secret = settings.admin_password
    password = secret.get_secret_value() if secret else ""
    change = changing_beside_the_hub(told)
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
        providers=create_providers(house),
        withdrawals=Withdrawals(house.payouts, house.refunds, house.mints, house.store),
    )


def first_password(database_url: str) -> str | None:
    """Return the password of an operator just made, `None` if there was any before."""
    with open_operators(database_url) as operators:
        if operators.all():
            return None
        password = made_up()
        operators.add(FIRST, password, SCOPES, FIRST_START)
    return password


@contextmanager
def open_operators(database_url: str) -> Iterator[Operators]:
    """Build what changes operators; raises `StoreError`."""
    store, _ = open_store(database_url)
    ledger = Ledger(one_by_one(store), owner="operators")
    change: Callable[..., Any] = changing_one_by_one(store)
    try:
        yield Operators(ledger, store, change, Hasher())
    finally:
        store.close()
