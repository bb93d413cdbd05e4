"""The curve operations of Cashu (NUT-00, 02, 11, 12, 13, 20), with hex at the borders.

Points are 33 bytes compressed as 66 hex characters, scalars 32 bytes as 64 hex characters;
blinding factors and private keys are raw bytes, so that they are not taken for either.
Of nutshell only `cashu.core.crypto` is imported: anything beside it changes the process.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from bip32 import BIP32
from cashu.core.crypto import b_dhke
from coincurve import PrivateKey, PublicKey, PublicKeyXOnly
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from mnemonic import Mnemonic

from app.gateways.mint.errors import CurveError, MnemonicError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

CURVE_ORDER: Final = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
KEYSET_V1, KEYSET_V2 = "00", "01"
KEYSET_V1_CHARS, KEYSET_V2_CHARS = 16, 66
POINT_CHARS, SCALAR_CHARS, SIGNATURE_CHARS = 66, 64, 128
HARDENED = 2**31
COUNTER_V1_MAX = HARDENED - 1
BRANCHES_MAX = 64
_SUBKEY_SALT = b"tallystick/subkey/1"


@dataclass(frozen=True, slots=True)
class Derived:
    """The secret of a proof to be, and the factor that blinds it."""

    secret: str = field(repr=False)
    blinding: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Dleq:
    """What convinces a third party that the mint signed a proof (NUT-12), each in hex."""

    e: str
    s: str
    r: str = field(repr=False)


class Seed:
    """The root from which every secret of ours is derived (NUT-13, BIP-39)."""

    __slots__ = ("_branches", "_root", "_seed")

    def __init__(self, seed: bytes) -> None:
        self._seed = seed
        self._root = BIP32.from_seed(seed)
        self._branches: dict[int, BIP32] = {}

    @classmethod
    def from_mnemonic(cls, phrase: str) -> Seed:
        """Read an English BIP-39 phrase of 12 to 24 words.

        Raises `MnemonicError`, which does not hold the phrase.
        """
        words = phrase.lower().split()
        bip39 = Mnemonic("english")
        if not bip39.check(" ".join(words)):
            raise MnemonicError(len(words))
        return cls(bip39.to_seed(" ".join(words)))

    def derive(self, keyset_id: str, counter: int) -> Derived:
        """Return what belongs to `counter` of a keyset: always the same.

        `keyset_id` is the full id in hex. Raises `ValueError` if it is of no version that
        NUT-13 derives for, or if the counter does not fit that version.
        """
        if keyset_id.startswith(KEYSET_V2) and len(keyset_id) == KEYSET_V2_CHARS:
            return self._derive_v2(bytes.fromhex(keyset_id), counter)
        if keyset_id.startswith(KEYSET_V1) and len(keyset_id) == KEYSET_V1_CHARS:
            return self._derive_v1(bytes.fromhex(keyset_id), counter)
        message = f"no derivation for keyset {keyset_id!r}"
        raise ValueError(message)

    def subkey(self, info: bytes) -> bytes:
        """Return 32 bytes for the one purpose named by `info` (HKDF-SHA256)."""
        return HKDF(SHA256(), 32, _SUBKEY_SALT, info).derive(self._seed)

    def _derive_v2(self, keyset_id: bytes, counter: int) -> Derived:
        message = b"Cashu_KDF_HMAC_SHA256" + keyset_id + counter.to_bytes(8, "big")
        secret = hmac.digest(self._seed, message + b"\x00", "sha256")
        factor = int.from_bytes(hmac.digest(self._seed, message + b"\x01", "sha256"), "big")
        return Derived(secret.hex(), (factor % CURVE_ORDER).to_bytes(32, "big"))

    def _derive_v1(self, keyset_id: bytes, counter: int) -> Derived:
        if not 0 <= counter <= COUNTER_V1_MAX:
            message = f"counter {counter} does not fit a version 1 keyset"
            raise ValueError(message)
        branch = self._branch(keyset_id)
        node = BIP32(*branch.get_extended_privkey_from_path([HARDENED + counter]))
        secret: bytes = node.get_privkey_from_path([0])
        blinding: bytes = node.get_privkey_from_path([1])
        return Derived(secret.hex(), blinding)

    def _branch(self, keyset_id: bytes) -> BIP32:
        """Return the BIP-32 node of a keyset; three of its five steps are always the same."""
        number = int.from_bytes(keyset_id, "big") % (2**31 - 1)
        if number not in self._branches:
            if len(self._branches) >= BRANCHES_MAX:
                self._branches.clear()
            path = [HARDENED + step for step in (129372, 0, number)]
            self._branches[number] = BIP32(*self._root.get_extended_privkey_from_path(path))
        return self._branches[number]

    def __repr__(self) -> str:
        return "Seed(…)"

    def __reduce__(self) -> str:
        message = "a seed is never written down"
        raise TypeError(message)


def is_point(text: object) -> bool:
    """Tell whether `text` is a point of the curve in compressed hex (NUT-01)."""
    try:
        return isinstance(text, str) and bool(_point(text))
    except CurveError:
        return False


def is_scalar(text: object) -> bool:
    """Tell whether `text` is 32 bytes in lower case hex."""
    return isinstance(text, str) and len(text) == SCALAR_CHARS and _is_hex(text)


def random_key() -> bytes:
    """Return a private key, or blinding factor, that nobody can derive."""
    return (1 + secrets.randbelow(CURVE_ORDER - 1)).to_bytes(32, "big")


def public_key(private_key: bytes) -> str:
    return _private(private_key).public_key.format().hex()


def hash_to_curve(secret: str) -> str:
    """Return Y, the point by which a mint knows a secret without being told it (NUT-00)."""
    return str(_y(secret).format().hex())


def blind(secret: str, blinding: bytes) -> str:
    """Return B_ = Y + rG, the message the mint signs blindly (NUT-00)."""
    return _blinded(_y(secret), blinding)


def unblind(c_: str, blinding: bytes, key: str) -> str:
    """Return C = C_ - rK, the signature on the secret itself (NUT-00).

    `key` is the mint's key for the amount. Raises `CurveError`.
    """
    mask = _times(_point(key), blinding)
    return _minus(_point(c_), mask).format().hex()


def dleq_holds_for_signature(key: str, b_: str, c_: str, e: str, s: str) -> bool:
    """Tell whether the mint signed `b_` with the key it publishes (NUT-12, who blinded)."""
    try:
        return _dleq_holds(_point(key), _point(b_), _point(c_), e, s)
    except ValueError:
        return False


def dleq_holds_for_proof(key: str, secret: str, c: str, dleq: Dleq) -> bool:
    """Tell whether a proof was signed with the key the mint publishes (NUT-12, a third).

    Needs no answer of the mint: `dleq.r` is the factor the first owner blinded with.
    """
    try:
        blinding, mint_key = _scalar(dleq.r), _point(key)
        b_ = _combined(_y(secret), blinding.public_key)
        c_ = _combined(_point(c), _times(mint_key, blinding.secret))
        return _dleq_holds(mint_key, b_, c_, dleq.e, dleq.s)
    except ValueError:
        return False


def sign(private_key: bytes, message: str) -> str:
    """Return the BIP-340 signature on the SHA-256 of `message`, in hex (NUT-11, NUT-20)."""
    digest = hashlib.sha256(message.encode()).digest()
    return _private(private_key).sign_schnorr(digest, secrets.token_bytes(32)).hex()


def signature_holds(key: str, message: str, signature: str) -> bool:
    """Tell whether `signature` on `message` is by `key`, a compressed point."""
    if len(signature) != SIGNATURE_CHARS or not _is_hex(signature):
        return False
    try:
        xonly = PublicKeyXOnly(_point(key).format()[1:])
    except ValueError:
        return False
    digest = hashlib.sha256(message.encode()).digest()
    return bool(xonly.verify(bytes.fromhex(signature), digest))


def mint_message(quote: str, blinded: Iterable[str]) -> str:
    """Return what is signed to mint a quote locked to a key: the id and each B_ (NUT-20)."""
    return quote + "".join(blinded)


def keyset_id_v1(keys: Mapping[int, str]) -> str:
    """Return the id of a version 1 keyset; `keys` is amount to public key (NUT-02)."""
    joined = b"".join(bytes.fromhex(keys[amount]) for amount in sorted(keys))
    return KEYSET_V1 + hashlib.sha256(joined).hexdigest()[:14]


def keyset_id_v2(
    keys: Mapping[int, str], unit: str, fee_ppk: int, final_expiry: int | None
) -> str:
    """Return the id of a version 2 keyset (NUT-02); `final_expiry` None is left out."""
    text = ",".join(f"{amount}:{keys[amount].lower()}" for amount in sorted(keys))
    text += f"|unit:{unit.lower()}"
    text += f"|input_fee_ppk:{fee_ppk}" if fee_ppk else ""
    text += "" if final_expiry is None else f"|final_expiry:{final_expiry}"
    return KEYSET_V2 + hashlib.sha256(text.encode()).hexdigest()


def keyset_id_is_genuine(
    keyset_id: str, keys: Mapping[int, str], unit: str, fee_ppk: int, final_expiry: int | None
) -> bool:
    """Tell whether the id is the one that these keys have.

    NUT-02 leaves out a final expiry of 0; nutshell hashes it when a keyset was rotated by
    its command line, so that both forms are genuine.
    """
    if keyset_id.startswith(KEYSET_V1):
        return keyset_id == keyset_id_v1(keys)
    plain = keyset_id_v2(keys, unit, fee_ppk, final_expiry or None)
    return keyset_id in {plain, keyset_id_v2(keys, unit, fee_ppk, final_expiry)}


def _dleq_holds(key: PublicKey, b_: PublicKey, c_: PublicKey, e: str, s: str) -> bool:
    return bool(b_dhke.alice_verify_dleq(b_, c_, _scalar(e), _scalar(s), key))


def _blinded(y: PublicKey, blinding: bytes) -> str:
    return _combined(y, _private(blinding).public_key).format().hex()


def _y(secret: str) -> PublicKey:
    point: PublicKey = b_dhke.hash_to_curve(secret.encode())
    return point


def _point(text: str) -> PublicKey:
    if len(text) != POINT_CHARS or not _is_hex(text):
        message = "a point has 66 hex characters"
        raise CurveError(message)
    try:
        return PublicKey(bytes.fromhex(text))
    except ValueError as error:
        raise CurveError(str(error)) from None


def _scalar(text: str) -> PrivateKey:
    if not is_scalar(text):
        message = "a scalar has 64 hex characters"
        raise CurveError(message)
    return _private(bytes.fromhex(text))


def _private(key: bytes) -> PrivateKey:
    try:
        return PrivateKey(key)
    except ValueError:
        message = "not a scalar of the curve"
        raise CurveError(message) from None


def _times(point: PublicKey, factor: bytes) -> PublicKey:
    try:
        product: PublicKey = point.multiply(factor)
    except ValueError as error:
        raise CurveError(str(error)) from None
    return product


def _minus(minuend: PublicKey, subtrahend: PublicKey) -> PublicKey:
    negative = bytearray(subtrahend.format())
    negative[0] ^= 1
    return _combined(minuend, PublicKey(bytes(negative)))


def _combined(*points: PublicKey) -> PublicKey:
    try:
        combined: PublicKey = PublicKey.combine_keys(list(points))
    except ValueError as error:
        raise CurveError(str(error)) from None
    return combined


def _is_hex(text: str) -> bool:
    return not text.strip("0123456789abcdef")
