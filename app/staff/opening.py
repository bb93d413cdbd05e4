"""Opening the desk of the operators alone, without the rest of the house."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from app.staff.operators import Operators
from app.staff.passwords import Hasher, made_up
from app.store.opening import open_store
from app.store.threads import changing_one_by_one, one_by_one
from domain.ledger import Ledger
from domain.rights import FIRST, SCOPES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FIRST_START = "the first start of the house"


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
