"""How long a recording is, or can be at most, as far as its bytes show it."""

from __future__ import annotations

import struct
from typing import NamedTuple

MP3_BYTES_PER_SECOND_MIN = 1_000
"""The least that the format knows: eight kilobits a second (ISO 13818-3)."""
USUAL_BYTES_PER_SECOND = 4_000
PLAIN_WAVES = frozenset({1, 3, 0xFFFE})
"""Samples as they are: whole numbers, floating ones, or either of several channels."""
CHUNK, FORMAT = struct.Struct("<4sI"), struct.Struct("<HHIIH")
CHUNKS_MAX = 100
ID3_HEAD_BYTES = 10
LAYER_3 = 1


class Length(NamedTuple):
    """In seconds: the most that a recording can last, and what it probably does."""

    most: int
    guess: int


def length_of(recording: bytes) -> Length:
    """Return how long `recording` lasts.

    A wave says it. MP3 has a least rate. Whatever else it may be can be silent for as long
    as it has bytes; then its model's own limit is what bounds it.
    """
    rate = _wave_bytes_per_second(recording)
    if rate:
        exact = -(-len(recording) // rate)
        return Length(exact, exact)
    least = MP3_BYTES_PER_SECOND_MIN if _is_mp3(recording) else 1
    most = -(-len(recording) // least)
    return Length(most, min(most, -(-len(recording) // USUAL_BYTES_PER_SECOND)))


def _wave_bytes_per_second(data: bytes) -> int:
    """Return how many bytes of a wave are heard in a second, 0 if it is none that shows it."""
    if data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        return 0
    place = 12
    for _ in range(CHUNKS_MAX):
        if place + CHUNK.size + FORMAT.size > len(data):
            return 0
        name, size = CHUNK.unpack_from(data, place)
        place += CHUNK.size
        if name == b"fmt ":
            kind, _, samples_per_second, _, frame_bytes = FORMAT.unpack_from(data, place)
            return samples_per_second * frame_bytes if kind in PLAIN_WAVES else 0
        place += size + size % 2
    return 0


def _is_mp3(data: bytes) -> bool:
    """Tell whether a frame of layer III begins here, perhaps behind a tag (ID3v2)."""
    place = 0
    if data[:3] == b"ID3" and len(data) > ID3_HEAD_BYTES:
        size = 0
        for byte in data[6:ID3_HEAD_BYTES]:
            size = size << 7 | byte & 0x7F
        place = ID3_HEAD_BYTES + size
    head = data[place : place + 3]
    is_frame = len(head) == 3 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0  # noqa: PLR2004
    # A frame of rate 0 is of any rate at all.
    return is_frame and head[1] >> 1 & 3 == LAYER_3 and head[2] >> 4 != 0
