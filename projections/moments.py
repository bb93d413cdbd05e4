"""Moments and periods as people write them: dates are days of UTC, the end is left out."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import NamedTuple, Self

DAY = re.compile(r"(19[7-9]|[2-9]\d\d)\d-\d\d-\d\d", re.ASCII)
TIME = re.compile(DAY.pattern + r"[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)

DAYS_END = "9999-12-31"
"""The last day there is, where no other ends a period."""


class MomentError(ValueError):
    """Neither a date nor an RFC 3339 time, or a period that ends before it begins."""

    def __init__(self, message: str) -> None:
        super().__init__(message)


def moment(text: str) -> datetime:
    """Return the moment a date begins in UTC, or that an RFC 3339 time names, in UTC.

    Raises `MomentError`.

    >>> moment("2026-01-02") == moment("2026-01-02T01:00:00+01:00")
    True
    """
    try:
        if DAY.fullmatch(text):
            return datetime.fromisoformat(text).replace(tzinfo=UTC)
        if TIME.fullmatch(text):
            return datetime.fromisoformat(text.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise MomentError(
        f"{text[:40]!r} is neither a date (2026-01-31) nor a time (2026-01-31T12:00:00Z)"
    )


def day_of(at: datetime) -> str:
    """Return the UTC day of `at`, as text that sorts as days do."""
    return at.astimezone(UTC).date().isoformat()


class Period(NamedTuple):
    """From `begin` to just before `end`, both in UTC; `None` leaves a side open."""

    begin: datetime | None = None
    end: datetime | None = None

    @classmethod
    def between(cls, begin: str | None, end: str | None) -> Self:
        """Return the period that two texts name; raises `MomentError`."""
        period = cls(moment(begin) if begin else None, moment(end) if end else None)
        if period.begin and period.end and period.begin >= period.end:
            raise MomentError(f"{begin} is not before {end}")
        return period

    def has(self, at: datetime) -> bool:
        return (self.begin is None or at >= self.begin) and (self.end is None or at < self.end)


def start_of_day(at: datetime) -> datetime:
    """Return when the UTC day of `at` began."""
    return at - timedelta(
        hours=at.hour, minutes=at.minute, seconds=at.second, microseconds=at.microsecond
    )
