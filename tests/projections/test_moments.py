from __future__ import annotations

from datetime import UTC, datetime

import pytest

from projections.moments import MomentError, Period, day_of, moment, start_of_day

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2026-01-02", datetime(2026, 1, 2, tzinfo=UTC)),
        ("2026-01-02T12:00:00Z", NOON),
        ("2026-01-02t12:00:00.000000z", NOON),
        ("2026-01-02T13:30:00+01:30", NOON),
    ],
)
def test_dates_are_days_of_utc_and_times_are_those_of_rfc_3339(text: str, at: datetime) -> None:
    assert moment(text) == at
    assert moment(text).utcoffset() == UTC.utcoffset(None)


@pytest.mark.parametrize(
    "text",
    ["", "yesterday", "20260102", "2026-02-30", "2026-01-02T12:00:00", "2026-01-02 12:00:00Z",
     "2026-W01-1", "0001-01-01", "1969-12-31", "9999-12-31T23:59:59-01:00", "٢٠٢٦-01-02"],
)  # fmt: skip
def test_anything_else_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(MomentError, match="is neither a date") as refused:
        moment(text)

    assert "\n" not in str(refused.value)


def test_a_period_has_its_beginning_and_not_its_end() -> None:
    period = Period.between("2026-01-02T12:00:00Z", "2026-01-03")

    assert period.has(NOON)
    assert not period.has(datetime(2026, 1, 3, tzinfo=UTC))
    assert not period.has(datetime(2026, 1, 2, tzinfo=UTC))


def test_a_period_may_be_open_on_either_side() -> None:
    assert Period.between(None, None).has(NOON)
    assert Period.between("2026-01-02", None).has(NOON)
    assert Period.between("", "2026-01-03").has(NOON)


def test_a_period_does_not_end_before_it_begins() -> None:
    with pytest.raises(MomentError, match="2026-01-02 is not before 2026-01-02"):
        Period.between("2026-01-02", "2026-01-02")


def test_a_moment_knows_its_day() -> None:
    assert day_of(NOON) == "2026-01-02"
    assert start_of_day(NOON) == datetime(2026, 1, 2, tzinfo=UTC)
