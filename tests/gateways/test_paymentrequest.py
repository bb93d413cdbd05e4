"""Payment requests are written and read as NUT-18 and NUT-26 have them."""

from __future__ import annotations

import base64
from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.gateways.mint import bech32, paymentrequest
from app.gateways.mint.bech32 import Bech32Error
from app.gateways.mint.errors import PaymentRequestError
from app.gateways.mint.paymentrequest import Lock, PaymentRequest, Transport
from tests.gateways.vectors import vectors

NUT18, NUT26 = vectors("18")["cases"], vectors("26")["cases"]
# The first vector's JSON names another mint and another nprofile than its encoding holds.
MISMATCHED = NUT18[0]
TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)
TAGS = st.lists(st.lists(TEXT, min_size=1, max_size=3).map(tuple), max_size=2).map(tuple)
REQUESTS = st.builds(
    PaymentRequest,
    amount=st.none() | st.integers(0, 2**63),
    unit=st.sampled_from([None, "sat", "msat", "usd"]),
    mints=st.lists(TEXT, max_size=3).map(tuple),
    id=st.none() | TEXT,
    single_use=st.none() | st.booleans(),
    description=st.none() | TEXT,
    transports=st.lists(st.builds(Transport, st.just("post"), TEXT, TAGS), max_size=2).map(
        tuple
    ),
    lock=st.none() | st.builds(Lock, st.sampled_from(["P2PK", "HTLC"]), TEXT, TAGS),
)


def from_json(table: dict[str, Any]) -> PaymentRequest:
    """What a vector's JSON says, as the specification names the fields."""
    lock = table.get("nut10")
    return PaymentRequest(
        amount=table.get("a"),
        unit=table.get("u"),
        mints=tuple(table.get("m", ())),
        id=table.get("i"),
        single_use=table.get("s"),
        description=table.get("d"),
        transports=tuple(
            Transport(one["t"], one["a"], tuple(map(tuple, one.get("g", ()))))
            for one in table.get("t", ())
        ),
        lock=lock and Lock(lock["k"], lock["d"], tuple(map(tuple, lock["t"]))),
    )


@pytest.mark.parametrize("case", NUT18[1:], ids=lambda case: case["about"])
def test_vectors_nut18(case: dict[str, Any]) -> None:
    expected = from_json(case["request"])

    assert paymentrequest.decode(case["encoded"]) == expected
    assert paymentrequest.decode(expected.encode_a()) == expected


def test_the_mismatched_vector_is_still_read_nut18() -> None:
    request = paymentrequest.decode(MISMATCHED["encoded"])

    assert (request.id, request.amount, request.unit) == ("b7a90176", 10, "sat")
    assert request.mints == ("https://nofees.testnut.cashu.space",)
    assert request.transports[0].tags == (("n", "17"),)


def test_a_request_without_empty_fields_is_written_as_the_vector_nut18() -> None:
    by_name = {case["about"]: case for case in NUT18}
    case = by_name["Payment Request with NUT-10 Locking"]

    assert from_json(case["request"]).encode_a() == case["encoded"]


@pytest.mark.parametrize("case", NUT26, ids=lambda case: case["about"])
def test_vectors_nut26(case: dict[str, Any]) -> None:
    expected = from_json(case["request"])

    assert paymentrequest.decode(case["encoded"]) == expected
    assert paymentrequest.decode(case["encoded"].lower()) == expected
    assert expected.encode_b() == case["encoded"]


@given(request=REQUESTS)
def test_both_forms_say_the_same(request: PaymentRequest) -> None:
    assert paymentrequest.decode(request.encode_a()) == request
    assert paymentrequest.decode(request.encode_b()) == request


def test_our_own_request_is_in_band() -> None:
    ours = PaymentRequest(
        amount=100, unit="sat", mints=("https://mint.example",), lock=Lock("P2PK", "02" * 33)
    )

    table = cbor2.loads(base64.urlsafe_b64decode(ours.encode_a().removeprefix("creqA")))

    assert table == {
        "a": 100,
        "u": "sat",
        "m": ["https://mint.example"],
        "nut10": {"k": "P2PK", "d": "02" * 33},
    }


def test_an_npub_is_taken_for_a_profile_without_relays() -> None:
    npub = bech32.encode("npub", b"\x07" * 32, bech32.BECH32)
    request = PaymentRequest(transports=(Transport("nostr", npub),))

    (read,) = paymentrequest.decode(request.encode_b()).transports

    assert read.target.startswith("nprofile1")


def test_an_unknown_lock_kind_is_kept() -> None:
    request = PaymentRequest(lock=Lock("7", "data"))

    assert paymentrequest.decode(request.encode_b()) == request


@pytest.mark.parametrize(
    "text",
    [
        "", "creqA", "creqA!!!!", "creqAAAAA", "creqC1", NUT26[2]["encoded"][:-1] + "Q",
        "creqA" + base64.urlsafe_b64encode(cbor2.dumps({"a": -1})).decode(),
        "creqA" + base64.urlsafe_b64encode(cbor2.dumps({"a": True})).decode(),
        "creqA" + base64.urlsafe_b64encode(cbor2.dumps({"m": 7})).decode(),
        "creqA" + base64.urlsafe_b64encode(cbor2.dumps({"t": [{}]})).decode(),
        "creqA" + base64.urlsafe_b64encode(cbor2.dumps({"nut10": []})).decode(),
        "creqA" + "A" * 20_000, bech32.encode("creqb", b"\x01\x00\x09a", bech32.BECH32M),
        bech32.encode("creqc", b"", bech32.BECH32M),
        bech32.encode("creqb", b"", bech32.BECH32),
        bech32.encode("creqb", b"\x08\x00\x00", bech32.BECH32M),
        bech32.encode("creqb", b"\x07\x00\x00", bech32.BECH32M),
    ],
)  # fmt: skip
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(PaymentRequestError):
        paymentrequest.decode(text)


@given(data=st.binary(max_size=60))
def test_no_bytes_crash_the_reader(data: bytes) -> None:
    for text in (
        bech32.encode("creqb", data, bech32.BECH32M),
        "creqA" + base64.urlsafe_b64encode(data).decode(),
    ):
        try:
            paymentrequest.decode(text)
        except PaymentRequestError:
            continue


@given(data=st.binary(max_size=100), variant=st.sampled_from([bech32.BECH32, bech32.BECH32M]))
def test_bech32_gives_the_bytes_back(data: bytes, variant: int) -> None:
    text = bech32.encode("tally", data, variant)

    assert bech32.decode(text, variant) == ("tally", data)
    assert bech32.decode(text.upper(), variant) == ("tally", data)


@given(data=st.binary(max_size=40), place=st.integers(0, 200))
def test_bech32_notices_a_wrong_character(data: bytes, place: int) -> None:
    text = bech32.encode("tally", data, bech32.BECH32M)
    place = len("tally1") + place % (len(text) - len("tally1"))
    wrong = text[:place] + ("q" if text[place] != "q" else "p") + text[place + 1 :]

    with pytest.raises(Bech32Error):
        bech32.decode(wrong, bech32.BECH32M)


def test_bech32_refuses_bits_left_over() -> None:
    values = [0, 1]
    sum_ = bech32._polymod([*bech32._expanded("a"), *values, *[0] * 6]) ^ bech32.BECH32
    checksum = [sum_ >> 5 * (5 - place) & 31 for place in range(6)]
    text = "a1" + "".join(bech32._ALPHABET[value] for value in [*values, *checksum])

    with pytest.raises(Bech32Error, match="bits"):
        bech32.decode(text, bech32.BECH32)


@pytest.mark.parametrize(
    "text", ["", "1qqqqqq", "tally1", "Tally1QQQ", "tally1bbbbbbb", "x" * 40_000]
)
def test_bech32_refuses_what_is_none(text: str) -> None:
    with pytest.raises(Bech32Error):
        bech32.decode(text, bech32.BECH32)
