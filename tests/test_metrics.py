"""What is counted, and what the back office measures."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from prometheus_client.parser import text_string_to_metric_families

from app.figures import Figures
from app.logs import RequestLine
from app.metrics import Metrics
from domain.msat import Msat
from domain.posting import EARNED
from domain.reconcile import Compared
from projections.follow import catch_up
from projections.sheets import SHEETS
from tests.domain.given import ALICE, MINT, TERMS
from tests.store.work import a_day, fund, ledger_on, serve, silent

if TYPE_CHECKING:
    from tests.store.places import Store

FOLLOWERS = tuple(sheet.name for sheet in SHEETS)


def figures(metrics: Metrics) -> dict[tuple[str, ...], float]:
    """Every sample, by its name and its labels' values in the order of their names."""
    return {
        (
            sample.name.removeprefix("tallystick_"),
            *(value for _, value in sorted(sample.labels.items())),
        ): sample.value
        for family in text_string_to_metric_families(metrics.told().decode())
        for sample in family.samples
    }


def line(**changes: object) -> RequestLine:
    facts = {
        "request_id": "r",
        "method": "POST",
        "route": "/v1/chat/completions",
        "status": 200,
        "duration_ms": 30,
        "first_chunk_ms": 4,
        "charged_msat": 1_500,
        "model": 'any"\nname',
    }
    return RequestLine(**{**facts, **changes})  # type: ignore[arg-type]


def test_a_request_is_counted_with_names_of_ours_only() -> None:
    metrics = Metrics()

    metrics.count_request(line())
    metrics.count_request(line(status=402, charged_msat=None, first_chunk_ms=None))

    told = figures(metrics)
    assert told["requests_total", "/v1/chat/completions", "200"] == 1
    assert told["requests_total", "/v1/chat/completions", "402"] == 1
    assert told["charged_msat_total",] == 1_500
    assert told["request_seconds_count", "/v1/chat/completions"] == 2
    assert told["first_chunk_seconds_count", "/v1/chat/completions"] == 1
    assert told["first_chunk_seconds_bucket", "0.005", "/v1/chat/completions"] == 1
    assert b"any" not in metrics.told()


def test_a_job_that_fails_is_counted_and_has_no_success() -> None:
    metrics = Metrics()

    with metrics.watched("rate"):
        pass
    with pytest.raises(KeyError), metrics.watched("payouts"):
        raise KeyError

    told = figures(metrics)
    assert told["job_runs_total", "done", "rate"] == 1
    assert told["job_runs_total", "failed", "payouts"] == 1
    assert told["job_last_success_timestamp_seconds", "rate"] > 0
    assert ("job_last_success_timestamp_seconds", "payouts") not in told
    assert ("job_seconds", "payouts") in told


@pytest.mark.parametrize("is_told", [False, True])
def test_the_gauges_say_what_the_books_say(store: Store, *, is_told: bool) -> None:
    ledger = ledger_on(store)
    fund(ledger, ALICE, 1_000)
    serve(ledger, ALICE, 60_000, 7_000)
    ledger.hold(uuid4(), ALICE, Msat(50_000), TERMS)
    ledger.reconcile(MINT, Compared(booked_msat=1_000_000, free_msat=999_000))
    ledger.observe_rate(uuid4(), "50000", ("a",))
    if is_told:
        for name in FOLLOWERS:
            catch_up(store, name, silent)
    metrics = Metrics()
    late = timedelta(hours=1)

    Figures(metrics, store, store, FOLLOWERS, lambda: datetime.now(UTC) + late).measure()

    told = figures(metrics)
    assert told["open", "hold"] == 1
    assert 3_600 <= told["oldest_seconds", "hold"] < 3_700
    assert told["money_msat", EARNED] == 7_000
    assert told["money_msat", "client:*:available"] == 943_000
    assert told["money_msat", "client:*:held"] == 50_000
    assert told["money_msat", f"mint:{MINT}"] == -1_000_000
    assert told["unexplained_msat", MINT] == 1_000
    assert told["rate_timestamp_seconds",] > 1_700_000_000
    assert told["log_position",] == store.head()
    assert told["follower_lag", "journal"] == (0 if is_told else store.head())
    assert str(ALICE).encode() not in metrics.told()


def test_what_is_not_open_any_more_goes_to_zero(store: Store) -> None:
    metrics = Metrics()
    desk = Figures(metrics, store, store, FOLLOWERS)
    a_day(store, ALICE)
    desk.measure()
    assert figures(metrics)["open", "refund"] == 1
    ((stream, _),) = store.movements_of(ALICE, "refund")
    newest = store.history(stream)[-1]
    ledger_on(store).cancel_refund(newest, newest.event.draft, "refused")  # type: ignore[attr-defined]

    desk.measure()

    told = figures(metrics)
    assert told["open", "refund"] == told["oldest_seconds", "refund"] == 0
    assert told["open", "deposit"] == 1


def test_money_waits_while_the_journal_is_made_anew(store: Store) -> None:
    a_day(store, ALICE)
    catch_up(store, "daily", silent)
    metrics = Metrics()

    Figures(metrics, store, store, FOLLOWERS).measure()

    told = figures(metrics)
    assert told["open", "hold"] == 1
    assert ("money_msat", EARNED) not in told


def test_what_mints_and_providers_fail_at_is_counted_by_their_names() -> None:
    metrics = Metrics()

    metrics.count_failure("mint", "https://mint.example", "silent")
    metrics.count_failure("provider", "default", "away")
    metrics.count_failure("provider", "default", "away")

    told = metrics.told().decode()
    labels = 'gateway="mint",kind="silent",name="https://mint.example"'
    assert f"tallystick_gateway_failures_total{{{labels}}} 1.0" in told
    labels = 'gateway="provider",kind="away",name="default"'
    assert f"tallystick_gateway_failures_total{{{labels}}} 2.0" in told
