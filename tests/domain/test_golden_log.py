"""The log is for ever: events.jsonl holds one line of each kind, as it was first written.

That file is never edited. A kind that is new gets a line of its own, at the end, and so does
one that has got a new field; if a line that is there no longer passes, then the code is
wrong, for databases hold such lines. A kind whose `class_version` was raised keeps a line of
each version, and the older ones must become what the newest one is.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from domain.event import EventCodec
from domain.posting import KINDS, postings
from projections.books import Books


class Line(msgspec.Struct):
    topic: str
    state: msgspec.Raw


def version_of(line: Line) -> int:
    version: int = msgspec.json.decode(line.state).get("class_version", 1)
    return version


CODEC = EventCodec(KINDS)
TEXT = Path(__file__).with_name("events.jsonl").read_bytes()
LINES = [msgspec.json.decode(line, type=Line) for line in TEXT.splitlines()]
NAMES = [f"{place}-{line.topic}" for place, line in enumerate(LINES, 1)]
NEWEST = {line.topic: line for line in LINES}
EACH = pytest.mark.parametrize("line", LINES, ids=NAMES)
EACH_NEWEST = pytest.mark.parametrize("line", NEWEST.values(), ids=list(NEWEST))


def test_every_kind_of_event_has_a_line() -> None:
    assert sorted(NEWEST) == sorted(kind.TOPIC for kind in KINDS)


def test_every_version_of_every_kind_has_a_line() -> None:
    there = {(line.topic, version_of(line)) for line in LINES}

    assert there == {
        (kind.TOPIC, version) for kind in KINDS for version in range(1, kind.class_version + 1)
    }


@EACH
def test_what_was_written_once_is_read_and_would_be_written_alike(line: Line) -> None:
    event = CODEC.decode(line.topic, bytes(line.state))

    written = CODEC.encode(event)

    if version_of(line) == event.class_version:
        assert written == bytes(line.state)
    assert CODEC.decode(line.topic, written) == event


@EACH_NEWEST
def test_every_field_is_set_so_that_none_can_be_lost(line: Line) -> None:
    event = CODEC.decode(line.topic, bytes(line.state))

    written = msgspec.json.decode(line.state)
    written.pop("class_version", None)

    assert set(written) == {field.encode_name for field in msgspec.structs.fields(event)}


@EACH
def test_what_was_written_once_moves_the_same_money(line: Line) -> None:
    event = CODEC.decode(line.topic, bytes(line.state))
    books = Books()

    books.post(event)

    assert books.total_msat == 0
    moved = MOVED_MSAT[line.topic]
    if line is not NEWEST[line.topic]:
        moved = MOVED_BEFORE_MSAT.get(line.topic, moved)
    assert [posting.amount_msat for posting in postings(event)] == moved


MOVED_MSAT = {
    "hold.held": [60_000],
    "hold.charged": [60_000, 15_000, 1],
    "hold.released": [60_000],
    "deposit.received": [],
    "deposit.replanned": [],
    "deposit.credited": [100_000, 1_000],
    "deposit.refused": [],
    "refund.started": [60_000],
    "refund.redrafted": [],
    "refund.issued": [59_000, 1_000],
    "refund.cancelled": [60_000, 1_000],
    "refund.collected": [59_000],
    "refund.recalled": [],
    "refund.sweep_started": [],
    "refund.swept": [58_000, 1_000, 1_000],
    "swap.started": [],
    "swap.redrafted": [],
    "swap.done": [1_000],
    "keyset.advanced": [],
    "proofs.lost": [96_000],
    "invoice.opened": [],
    "invoice.planned": [],
    "invoice.credited": [100_000],
    "invoice.lapsed": [],
    "payout.started": [55_000],
    "payout.paid": [50_000, 3_000, 2_000],
    "payout.abandoned": [],
    "payout.cancelled": [1_000, 54_000],
    "key.made": [],
    "key.set": [],
    "key.reset": [],
    "account.erased": [],
    "donation.given": [21_000],
    "instant.credited": [100_000, 1_000],
    "instant.lost": [99_000],
    "batch.planned": [],
    "batch.replanned": [],
    "batch.swapped": [99_000, 1_000],
    "batch.parted": [],
    "foreign.quoted": [],
    "foreign.arrived": [],
    "foreign.credited": [100_000],
    "foreign.refused": [],
    "rate.observed": [],
    "prices.adopted": [],
    "provider.set": [],
    "provider.listed": [],
    "provider.removed": [],
    "operator.set": [],
    "operator.signed_out": [],
    "operator.removed": [],
    "operator.acted": [],
    "setting.changed": [],
    "mint.reconciled": [],
}
MOVED_BEFORE_MSAT = {"refund.cancelled": [60_000]}
"""What older lines of a kind have moved, where a new field moves more."""
