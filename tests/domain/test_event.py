from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from domain.errors import LedgerBrokenError, UnknownTopicError
from domain.event import EventCodec
from domain.hold import Charged, Held
from domain.posting import KINDS
from tests.domain.given import ALICE, AT, TERMS, USAGE, deposited

if TYPE_CHECKING:
    from domain.event import Event

CODEC = EventCodec(KINDS)
HELD = Held(at=AT, account_id=ALICE, amount_msat=1, owner="w", terms=TERMS)


def test_an_event_comes_back_as_it_went_in() -> None:
    events: list[Event] = [HELD, *(entry.event for entry in deposited())]

    for event in events:
        assert CODEC.decode(event.TOPIC, CODEC.encode(event)) == event


def test_every_kind_has_a_topic_of_its_own() -> None:
    assert len(set(CODEC.topics)) == len(KINDS)
    assert all(CODEC.topics)


@pytest.mark.parametrize("topic", ["", "hold.lost", "os:system", "domain.hold:Held"])
def test_a_topic_that_is_not_ours_is_refused_and_never_imported(topic: str) -> None:
    with pytest.raises(UnknownTopicError) as unknown:
        CODEC.decode(topic, CODEC.encode(HELD))

    assert unknown.value.topic == topic


@pytest.mark.parametrize("state", [b"", b"{}", b"[]", b'{"at": 5}', b"\xff"])
def test_a_state_that_is_damaged_is_an_error_of_the_books(state: bytes) -> None:
    with pytest.raises(LedgerBrokenError, match=r"hold\.held"):
        CODEC.decode("hold.held", state)


def test_a_field_of_a_later_version_is_read_past() -> None:
    later = msgspec.json.decode(CODEC.encode(HELD))
    later["colour"] = "green"

    assert CODEC.decode("hold.held", msgspec.json.encode(later)) == HELD


def test_fields_at_their_default_are_not_written() -> None:
    charged = Charged(
        at=AT,
        account_id=ALICE,
        held_msat=2,
        cost_msat=1,
        from_hold_msat=1,
        terms=TERMS,
        usage=USAGE,
    )

    written = msgspec.json.decode(CODEC.encode(charged))

    assert set(written) == {
        "at",
        "account_id",
        "held_msat",
        "cost_msat",
        "from_hold_msat",
        "terms",
        "usage",
    }
    assert set(written["usage"]) == {"prompt_tokens", "completion_tokens"}


def test_an_event_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        HELD.amount_msat = 2  # type: ignore[misc]
