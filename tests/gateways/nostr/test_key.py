"""The key that signs for us, in all its spellings."""

from __future__ import annotations

import pytest

from app.gateways.nostr.key import NostrKey, NostrKeyError
from tests.gateways.nostr.given import ALICE

# The example of NIP-19.
NSEC = "nsec1vl029mgpspedva04g90vltkh6fvh240zqtv9k0t9af8935ke9laqsnlfe5"
HEX = "67dea2ed018072d675f5415ecfaed7d2597555e202d85b3d65ea4e58d2d92ffa"
NPUB = "npub10elfcs4fr0l0r8af98jlmgdh9c8tcxjvz9qkw038js35mp4dma8qzvjptg"


@pytest.mark.parametrize("text", [NSEC, NSEC.upper(), HEX, HEX.upper(), f" {NSEC}\n"])
def test_a_key_is_read_in_each_of_its_spellings(text: str) -> None:
    assert NostrKey.read(text).npub == NPUB


@pytest.mark.parametrize(
    "text", ["", NPUB, NSEC[:-1] + "6", HEX[:-1], "0" * 64, "f" * 64, NSEC[:20], "ä" * 64]
)
def test_what_is_no_private_key_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(NostrKeyError) as caught:
        NostrKey.read(text)

    assert not text or text not in str(caught.value)


def test_a_key_does_not_show_itself() -> None:
    assert repr(NostrKey.read(NSEC)) == f"NostrKey({NPUB})"
    assert HEX not in repr(vars(NostrKey.read(NSEC)))


def test_two_signatures_of_one_event_are_of_one_id() -> None:
    assert ALICE.signed(1, (), "", 0).id == ALICE.signed(1, (), "", 0).id
