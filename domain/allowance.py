"""What an API key may spend, what it has spent, and when a new window begins."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

import msgspec

from domain.errors import KeyExpiredError, LedgerError, LimitReachedError, ModelNotAllowedError

DAILY, WEEKLY, MONTHLY = "daily", "weekly", "monthly"
RESETS = ("", DAILY, WEEKLY, MONTHLY)
"""How windows follow each other, by the calendar in UTC; a week begins on Monday."""


class Rules(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What binds a key.

    It may spend `limit_msat` in a window (`None`: all there is), on `models` (none named:
    all), until `valid_until`. At `expires_at` what its account has is refunded, to the
    address sealed in `refund_to` if there is one, and no request is served any more.
    """

    limit_msat: int | None = None
    reset: str = ""
    valid_until: datetime | None = None
    models: tuple[str, ...] = ()
    expires_at: datetime | None = None
    refund_to: str = ""


class KeyRow(NamedTuple):
    """A key that is bound by rules, is a child or has children.

    What a child spends is its parent's money, and counts for both. `spent_msat` is of the
    window that began at `window_from`, `total_msat` and `requests` are of all times;
    `salt` is what a child's key is derived from, worth nothing without the seed. `erased` is
    1 for an account whose owner's names were erased: it may not be given new ones.
    """

    version: int
    window_from: datetime
    parent_id: UUID | None = None
    salt: UUID | None = None
    rules: Rules = Rules()
    spent_msat: int = 0
    held_msat: int = 0
    total_msat: int = 0
    requests: int = 0
    children: int = 0
    erased: int = 0


def window_of(rules: Rules, at: datetime) -> datetime | None:
    """Return when the window began that `at` lies in, `None` if there is but one.

    >>> window_of(Rules(reset="weekly"), datetime(2026, 1, 2, 3, tzinfo=UTC)).isoformat()
    '2025-12-29T00:00:00+00:00'
    """
    day = at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    if rules.reset == DAILY:
        return day
    if rules.reset == WEEKLY:
        return day - timedelta(days=day.weekday())
    return day.replace(day=1) if rules.reset == MONTHLY else None


def as_of(row: KeyRow, at: datetime) -> KeyRow:
    """Return `row` as it is at `at`: in a new window nothing is spent yet."""
    begun = window_of(row.rules, at)
    # A window that was begun by hand is not begun again, whatever another host's clock says.
    if begun is None or begun <= row.window_from:
        return row
    return row._replace(window_from=begun, spent_msat=0)


def left_msat(row: KeyRow, at: datetime) -> int | None:
    """Return what may be held beside what is held, `None` if nothing limits it."""
    limit_msat = row.rules.limit_msat
    if limit_msat is None:
        return None
    return max(0, limit_msat - as_of(row, at).spent_msat - row.held_msat)


def refusal(row: KeyRow, amount_msat: int, model: str, at: datetime) -> LedgerError | None:
    """Return why a request of `amount_msat` is not let in at `at`, if it is not."""
    rules = row.rules
    if has_expired(rules, at):
        return KeyExpiredError()
    if rules.models and model not in rules.models:
        return ModelNotAllowedError(model)
    free_msat = left_msat(row, at)
    if free_msat is None or amount_msat <= free_msat:
        return None
    return LimitReachedError(
        limit_msat=rules.limit_msat or 0, left_msat=free_msat, required_msat=amount_msat
    )


def has_expired(rules: Rules, at: datetime) -> bool:
    return any(end is not None and end <= at for end in (rules.valid_until, rules.expires_at))


def held(row: KeyRow, amount_msat: int) -> KeyRow:
    """Return `row` with a request more that is in progress."""
    return row._replace(held_msat=row.held_msat + amount_msat)


def charged(row: KeyRow, held_msat: int, spent_msat: int, at: datetime) -> KeyRow:
    """Return `row` after a request that was served; it counts for the window it ends in."""
    now = as_of(row, at)
    return now._replace(
        held_msat=row.held_msat - held_msat,
        spent_msat=now.spent_msat + spent_msat,
        total_msat=row.total_msat + spent_msat,
        requests=row.requests + 1,
    )
