"""Events of strangers: which are read, and which are none."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from app.gateways.nostr.event import EventInvalidError, event_id, read_event
from tests.gateways.nostr.given import ALICE, BOB, CONTENT, as_table, signed

# What every escape of the serialization is in.
HELLO = (
    "7e7e9c42a91bfef19fa929e5fda1b72e0ebc1a4c1141673e2794234d86addf4e",
    1_673_347_337,
    1,
    (("e", "a"),),
    'line\nquote"back\\slash\ttab\r\b\f ✓ 漢字 🎉',
)


def read(table: object) -> object:
    return read_event(json.dumps(table).encode())


def test_what_was_signed_is_read_again() -> None:
    event = signed()

    assert read_event(msgspec.json.encode(event)) == event
    assert event.value("d") == "shop"
    assert event.value("mint") is None


def test_the_id_is_the_hash_of_the_one_serialization() -> None:
    pubkey, at_s, kind, tags, content = HELLO

    # Worked out with jq and sha256sum, which know nothing of us.
    assert event_id(pubkey, at_s, kind, tags, content) == (
        "668281bfec8c255c1bc8b451dfdb0fbea9daf89df5efcf87cc2762890d6366e1"
    )


@pytest.mark.parametrize(
    "changed",
    [
        {"content": CONTENT + " "},
        {"created_at": 1},
        {"kind": 1},
        {"tags": [["d", "other"]]},
        {"pubkey": BOB.public},
        {"id": "0" * 64},
    ],
    ids=lambda changed: str(next(iter(changed))),
)
def test_an_event_with_another_ones_id_is_none(changed: dict[str, Any]) -> None:
    with pytest.raises(EventInvalidError, match="its id"):
        read({**as_table(signed()), **changed})


def test_an_event_that_another_has_signed_is_none() -> None:
    forged = {**as_table(signed(BOB)), "pubkey": ALICE.public}
    forged["id"] = signed(ALICE).id

    with pytest.raises(EventInvalidError, match="its signature"):
        read(forged)


@pytest.mark.parametrize("key", ["0" * 64, "f" * 64])
def test_a_key_that_is_no_point_signs_nothing(key: str) -> None:
    event = {**as_table(signed()), "pubkey": key}
    event["id"] = event_id(
        key, event["created_at"], event["kind"], signed().tags, event["content"]
    )

    with pytest.raises(EventInvalidError, match="its signature"):
        read(event)


@pytest.mark.parametrize(
    "changed",
    [
        {"sig": None},
        {"sig": "00"},
        {"id": "A" * 64},
        {"created_at": -1},
        {"created_at": 1.5},
        {"created_at": 2**63},
        {"created_at": "1"},
        {"kind": 65_536},
        {"tags": [["d", 1]]},
        {"tags": [["d", "x" * 3_000]]},
        {"tags": [["d"]] * 300},
        {"tags": "d"},
        {"content": "x" * 20_000},
        {"content": None},
    ],
    ids=str,
)
def test_what_has_not_the_form_of_an_event_is_none(changed: dict[str, Any]) -> None:
    with pytest.raises(EventInvalidError, match="the form"):
        read({**as_table(signed()), **changed})


@pytest.mark.parametrize(
    "raw",
    [b"", b"null", b"[]", b"{}", b"\xff", b'"' + b"[" * 10_000, b"[" * 100_000, b'{"id":'],
    ids=lambda raw: repr(raw[:10]),
)
def test_garbage_is_no_event(raw: bytes) -> None:
    with pytest.raises(EventInvalidError):
        read_event(raw)


def test_half_a_letter_is_no_event() -> None:
    table = {**as_table(signed()), "content": "\ud800"}

    with pytest.raises(EventInvalidError):
        read(table)
