from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from app.sealing.check import verifies
from app.sealing.sign import SigningKey
from domain.event import Entry
from domain.hold import Charged, Held, Metered, Released, Terms
from projections.receipt import FORM, LENGTH_MAX, ReceiptError, opened, receipt_of, signed_text

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
STREAM, ALICE = UUID(int=7), UUID(int=8)
KEY = SigningKey(bytes(range(32)), "house.example")
CHECK = verifies(KEY.verifier.public)
TERMS = Terms(model="maker/m", route="secret-route", price_version="v1", btc_usd="100000")
CHARGED = Charged(
    at=AT,
    account_id=ALICE,
    held_msat=100,
    cost_msat=120,
    from_hold_msat=100,
    from_available_msat=15,
    shortfall_msat=5,
    terms=TERMS,
    usage=Metered(prompt_tokens=10, completion_tokens=5, upstream_usd="0.1", markup="1.05"),
)
LEAF = bytes(range(32))


def receipt(event: Any = CHARGED) -> dict[str, Any]:
    found = receipt_of("house.example", Entry(STREAM, 2, event), 42, LEAF)
    assert found is not None
    return found


def written(document: dict[str, Any] | None = None) -> str:
    return json.dumps(KEY.receipt(document or receipt()))


def test_a_receipt_says_what_was_charged_and_by_what() -> None:
    assert receipt() == {
        "form": FORM,
        "house": "house.example",
        "request_id": str(STREAM),
        "at": "2026-01-02T03:04:05+00:00",
        "position": 42,
        "event": LEAF.hex(),
        "model": "maker/m",
        "price_version": "v1",
        "btc_usd": "100000",
        "held_msat": 100,
        "cost_msat": 120,
        # The house's own loss was not charged.
        "charged_msat": 115,
        "usage": {
            "prompt_tokens": 10,
            "completion_tokens": 5,
            "cached_tokens": 0,
            "cache_write_tokens": 0,
            "long_cache_tokens": 0,
            "reasoning_tokens": 0,
            "audio_tokens": 0,
            "spoken_tokens": 0,
            "images": 0,
            "image_size": "",
            "web_searches": 0,
            "seconds": 0,
            "characters": 0,
            "upstream_usd": "0.1",
            "markup": "1.05",
            "estimated": False,
        },
    }


def test_it_names_neither_the_account_nor_the_upstream() -> None:
    text = json.dumps(receipt())

    assert str(ALICE) not in text
    assert "secret-route" not in text


def test_of_a_request_that_was_not_served_it_says_that_it_cost_nothing() -> None:
    released = Released(at=AT, account_id=ALICE, held_msat=100, reason="upstream answered 500")

    found = receipt(released)

    assert (found["held_msat"], found["charged_msat"]) == (100, 0)
    assert "usage" not in found
    assert "500" not in json.dumps(found)


def test_of_a_request_that_runs_there_is_none() -> None:
    held = Held(at=AT, account_id=ALICE, amount_msat=1, owner="p", terms=TERMS)

    assert receipt_of("house.example", Entry(STREAM, 1, held), 1, LEAF) is None


def test_whoever_has_the_key_can_verify_it() -> None:
    assert opened(written(), KEY.verifier, CHECK) == receipt()


def test_its_words_may_stand_in_any_order() -> None:
    document = json.loads(written())
    turned = {**document, "receipt": dict(reversed(document["receipt"].items()))}

    assert opened(json.dumps(turned, indent=3), KEY.verifier, CHECK) == receipt()


@pytest.mark.parametrize("name", receipt())
def test_no_word_of_it_can_be_changed(name: str) -> None:
    document = json.loads(written())
    value = document["receipt"][name]
    document["receipt"][name] = value + 1 if isinstance(value, int) else f"{value}x"

    with pytest.raises(ReceiptError):
        opened(json.dumps(document), KEY.verifier, CHECK)


@pytest.mark.parametrize("name", receipt()["usage"])
def test_no_count_of_its_usage_can_be_changed(name: str) -> None:
    document = json.loads(written())
    value = document["receipt"]["usage"][name]
    document["receipt"]["usage"][name] = f"{value}1" if isinstance(value, str) else not value

    with pytest.raises(ReceiptError, match="not signed"):
        opened(json.dumps(document), KEY.verifier, CHECK)


@pytest.mark.parametrize("name", receipt())
def test_no_word_of_it_can_be_left_out(name: str) -> None:
    document = json.loads(written())
    del document["receipt"][name]

    with pytest.raises(ReceiptError):
        opened(json.dumps(document), KEY.verifier, CHECK)


def test_nothing_can_be_added() -> None:
    document = json.loads(written())
    document["receipt"]["refunded_msat"] = 100

    with pytest.raises(ReceiptError, match="not signed"):
        opened(json.dumps(document), KEY.verifier, CHECK)


def test_a_number_cannot_be_respelled() -> None:
    text = written().replace('"held_msat": 100', '"held_msat": 100.0')

    with pytest.raises(ReceiptError, match="not signed"):
        opened(text, KEY.verifier, CHECK)


def test_each_bit_of_the_signature_counts() -> None:
    document = json.loads(written())
    signature = base64.b64decode(document["signature"])

    for bit in range(0, 8 * len(signature), 7):
        flipped = bytearray(signature)
        flipped[bit // 8] ^= 1 << bit % 8
        document["signature"] = base64.b64encode(flipped).decode()
        with pytest.raises(ReceiptError, match="not signed"):
            opened(json.dumps(document), KEY.verifier, CHECK)


def test_the_key_beside_it_is_not_believed() -> None:
    thief = SigningKey(bytes(32), "house.example")
    text = json.dumps(thief.receipt(receipt()))

    with pytest.raises(ReceiptError, match=r"not signed by house\.example"):
        opened(text, KEY.verifier, CHECK)


def test_a_receipt_is_of_the_house_that_its_key_names() -> None:
    other = SigningKey(bytes(range(32)), "other.example")

    with pytest.raises(ReceiptError, match=r"not of other\.example"):
        opened(written(), other.verifier, CHECK)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "5",
        "null",
        "{}",
        "[]",
        "{",
        '{"receipt": 5, "signature": ""}',
        '{"receipt": {}, "signature": "no"}',
        '{"receipt": {}, "signature": "AA=="}',
        "[" * 100_000,
        " " * (LENGTH_MAX + 1),
    ],
)
def test_what_is_no_receipt_is_refused(text: str) -> None:
    with pytest.raises(ReceiptError, match="not a receipt"):
        opened(text, KEY.verifier, CHECK)


def test_a_checkpoint_can_be_taken_for_no_receipt() -> None:
    assert signed_text({}).startswith(FORM.encode() + b"\n{")
