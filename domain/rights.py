"""Who may look after the house, and what each of them may do there."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple
from uuid import UUID

from domain.errors import InvalidOperatorError

AUDIT, EXPORT, WITHDRAW, SETTINGS = "audit", "export", "withdraw", "settings"
SCOPES = (AUDIT, EXPORT, WITHDRAW, SETTINGS)
"""To read the books, to carry them out, to be paid what was earned, to change the house."""

FIRST = "admin"
"""The operator that a house has before it has any other."""

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}", re.ASCII)


class OperatorRow(NamedTuple):
    """An operator as of now; `version` is the newest event's, and sessions of others end.

    `password_id` names the hash, which is kept beside the log; `None` when the settings
    have the password.
    """

    operator_id: UUID
    version: int
    scopes: tuple[str, ...]
    password_id: UUID | None


def check_operator(name: str, scopes: Iterable[str]) -> None:
    """Raise `InvalidOperatorError` for what cannot be meant."""
    if not NAME.fullmatch(name):
        raise InvalidOperatorError("name", "must be 1 to 40 of a-z, 0-9, '_' and '-'")
    wanted = tuple(scopes)
    if not wanted or wanted != in_order(wanted):
        raise InvalidOperatorError("scopes", f"must be some of {', '.join(SCOPES)}, once each")


def in_order(scopes: Iterable[str]) -> tuple[str, ...]:
    """Return the scopes there are, each once and in the order of the list.

    >>> in_order(["withdraw", "audit", "withdraw", "sing"])
    ('audit', 'withdraw')
    """
    wanted = set(scopes)
    return tuple(scope for scope in SCOPES if scope in wanted)
