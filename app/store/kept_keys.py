"""The keys of accounts in a file of their own, of which only the newest copy is kept.

    {"tallystick_keys":1}
    {"account":…,"wrapped":…}    one for each key, sealed by one that follows from the seed
    {"erased":…}                 one for each account whose key was destroyed
    {"keys":…,"erased_accounts":…}

A backup of the log can be kept for ever, in many copies: without this file it names nobody.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

from app.store.data_keys import KeptKey
from app.store.errors import BackupError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from app.store.data_keys import DataKeys

FORMAT = 1
LINE_CHARACTERS_MAX = 1_000


class Copied(NamedTuple):
    """What a file of keys holds."""

    keys: list[KeptKey]
    erased: list[UUID]


def dump_keys(data_keys: DataKeys) -> Iterator[str]:
    """Yield the lines of the file, while the service runs.

    Who was erased is read last: a key read before that is of nobody who is named here.
    """
    yield _line({"tallystick_keys": FORMAT})
    keys = dict(data_keys.all())
    erased = list(data_keys.erased())
    for account_id in erased:
        keys.pop(account_id, None)
    for account_id, wrapped in keys.items():
        yield _line({"account": str(account_id), "wrapped": b64encode(wrapped).decode()})
    for account_id in erased:
        yield _line({"erased": str(account_id)})
    yield _line({"keys": len(keys), "erased_accounts": len(erased)})


def read_keys(lines: Iterable[str]) -> Copied:
    """Read what `dump_keys` wrote; raises `BackupError` if it is not whole."""
    documents = map(_document, lines)
    if next(documents, {}).get("tallystick_keys") != FORMAT:
        raise BackupError("this is no file of keys, or one of a newer version")
    copied, last = Copied([], []), {}
    try:
        for document in documents:
            last = document
            if "wrapped" in document:
                wrapped = b64decode(document["wrapped"], validate=True)
                copied.keys.append(KeptKey(UUID(document["account"]), wrapped))
            elif "erased" in document:
                copied.erased.append(UUID(document["erased"]))
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise BackupError("the file of keys has a line that is no key") from error
    if last != {"keys": len(copied.keys), "erased_accounts": len(copied.erased)}:
        raise BackupError("the file of keys is not whole")
    return copied


def _document(line: str) -> dict[str, Any]:
    try:
        document = json.loads(line[:LINE_CHARACTERS_MAX])
    except ValueError as error:
        raise BackupError("the file of keys is damaged") from error
    if not isinstance(document, dict):
        raise BackupError("the file of keys is damaged")
    return document


def _line(document: dict[str, Any]) -> str:
    return json.dumps(document, separators=(",", ":")) + "\n"
