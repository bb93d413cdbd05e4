"""Logs to seal: many events written at once, as another process writes them."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING
from uuid import uuid4

from app.sealing.check import check
from app.sealing.sign import Sealing, SigningKey
from app.store.seals import Seals
from projections.chain import log_line
from tests.store.work import silent

if TYPE_CHECKING:
    from pathlib import Path

    from tests.store.places import Place, Store

KEY = SigningKey(bytes(range(32)), "house.example")
PUBLIC = KEY.verifier.public
INSERT = "INSERT INTO stored_events (originator_id, originator_version, topic, state) VALUES "
AT_ONCE = 200


def write(store: Store, count: int, *, gap: bool = True) -> None:
    """Add `count` events; on PostgreSQL with a hole in the positions before them."""
    with store.transaction() as query:
        if gap and store.engine == "postgresql":
            query("SELECT nextval('stored_events_notification_id_seq')")
        for first in range(0, count, AT_ONCE):
            numbers = range(first, min(first + AT_ONCE, count))
            rows = [(uuid4(), 1, "rate.observed", state(number)) for number in numbers]
            query(INSERT + ", ".join(["(?, ?, ?, ?)"] * len(rows)), list(chain(*rows)))


def state(number: int) -> bytes:
    return f'{{"at":"2026-01-02T03:04:05Z","model":"é\\"{number}"}}'.encode()


def sealed(store: Store, count: int) -> Seals:
    """Write `count` events and sign them."""
    write(store, count)
    seals = Seals(store)
    Sealing(seals, KEY).seal()
    return seals


def compared(store: Store) -> str | None:
    return check(Seals(store), silent, PUBLIC)


def export(seals: Seals, path: Path, *, chained: bool = True) -> None:
    """Write the log as an export, with the chain's links beside the events or without."""
    links = dict(seals.links()) if chained else {}
    path.write_text(
        "".join(
            log_line(event, links.get(event.position)) + "\n"
            for page in seals.events()
            for event in page
        )
    )


def positions(store: Store) -> list[int]:
    return [event.position for page in Seals(store).events() for event in page]


def rewrite(place: Place, store: Store, position: int, change: str) -> None:
    """Change columns of one event, as only a vandal with all rights can."""
    place.run(f"UPDATE stored_events SET {change} WHERE {store.position} = {position}")  # noqa: S608


def delete(place: Place, store: Store, position: int) -> None:
    place.run(f"DELETE FROM stored_events WHERE {store.position} = {position}")  # noqa: S608
