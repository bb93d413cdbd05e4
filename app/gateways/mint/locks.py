"""Tells from a proof's secret who may spend it (NUT-10, NUT-11, NUT-14)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from app.gateways.mint.crypto import is_point

SIG_INPUTS, SIG_ALL = "SIG_INPUTS", "SIG_ALL"
P2PK = "P2PK"
DIGITS_MAX = 15
_TAGS: Final = frozenset(
    {"sigflag", "pubkeys", "n_sigs", "locktime", "refund", "n_sigs_refund"}
)


@dataclass(frozen=True, slots=True)
class P2pkLock:
    """A lock to public keys, well formed; times are Unix seconds."""

    pubkey: str
    sig_flag: str = SIG_INPUTS
    pubkeys: tuple[str, ...] = ()
    n_sigs: int = 1
    locktime: int | None = None
    refund: tuple[str, ...] = ()
    n_sigs_refund: int = 1

    def is_only_for(self, pubkey: str, *, until: float) -> bool:
        """Tell whether up to `until` nobody but `pubkey` can spend, and it needs no other.

        This is what an instant deposit needs; SIG_ALL is no, for it binds the outputs.
        """
        return (
            self.pubkey == pubkey
            and self.sig_flag == SIG_INPUTS
            and not self.pubkeys
            and self.n_sigs == 1
            and (self.locktime is None or self.locktime > until)
        )


@dataclass(frozen=True, slots=True)
class OtherLock:
    """A lock of a kind this house does not open, or a malformed one of a kind it does."""

    kind: str


SpendingCondition: TypeAlias = P2pkLock | OtherLock | None


def spending_condition(secret: str) -> SpendingCondition:
    """Read the condition a secret spells out; None is a plain secret, spendable by its holder.

    Whatever begins as a well-known secret but is not well formed is an `OtherLock`: a mint
    may read it in another way than we do.

    >>> spending_condition("407915bc212be61a77e3e6d2aeb4c727980bda51cd06a6afc29e2861768a7837")
    >>> spending_condition('["HTLC",{"nonce":"1","data":"00"}]')
    OtherLock(kind='HTLC')
    """
    if not secret.lstrip().startswith("["):
        return None
    try:
        parsed = json.loads(secret, object_pairs_hook=_without_duplicates)
    except (ValueError, RecursionError):
        return None if not secret.lstrip().startswith('["') else OtherLock("malformed")
    if not parsed or not isinstance(parsed[0], str):
        return OtherLock("malformed")
    kind = parsed[0][:16]
    lock = _p2pk(parsed) if kind == P2PK else None
    return lock or OtherLock(kind)


def _p2pk(parsed: list[Any]) -> P2pkLock | None:
    try:
        _, body = parsed
        tags = _tags(body.get("tags") or [])
        lock = P2pkLock(
            pubkey=_key(body["data"]),
            sig_flag=_one(tags.get("sigflag", [SIG_INPUTS])),
            pubkeys=tuple(map(_key, tags.get("pubkeys", []))),
            n_sigs=_number(_one(tags.get("n_sigs", ["1"]))),
            locktime=_number(_one(tags["locktime"])) if "locktime" in tags else None,
            refund=tuple(map(_key, tags.get("refund", []))),
            n_sigs_refund=_number(_one(tags.get("n_sigs_refund", ["1"]))),
        )
    except (AttributeError, KeyError, TypeError, ValueError):
        return None
    return lock if isinstance(body.get("nonce"), str) and _is_openable(lock) else None


def _is_openable(lock: P2pkLock) -> bool:
    return (
        lock.sig_flag in {SIG_INPUTS, SIG_ALL}
        and 1 <= lock.n_sigs <= 1 + len(lock.pubkeys)
        and 1 <= lock.n_sigs_refund <= max(1, len(lock.refund))
    )


def _tags(listed: list[Any]) -> dict[str, list[str]]:
    """Return the known tags by name; `ValueError` if one is there twice or is no text."""
    tags: dict[str, list[str]] = {}
    for tag in listed:
        if not isinstance(tag, list) or not all(isinstance(part, str) and part for part in tag):
            raise TypeError(tag)
        name, *values = tag
        if name in tags:
            raise ValueError(name)
        tags[name] = values
    return {name: values for name, values in tags.items() if name in _TAGS}


def _one(values: list[str]) -> str:
    (value,) = values
    return value


def _number(text: str) -> int:
    # int() would also take "+1", " 1" and other scripts' digits, which a mint may not.
    if not text.isascii() or not text.isdigit() or len(text) > DIGITS_MAX:
        raise ValueError(text)
    return int(text)


def _key(text: str) -> str:
    if not is_point(text):
        raise ValueError(text)
    return text


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) != len(pairs):
        message = "a key is there twice"
        raise ValueError(message)
    return table
