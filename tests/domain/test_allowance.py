from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from domain import allowance
from domain.allowance import KeyRow, Rules, as_of, left_msat, refusal, window_of
from domain.errors import KeyExpiredError, LimitReachedError, ModelNotAllowedError

NOON = datetime(2026, 3, 18, 12, 0, tzinfo=UTC)
MIDNIGHT = datetime(2026, 3, 18, tzinfo=UTC)


def bound(spent_msat: int = 0, held_msat: int = 0, **rules: object) -> KeyRow:
    made = Rules(**rules)  # type: ignore[arg-type]
    return KeyRow(1, MIDNIGHT, rules=made, spent_msat=spent_msat, held_msat=held_msat)


@pytest.mark.parametrize(
    ("reset", "begun"),
    [
        ("", None),
        ("daily", datetime(2026, 3, 18, tzinfo=UTC)),
        ("weekly", datetime(2026, 3, 16, tzinfo=UTC)),
        ("monthly", datetime(2026, 3, 1, tzinfo=UTC)),
    ],
)
def test_windows_follow_the_calendar_in_utc(reset: str, begun: datetime | None) -> None:
    assert window_of(Rules(reset=reset), NOON) == begun


def test_a_day_is_the_day_in_utc_wherever_the_clock_stands() -> None:
    late = datetime(2026, 3, 17, 23, 30, tzinfo=timezone(timedelta(hours=-2)))

    assert window_of(Rules(reset="daily"), late) == MIDNIGHT


def test_a_limit_counts_what_was_spent_and_what_is_held() -> None:
    row = bound(limit_msat=100, spent_msat=30, held_msat=20)

    assert left_msat(row, NOON) == 50
    assert refusal(row, 50, "m", NOON) is None
    refused = refusal(row, 51, "m", NOON)
    assert isinstance(refused, LimitReachedError)
    assert (refused.limit_msat, refused.available_msat, refused.required_msat) == (100, 50, 51)


def test_a_limit_that_was_lowered_below_what_was_spent_leaves_nothing() -> None:
    assert left_msat(bound(limit_msat=10, spent_msat=30), NOON) == 0


def test_without_a_limit_nothing_is_refused() -> None:
    assert left_msat(bound(spent_msat=30), NOON) is None
    assert refusal(bound(spent_msat=30), 10**12, "m", NOON) is None


def test_in_a_new_window_nothing_is_spent_but_what_is_held_stays_held() -> None:
    row = bound(limit_msat=100, reset="daily", spent_msat=90, held_msat=20)
    tomorrow = NOON + timedelta(days=1)

    assert left_msat(row, NOON) == 0
    assert left_msat(row, tomorrow) == 80
    assert as_of(row, tomorrow).window_from == MIDNIGHT + timedelta(days=1)


def test_a_window_begun_by_hand_lasts_to_its_end() -> None:
    by_hand = bound(limit_msat=100, reset="daily", spent_msat=5)._replace(window_from=NOON)

    assert as_of(by_hand, NOON + timedelta(hours=1)) is by_hand
    # The clock of another host may be behind.
    assert as_of(by_hand, NOON - timedelta(days=2)) is by_hand


@pytest.mark.parametrize("end", ["valid_until", "expires_at"])
def test_a_key_is_refused_from_the_moment_it_ends(end: str) -> None:
    row = bound(**{end: NOON})  # type: ignore[arg-type]

    assert refusal(row, 0, "m", NOON - timedelta(microseconds=1)) is None
    assert isinstance(refusal(row, 0, "m", NOON), KeyExpiredError)


def test_a_key_for_some_models_is_refused_for_another() -> None:
    row = bound(models=("a", "b"))

    assert refusal(row, 1, "b", NOON) is None
    assert isinstance(refusal(row, 1, "c", NOON), ModelNotAllowedError)


def test_what_was_spent_counts_for_the_window_in_which_the_request_ends() -> None:
    row = bound(limit_msat=100, reset="daily", spent_msat=90, held_msat=10)

    after = allowance.charged(row, 10, 7, NOON + timedelta(days=1))

    assert (after.spent_msat, after.held_msat) == (7, 0)
    assert (after.total_msat, after.requests) == (7, 1)
