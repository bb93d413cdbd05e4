"""What one account is owed, proved: its leaf, the way to the root, and the signed total."""

from __future__ import annotations

import base64
import binascii
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

from domain.msat import MSAT_PER_BTC
from projections.checkpoint import CheckpointError, signed_by
from projections.liabilities import AMOUNTS, SUFFIX, Liabilities, Node, Owed, join, leaf
from projections.merkle import HASH_BYTES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from projections.checkpoint import Check, VerifierKey

LENGTH_MAX = 100_000
DEPTH_MAX = 64
MSAT_MAX = 21_000_000 * MSAT_PER_BTC
"""No amount is more than all the money there is: nothing else can make up for anything."""

SAID = re.compile(
    r"([^\n]+)\n(0|[1-9][0-9]{0,18})\n([A-Za-z0-9+/]{43}=)\n(0|[1-9][0-9]{0,18})\n"
    r"([A-Za-z0-9+/]{43}=)\n",
    re.ASCII,
)


class OwedError(Exception):
    """It is no proof of what is owed, or it proves nothing."""


@dataclass(frozen=True, slots=True)
class Proven:
    """What an account is owed, and the total, signed by the house, that this is a part of."""

    owed: Owed
    told: Liabilities


def told_in(text: str) -> Liabilities:
    """Return what the text of a signed note says of all that is owed; raises `OwedError`."""
    found = SAID.fullmatch(text)
    if found is None or not found[1].endswith(SUFFIX):
        raise OwedError("the note says nothing of what is owed")
    total = Node(_bytes(found[5]), _msat(int(found[4])))
    return Liabilities(found[1].removesuffix(SUFFIX), int(found[2]), _bytes(found[3]), total)


def proven(text: str, key: VerifierKey, check: Check) -> Proven:
    """Return what the proof in `text` proves, if the house of `key` has signed the total.

    Raises `OwedError`.
    """
    document = _read(text)
    try:
        owed = Owed(UUID(document["account"]), *(_msat(document[name]) for name in AMOUNTS))
        salt, place = _bytes(document["salt"]), document["place"]
        path = [Node(_bytes(each["hash"]), _msat(each["msat"])) for each in document["path"]]
        note = document["liabilities"]
        told = told_in(signed_by(note, key, check))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise OwedError("the proof cannot be read") from error
    except CheckpointError as error:
        raise OwedError(str(error)) from error
    if told.origin != key.name:
        raise OwedError("the note says nothing of what is owed")
    if type(place) is not int or len(path) > DEPTH_MAX or not 0 <= place < 1 << len(path):
        raise OwedError("the proof cannot be read")
    if _root(leaf(salt, owed), place, path) != told.total:
        raise OwedError("these amounts are not part of the total that was signed")
    return Proven(owed, told)


def _root(node: Node, place: int, path: Sequence[Node]) -> Node:
    for beside in path:
        node = join(beside, node) if place & 1 else join(node, beside)
        _msat(node.msat)
        place >>= 1
    return node


def _read(text: str) -> dict[str, Any]:
    try:
        document: Any = json.loads(text) if len(text) <= LENGTH_MAX else None
    except (ValueError, RecursionError) as error:
        raise OwedError("the proof cannot be read") from error
    if not isinstance(document, dict):
        raise OwedError("the proof cannot be read")
    return document


def _msat(amount: object) -> int:
    if type(amount) is not int or not 0 <= amount <= MSAT_MAX:
        raise OwedError("an amount that cannot be")
    return amount


def _bytes(text: str) -> bytes:
    try:
        data = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise OwedError("the proof cannot be read") from error
    if len(data) != HASH_BYTES:
        raise OwedError("the proof cannot be read")
    return data
