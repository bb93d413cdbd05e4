from __future__ import annotations

import io
import struct
import wave

import pytest

from app.cashier.sound import length_of

FRAME = b"\xff\xfb\x90\x00"


def wave_of(seconds: float, *, rate: int = 16_000, channels: int = 1, width: int = 2) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(channels)
        writer.setsampwidth(width)
        writer.setframerate(rate)
        writer.writeframes(b"\x00" * int(seconds * rate * channels * width))
    return file.getvalue()


def headed(kind: int, rate: int, frame_bytes: int) -> bytes:
    head = struct.pack("<HHIIHH", kind, 1, rate, 1, frame_bytes, 16)
    junk = b"LIST" + struct.pack("<I", 3) + b"abc\x00"
    return b"RIFF\x00\x00\x00\x00WAVE" + junk + b"fmt " + struct.pack("<I", 16) + head


@pytest.mark.parametrize(
    ("seconds", "options"),
    [(5, {}), (3, {"rate": 44_100, "channels": 2}), (7, {"rate": 8_000, "width": 1})],
)
def test_a_wave_shows_how_long_it_is(seconds: int, options: dict[str, int]) -> None:
    """Its head is a part of a second more, which is never less than what is paid for."""
    found = length_of(wave_of(seconds, **options))

    assert found.most == found.guess == seconds + 1


def test_other_chunks_may_stand_before_the_format() -> None:
    data = headed(1, 1_000, 2) + b"\x00" * 2_000

    assert length_of(data).most == -(-len(data) // 2_000)


@pytest.mark.parametrize(
    "data",
    [
        headed(2, 1_000, 2),
        headed(1, 0, 2),
        headed(1, 1_000, 0),
        headed(1, 1_000, 2)[:40],
        b"RIFF\x00\x00\x00\x00WAVE",
        b"RIFF\x00\x00\x00\x00AVI " + b"\x00" * 100,
        b"RIFF\x00\x00\x00\x00WAVE" + (b"junk" + bytes(4)) * 200,
        b"fLaC" + b"\x00" * 100,
        b"OggS" + b"\x00" * 100,
        b"\xff\xfb\x00" + b"\x00" * 100,
        b"\xff\xf9\x90" + b"\x00" * 100,
        b"ID3" + b"\x00" * 7 + b"fLaC" + b"\x00" * 100,
        b"ID3" + b"\x00" * 3 + b"\x7f\x7f\x7f\x7f" + FRAME,
        b"ID3",
    ],
)
def test_what_does_not_show_it_may_be_silent_for_as_long_as_it_has_bytes(data: bytes) -> None:
    assert length_of(data).most == len(data)


@pytest.mark.parametrize("tag", [b"", b"ID3\x04\x00\x00\x00\x00\x01\x00" + b"\x00" * 128])
def test_mp3_has_a_least_rate(tag: bytes) -> None:
    data = tag + FRAME * 2_500

    found = length_of(data)

    assert found.most == -(-len(data) // 1_000)
    assert found.guess == -(-len(data) // 4_000)


def test_nothing_lasts_no_time() -> None:
    assert length_of(b"") == (0, 0)
