from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from app.sealing.check import verifies
from app.sealing.sign import SigningKey
from projections.checkpoint import (
    Checkpoint,
    CheckpointError,
    VerifierKey,
    opened,
    origin_of,
    proof_text,
    read,
    sign,
)
from tools import verify_ledger as alone

KEY = SigningKey(bytes(range(32)), "house.example")
OTHER = SigningKey(bytes(32), "house.example")
ROOT = bytes(range(100, 132))
NOTE = KEY.sign(3, ROOT)
# The example of the Go note package, whose format this is.
PETER = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
PETERS_TEXT = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
)
PETERS_SIGNATURE = bytes.fromhex(
    "c74f20a3f64992e052f541bf49f7dcbc8010c5506d885ba92cbafca4070495922734"
    "8b8652060dd451580b6a5948d5e02afa9fa9d9e0a2da5165be8a13a472c81c099c03"
)
# RFC 8032 §7.1: public key, message, both halves of the signature.
RFC_8032 = [
    (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155",
        "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da",
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
]


def test_a_checkpoint_is_written_as_the_world_writes_them() -> None:
    lines = NOTE.split("\n")

    assert lines[:4] == ["house.example", "3", base64.b64encode(ROOT).decode(), ""]
    assert lines[4].startswith("\N{EM DASH} house.example ")
    assert lines[5:] == [""]


def test_a_note_is_opened_with_the_key_that_signed_it() -> None:
    public = KEY.verifier.public

    said = opened(NOTE, KEY.verifier, verifies(public))

    assert said == read(NOTE) == Checkpoint("house.example", 3, ROOT)
    assert alone.opened(NOTE, str(KEY.verifier)) == alone.Checkpoint(3, ROOT)


@pytest.mark.parametrize(
    "signature", [base64.b64encode(bytes(76)).decode(), "of no kind we know!", "\x85AAAA"]
)
def test_signatures_of_witnesses_are_passed_over(signature: str) -> None:
    witness = f"\N{EM DASH} witness.example {signature}"
    head, blank, own = NOTE.rpartition("\n\n")
    note = f"{head}{blank}{witness}\n{own}"

    assert opened(note, KEY.verifier, verifies(KEY.verifier.public)) == read(NOTE)
    assert alone.opened(note, str(KEY.verifier)).size == 3


@pytest.mark.parametrize(
    "wrong",
    [
        OTHER.sign(3, ROOT),
        NOTE.replace("\n3\n", "\n4\n"),
        NOTE.replace("\N{EM DASH} house", "\N{EM DASH} horse"),
        NOTE.replace("\N{EM DASH}", "-"),
        NOTE.rstrip("\n"),
        NOTE.replace("\n\n", "\n"),
        NOTE[:-6] + "!!!!\n",
        KEY.note("house.example\n3\n" + base64.b64encode(ROOT).decode() + "\nx\x1b[2J\n"),
        "",
    ],
)
def test_what_the_key_did_not_sign_is_refused(wrong: str) -> None:
    with pytest.raises(CheckpointError):
        opened(wrong, KEY.verifier, verifies(KEY.verifier.public))
    with pytest.raises(alone.DifferenceError):
        alone.opened(wrong, str(KEY.verifier))


@pytest.mark.parametrize(
    "text",
    [
        "house.example\n03\n",
        "house.example\n3\nAAAA\n",
        "\n3\n",
        "house.example\n-1\n",
        "x\n",
        f"house.example\n3\n{'A' * 43}=\n\nan empty line before\n",
        f"house.example\n3\n{'A' * 43}=",
    ],
)
def test_a_signed_note_that_is_no_checkpoint_is_refused(text: str) -> None:
    private = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    signature = KEY.verifier.id + private.sign(text.encode())
    note = f"{text}\n\N{EM DASH} house.example {base64.b64encode(signature).decode()}\n"

    with pytest.raises(CheckpointError):
        opened(note, KEY.verifier, verifies(KEY.verifier.public))
    with pytest.raises(alone.DifferenceError):
        alone.opened(note, str(KEY.verifier))


def test_a_verifier_key_is_read_as_it_is_written() -> None:
    assert VerifierKey.read(f" {KEY.verifier}\n") == KEY.verifier
    assert str(VerifierKey.read(PETER)) == PETER


@pytest.mark.parametrize(
    "text",
    [
        "",
        "house.example",
        PETER.replace("c74f20a3", "c74f20a4"),
        PETER.replace("+ARpc", "+AhRpc"),
        PETER.replace("+ARpc", "+BRpc"),
        PETER.removeprefix("PeterNeumann"),
        PETER[:-4],
    ],
)
def test_what_is_no_verifier_key_is_refused(text: str) -> None:
    with pytest.raises(CheckpointError):
        VerifierKey.read(text)
    with pytest.raises(alone.DifferenceError):
        alone.opened(NOTE, text)


def test_the_key_id_is_that_of_other_implementations() -> None:
    key = VerifierKey.read(PETER)
    raw = PETERS_SIGNATURE

    assert raw[:4] == key.id
    assert verifies(key.public)(raw[4:], PETERS_TEXT.encode())
    assert alone.signed_by(key.public, raw[4:], PETERS_TEXT.encode())


@pytest.mark.parametrize(("public", "message", "nonce", "scalar"), RFC_8032)
def test_the_stand_alone_verifier_knows_ed25519(
    public: str, message: str, nonce: str, scalar: str
) -> None:
    key, text, made = (bytes.fromhex(part) for part in (public, message, nonce + scalar))

    assert alone.signed_by(key, made, text)
    assert not alone.signed_by(key, made, text + b"x")
    assert not alone.signed_by(key, made[:-1], text)
    assert not alone.signed_by(key, made[:32] + b"\xff" * 32, text)
    assert not alone.signed_by(b"\xff" * 32, made, text)


@pytest.mark.parametrize("bit", range(0, 512, 7))
def test_no_bit_of_a_signature_can_change(bit: int) -> None:
    head, _, encoded = NOTE.rstrip("\n").rpartition(" ")
    signature = bytearray(base64.b64decode(encoded)[4:])
    signature[bit // 8] ^= 1 << bit % 8
    text = NOTE.partition("\n\n")[0] + "\n"

    believed = verifies(KEY.verifier.public)(bytes(signature), text.encode())

    assert head
    assert not believed
    assert not alone.signed_by(KEY.verifier.public, bytes(signature), text.encode())


def test_a_house_signs_as_its_address_or_as_its_name() -> None:
    assert origin_of("https://house.example:8443/api", "x") == "house.example:8443/api"
    assert origin_of(None, " ") == "-"
    assert origin_of(None, "") == "tallystick"


def test_a_proof_is_one_file_with_its_checkpoint() -> None:
    text = proof_text(2, [ROOT], NOTE)

    hashed = base64.b64encode(ROOT).decode()
    assert text == f"c2sp.org/tlog-proof@v1\nindex 2\n{hashed}\n\n{NOTE}"


def test_the_name_of_a_key_is_part_of_its_id() -> None:
    renamed = VerifierKey("horse.example", KEY.verifier.public)
    signer = Ed25519PrivateKey.from_private_bytes(bytes(range(32))).sign

    note = sign(Checkpoint("house.example", 3, ROOT), renamed, signer)

    assert renamed.id != KEY.verifier.id
    with pytest.raises(CheckpointError):
        opened(note, KEY.verifier, verifies(KEY.verifier.public))


def test_lines_that_we_do_not_know_are_passed_over() -> None:
    text = f"house.example\n3\n{base64.b64encode(ROOT).decode()}\nof a later version\n"
    note = KEY.note(text)

    assert opened(note, KEY.verifier, verifies(KEY.verifier.public)) == read(NOTE)
    assert alone.opened(note, str(KEY.verifier)) == alone.Checkpoint(3, ROOT)
