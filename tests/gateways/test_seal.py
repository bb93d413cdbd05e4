"""What is sealed opens only with its key, in its context, unchanged."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.gateways.mint.errors import SealError
from app.gateways.mint.seal import Sealer

KEY, OTHER_KEY = b"k" * 32, b"o" * 32


@given(plaintext=st.binary(max_size=200), context=st.binary(max_size=40))
def test_what_was_sealed_opens(plaintext: bytes, context: bytes) -> None:
    sealed = Sealer(KEY).seal(plaintext, context)

    assert Sealer(KEY).open(sealed, context) == plaintext


def test_sealing_twice_shows_no_likeness() -> None:
    sealer = Sealer(KEY)

    assert sealer.seal(b"a secret", b"") != sealer.seal(b"a secret", b"")


@given(place=st.integers(0, 36), bit=st.integers(0, 7))
def test_a_changed_bit_is_noticed(place: int, bit: int) -> None:
    sealed = bytearray(Sealer(KEY).seal(b"a secret", b"here"))
    sealed[place] ^= 1 << bit

    with pytest.raises(SealError):
        Sealer(KEY).open(bytes(sealed), b"here")


def test_another_key_or_context_opens_nothing() -> None:
    sealed = Sealer(KEY).seal(b"a secret", b"here")

    with pytest.raises(SealError):
        Sealer(OTHER_KEY).open(sealed, b"here")
    with pytest.raises(SealError):
        Sealer(KEY).open(sealed, b"there")


@pytest.mark.parametrize("length", [0, 1, 12, 13, 20])
def test_a_cut_seal_opens_nothing(length: int) -> None:
    sealed = Sealer(KEY).seal(b"a secret", b"here")

    with pytest.raises(SealError):
        Sealer(KEY).open(sealed[:length], b"here")


def test_a_sealer_does_not_show_its_key() -> None:
    assert repr(Sealer(KEY)) == "Sealer(…)"
