"""Operators over a store, with hashes that are quick to make."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.staff.operators import Operators
from app.staff.passwords import Hasher
from app.store.group import OneByOne
from app.store.threads import changing_one_by_one
from domain.ledger import Ledger

if TYPE_CHECKING:
    from domain.event import Event
    from tests.store.places import Store

QUICK_KIB = 8


def operators_of(store: Store, own_password: str | None = None) -> Operators:
    ledger = Ledger(OneByOne(store.commit).record, "staff")
    change = changing_one_by_one(store)
    return Operators(ledger, store, change, Hasher(memory_kib=QUICK_KIB), own_password)


def events_in(store: Store) -> list[Event]:
    return [placed.entry.event for page in store.log() for placed in page]
