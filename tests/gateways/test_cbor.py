"""The CBOR of tokens is read and written as everybody does, and nothing beyond it is read."""

from __future__ import annotations

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.gateways.mint import cbor
from app.gateways.mint.cbor import Cbor, CborError

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)
ITEMS: st.SearchStrategy[Cbor] = st.recursive(
    st.none() | st.booleans() | st.integers(0, 2**64 - 1) | st.binary(max_size=300) | TEXTS,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(TEXTS, inner, max_size=5),
    max_leaves=8,
)


def depth(item: object) -> int:
    if isinstance(item, dict):
        item = list(item.values())
    return 1 + max(map(depth, item), default=0) if isinstance(item, list) else 0


@given(item=ITEMS.filter(lambda item: depth(item) <= cbor.DEPTH_MAX))
def test_what_is_written_is_what_everybody_writes(item: Cbor) -> None:
    written = cbor.encode(item)

    assert written == cbor2.dumps(item)
    assert cbor.decode(written) == item


@given(data=st.binary(max_size=100))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        item = cbor.decode(data)
    except CborError:
        return

    assert item == cbor2.loads(data) or item is None


@pytest.mark.parametrize(
    "data",
    [
        "", "18", "1a0000", "5f", "9f01ff", "bf", "c1", "f9", "fb3ff0000000000000", "f0",
        "1c", "6180", "5b7fffffffffffffff00", "9b7fffffffffffffff", "ba7fffffff",
        "a10102", "a2616101616102", "0000", "81" * 9 + "00", "82", "a1",
    ],
)  # fmt: skip
def test_what_is_outside_the_small_part_is_refused(data: str) -> None:
    with pytest.raises(CborError):
        cbor.decode(bytes.fromhex(data))


def test_negative_numbers_are_read_so_that_they_can_be_named() -> None:
    assert cbor.decode(cbor2.dumps(-8)) == -8
    assert cbor.encode(-8) == cbor2.dumps(-8)


def test_undefined_is_nothing() -> None:
    assert cbor.decode(bytes.fromhex("f7")) is None
