from __future__ import annotations

import io
import json
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import LedgerBrokenError
from projections.chain import GENESIS, Stored, canonical, leaf, link, log_line
from tools import verify_ledger as alone

EVENT = Stored(7, bytes(range(16)), 2, "hold.charged", '{"model":"a\\"ü"}'.encode())
EVENTS = st.builds(
    Stored,
    st.integers(1, 2**63 - 1),
    st.binary(min_size=16, max_size=16),
    st.integers(1, 2**63 - 1),
    st.text(max_size=20),
    st.text(max_size=200).map(str.encode),
)


@dataclass
class Changed:
    field: str
    value: Any


@pytest.mark.parametrize(
    "changed",
    [
        Changed("position", 8),
        Changed("stream", bytes(16)),
        Changed("version", 3),
        Changed("topic", "hold.chargee"),
        Changed("state", b"{}"),
    ],
    ids=lambda changed: changed.field,
)
def test_whatever_is_changed_changes_the_leaf(changed: Changed) -> None:
    other = EVENT._replace(**{changed.field: changed.value})

    assert leaf(other) != leaf(EVENT)


def test_no_byte_can_move_from_the_topic_to_the_state() -> None:
    assert canonical(EVENT._replace(topic="ab", state=b"c")) != canonical(
        EVENT._replace(topic="a", state=b"bc")
    )


@given(EVENTS, EVENTS)
def test_different_events_are_spelled_differently(one: Stored, other: Stored) -> None:
    assert (canonical(one) == canonical(other)) == (one == other)


@pytest.mark.parametrize(
    "wrong",
    [
        Changed("position", -1),
        Changed("position", "7"),
        Changed("version", 1.0),
        Changed("version", 2**64),
        Changed("stream", None),
        Changed("topic", b"rate"),
        Changed("topic", "\ud800"),
        Changed("state", None),
    ],
    ids=repr,
)
def test_what_is_no_event_has_no_spelling(wrong: Changed) -> None:
    with pytest.raises(LedgerBrokenError, match="position"):
        canonical(EVENT._replace(**{wrong.field: wrong.value}))


@pytest.mark.parametrize(
    "wrong", [Changed("stream", b"short"), Changed("state", b"\xff"), Changed("state", None)]
)
def test_what_is_no_event_has_no_line(wrong: Changed) -> None:
    with pytest.raises(LedgerBrokenError, match="position 7"):
        log_line(EVENT._replace(**{wrong.field: wrong.value}))


def test_the_chain_ties_an_event_to_all_before_it() -> None:
    first = link(GENESIS, leaf(EVENT))

    second = link(first, leaf(EVENT))

    assert second == sha256(b"\x02" + first + leaf(EVENT)).digest()
    assert second not in (first, link(GENESIS, leaf(EVENT)))


@given(EVENTS, st.one_of(st.none(), st.binary(min_size=32, max_size=32)))
def test_the_line_of_an_export_is_read_back_as_the_same_leaf(
    event: Stored, chained: bytes | None
) -> None:
    line = log_line(event, chained)

    read = list(alone.read_events(io.BytesIO(f"{line}\n".encode())))
    assert read == [
        alone.Event(event.position, leaf(event), chained.hex() if chained else None)
    ]
    assert json.loads(line)["state"] == event.state.decode()
