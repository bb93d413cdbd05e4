from __future__ import annotations

import json

from domain.event import Entry
from domain.hold import Held, Released
from domain.posting import available, held
from projections.telling import telling
from tests.domain.given import ALICE, AT, HOLD_ID, TERMS, deposited

HELD = Held(at=AT, account_id=ALICE, amount_msat=60_000, owner="worker-1", terms=TERMS)
RELEASED = Released(at=AT, account_id=ALICE, held_msat=60_000, reason="refused")


def test_a_hold_is_told_with_its_request_and_its_model() -> None:
    told = telling(7, Entry(HOLD_ID, 1, HELD))

    assert told == {
        "position": 7,
        "event": "hold.held",
        "movement": str(HOLD_ID),
        "version": 1,
        "at": AT.isoformat(),
        "postings": [
            {
                "source": available(ALICE),
                "destination": held(ALICE),
                "amount_msat": 60_000,
            }
        ],
        "request_id": str(HOLD_ID),
        "model": "gpt-x",
    }


def test_what_names_no_model_is_told_without_one() -> None:
    told = telling(8, Entry(HOLD_ID, 2, RELEASED))

    assert told["request_id"] == str(HOLD_ID)
    assert "model" not in told


def test_nothing_sealed_is_told() -> None:
    begun, end = deposited()

    assert b"sealed" not in json.dumps(telling(1, begun)).encode()
    assert telling(1, begun)["postings"] == []
    assert "request_id" not in telling(2, end)
