from __future__ import annotations

import gzip
import zlib

import pytest

from app.gateways.unpacking import UnpackError, Unpacking

TEXT = b"Which half of the stick was kept by whom? " * 50
RAW = zlib.compressobj(wbits=-15)
PACKED = {
    "gzip": gzip.compress(TEXT),
    "zlib": zlib.compress(TEXT),
    "raw": RAW.compress(TEXT) + RAW.flush(),
    "two pieces": gzip.compress(TEXT[:100]) + gzip.compress(TEXT[100:]),
}


def unpacked(*pieces: bytes) -> bytes:
    unpacking, out = Unpacking(64), b""
    for piece in pieces:
        unpacking.give(piece)
        out += b"".join(iter(unpacking.take, b""))
    return out


@pytest.mark.parametrize("packed", PACKED.values(), ids=PACKED)
def test_whatever_is_called_compressed_comes_out_wherever_it_is_cut(packed: bytes) -> None:
    # What is raw is found out by its first two bytes.
    for place in range(2, len(packed)):
        assert unpacked(packed[:place], packed[place:]) == TEXT


def test_no_piece_is_larger_than_was_asked_for() -> None:
    unpacking = Unpacking(64)
    unpacking.give(gzip.compress(b"\0" * 100_000))

    assert {len(piece) for piece in iter(unpacking.take, b"")} == {64, 100_000 % 64}


@pytest.mark.parametrize(
    "packed",
    [
        pytest.param(b"not packed", id="not packed"),
        pytest.param(gzip.compress(TEXT)[:14] + b"x" * 50, id="packed, then not"),
    ],
)
def test_what_is_damaged_is_told(packed: bytes) -> None:
    with pytest.raises(UnpackError):
        unpacked(packed)
