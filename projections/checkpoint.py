"""Checkpoints as the world writes them: C2SP tlog-checkpoint, signed-note and tlog-proof."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256

from projections.merkle import HASH_BYTES

ED25519 = b"\x01"
KEY_ID_BYTES = 4
NOTE_CHARS_MAX = 100_000
SAID = re.compile(
    r"([^\n]+)\n(0|[1-9][0-9]{0,18})\n([A-Za-z0-9+/]{43}=)\n(?:[^\n]+\n)*", re.ASCII
)
"""The text of a checkpoint: origin, size, root, and lines of others that are not empty."""
CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")
PROOF_HEAD = "c2sp.org/tlog-proof@v1"

Sign = Callable[[bytes], bytes]
"""Makes an Ed25519 signature of 64 bytes (RFC 8032)."""
Check = Callable[[bytes, bytes], bool]
"""`check(signature, text)`: tells whether one public key made the signature."""


class CheckpointError(Exception):
    """A checkpoint cannot be read, or is not signed by the key that was named."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What is signed: the first `size` events of the log `origin` have this tree's root."""

    origin: str
    size: int
    root: bytes

    def text(self) -> str:
        """Return the note's text, its last newline included.

        >>> print(Checkpoint("example.com", 3, bytes(32)).text(), end="")
        example.com
        3
        AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=
        """
        return f"{self.origin}\n{self.size}\n{_base64(self.root)}\n"


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """An Ed25519 public key of 32 bytes and the name it signs under."""

    name: str
    public: bytes

    @property
    def id(self) -> bytes:
        """Return the four bytes by which a signature says which key made it."""
        return sha256(self.name.encode() + b"\n" + ED25519 + self.public).digest()[:4]

    def __str__(self) -> str:
        """Write the key as verifiers of signed notes take it: name, key id, key."""
        return f"{self.name}+{self.id.hex()}+{_base64(ED25519 + self.public)}"

    @classmethod
    def read(cls, text: str) -> VerifierKey:
        """Read what `str` writes, or raise `CheckpointError`."""
        name, _, rest = text.strip().partition("+")
        key_id, _, encoded = rest.partition("+")
        key = cls(name, _bytes(encoded)[1:])
        if _bytes(encoded)[:1] != ED25519 or len(key.public) != HASH_BYTES:
            raise CheckpointError("the key is not an Ed25519 verifier key")
        if not name or key.id.hex() != key_id:
            raise CheckpointError("the key's id is not that of the key")
        return key


def origin_of(http_url: str | None, name: str) -> str:
    """Return how a house signs: its address without the scheme, else its name.

    >>> origin_of("https://api.example.com", "Any"), origin_of(None, "My +1 house")
    ('api.example.com', 'My--1-house')
    """
    plain = http_url.partition("://")[2] if http_url else name
    return re.sub(r"[\s+\x00-\x1f]", "-", plain) or "tallystick"


def sign(checkpoint: Checkpoint, key: VerifierKey, signer: Sign) -> str:
    """Return the signed note of a checkpoint."""
    return sign_text(checkpoint.text(), key, signer)


def sign_text(text: str, key: VerifierKey, signer: Sign) -> str:
    """Return the signed note of a text that ends with a newline (C2SP signed-note)."""
    signature = _base64(key.id + signer(text.encode()))
    return f"{text}\n\N{EM DASH} {key.name} {signature}\n"


def read(note: str) -> Checkpoint:
    """Return what a note says, without asking who signed it; raises `CheckpointError`."""
    said = SAID.fullmatch(_parts(note)[0])
    if said is None:
        raise CheckpointError("the note is not a checkpoint")
    return Checkpoint(said[1], int(said[2]), _bytes(said[3]))


def opened(note: str, key: VerifierKey, check: Check) -> Checkpoint:
    """Return what a note says if `key` signed it, else raise `CheckpointError`."""
    signed_by(note, key, check)
    return read(note)


def text_of(note: str) -> str:
    """Return the text of a note, without asking who signed it; raises `CheckpointError`."""
    return _parts(note)[0]


def signed_by(note: str, key: VerifierKey, check: Check) -> str:
    """Return the text of a note if `key` signed it, else raise `CheckpointError`.

    Signatures of others, witnesses for example, are passed over.
    """
    text, signatures = _parts(note)
    for line in signatures:
        dash, _, rest = line.partition(" ")
        name, _, encoded = rest.partition(" ")
        if dash == "\N{EM DASH}" and name == key.name:
            signature = _bytes(encoded)
            if signature[:KEY_ID_BYTES] == key.id:
                if check(signature[KEY_ID_BYTES:], text.encode()):
                    return text
                break
    raise CheckpointError(f"the note is not signed by {key.name}+{key.id.hex()}")


def proof_text(index: int, proof: Sequence[bytes], note: str) -> str:
    """Return an inclusion proof with its checkpoint, in one file (C2SP tlog-proof)."""
    hashes = "".join(f"{_base64(sibling)}\n" for sibling in proof)
    return f"{PROOF_HEAD}\nindex {index}\n{hashes}\n{note}"


def _parts(note: str) -> tuple[str, list[str]]:
    """Return a note's text and its lines of signatures."""
    text, blank, signatures = note.rpartition("\n\n")
    is_note = blank and signatures.endswith("\n") and not CONTROL.search(note)
    if not is_note or len(note) > NOTE_CHARS_MAX:
        raise CheckpointError("the note is not a signed note")
    return f"{text}\n", signatures.split("\n")


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise CheckpointError("the text is not base64") from error
