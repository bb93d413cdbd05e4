"""How the version of an event is raised, shown on a line of the golden log.

No kind of ours has been raised yet: those that changed got fields with defaults. So the next
version of a donation is written here, as somebody might who wants amounts in units.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar
from uuid import UUID

import msgspec
import pytest

from app.store.mapper import LedgerMapper
from domain.donation import Donated
from domain.errors import LedgerBrokenError
from domain.event import Entry, Event, EventCodec
from tests.domain.given import ALICE, AT
from tests.domain.test_golden_log import LINES

if TYPE_CHECKING:
    from domain.guards import GuardRows


class Worth(msgspec.Struct, frozen=True):
    amount: int
    unit: str


class DonatedWorth(Event, frozen=True, kw_only=True):
    """A donation as of version 3: version 2 named the giver, version 3 the unit."""

    TOPIC: ClassVar[str] = Donated.TOPIC
    class_version: ClassVar[int] = 3
    giver_id: UUID
    worth: Worth

    @staticmethod
    def upcast_v1_v2(state: dict[str, Any]) -> None:
        state["giver_id"] = state.pop("account_id")

    @staticmethod
    def upcast_v2_v3(state: dict[str, Any]) -> None:
        state["worth"] = {"amount": state.pop("amount_msat"), "unit": "msat"}

    def apply(self, rows: GuardRows, _stream: UUID, _version: int) -> None:
        rows.add(self.giver_id, -self.worth.amount)


class Forgotten(Event, frozen=True, kw_only=True):
    """A kind whose version was raised by somebody who forgot what was stored before."""

    TOPIC: ClassVar[str] = Donated.TOPIC
    class_version: ClassVar[int] = 2


CODEC = EventCodec((DonatedWorth,))
(OLD,) = (bytes(line.state) for line in LINES if line.topic == Donated.TOPIC)
GIVER = UUID("8f14e45f-ceea-467f-9575-c3a1a2b1d001")
NEW = DonatedWorth(at=AT, giver_id=GIVER, worth=Worth(21_000, "msat"))


def test_a_line_of_the_golden_log_is_read_as_the_newest_version() -> None:
    assert CODEC.decode(Donated.TOPIC, OLD) == NEW


def test_what_was_stored_between_goes_the_rest_of_the_way() -> None:
    members = msgspec.json.decode(OLD)
    members["giver_id"] = members.pop("account_id")

    second = msgspec.json.encode({"class_version": 2, **members})

    assert CODEC.decode(Donated.TOPIC, second) == NEW


def test_what_is_written_now_says_its_version_and_comes_back() -> None:
    state = CODEC.encode(NEW)

    assert state.startswith(b'{"class_version":3,"at":')
    assert CODEC.decode(Donated.TOPIC, state) == NEW


def test_the_log_holds_both_versions_side_by_side() -> None:
    mapper = LedgerMapper(CODEC)
    states = [OLD, CODEC.encode(NEW)]

    entries = list(mapper.read([ALICE, ALICE], [1, 2], [Donated.TOPIC] * 2, states))

    assert entries == [Entry(ALICE, 1, NEW), Entry(ALICE, 2, NEW)]


@pytest.mark.parametrize("version", [b"4", b"0", b"true", b'"2"', b"null"])
def test_a_version_that_is_not_known_is_refused(version: bytes) -> None:
    state = b'{"class_version":' + version + b"," + OLD[1:]

    with pytest.raises(LedgerBrokenError, match="is not known"):
        CODEC.decode(Donated.TOPIC, state)


def test_an_old_line_that_lacks_a_member_is_damaged() -> None:
    with pytest.raises(LedgerBrokenError, match="has other members"):
        CODEC.decode(Donated.TOPIC, b"{}")


def test_a_version_cannot_be_raised_without_a_way_from_the_one_before() -> None:
    with pytest.raises(TypeError, match="Forgotten has no upcast_v1_v2"):
        EventCodec((Forgotten,))
