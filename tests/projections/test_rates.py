"""What amounts are worth in dollars: at the rate of then, to the eighth decimal."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.posting import available, held
from projections.chart import NotToldError, read_rate, told_upto
from projections.follow import catch_up_all
from projections.moments import Period, moment
from projections.rates import RATES, usd
from projections.statement import Place, Stand, Statement, read_part
from tests.projections.conftest import follow
from tests.projections.story import CLIENTS, put, rates_change

if TYPE_CHECKING:
    from tests.store.places import Store

CLIENT = CLIENTS[0]
BOTH = (available(CLIENT), held(CLIENT))
THIRD = Period(moment("2026-01-03"), None)


@pytest.fixture(params=["told", "half told", "not told"])
def changing(store: Store, request: pytest.FixtureRequest) -> Store:
    """A ledger over which the rate changes, told to its followers up to some place."""
    entries = rates_change().entries
    told = {"told": len(entries), "half told": 5, "not told": 0}[request.param]
    put(store, entries[:told])
    follow(store)
    put(store, entries[told:])
    return store


def test_each_line_has_the_rate_it_was_priced_at_or_the_newest_until_then(
    changing: Store,
) -> None:
    lines = list(Statement(changing, BOTH, Period()).lines())

    assert [(line.topic, line.amount_msat, line.btc_usd) for line in lines] == [
        ("deposit.credited", 1_000_000, ""),
        ("hold.held", 40_000, "50000"),
        ("hold.charged", 30_000, "50000"),
        ("hold.charged", 10_000, "50000"),
        ("deposit.credited", 70_000, "40000"),
    ]


def test_a_statement_opens_and_closes_at_the_rates_of_its_ends(changing: Store) -> None:
    whole = Statement(changing, BOTH, Period())
    second_day = Statement(changing, BOTH, Period(moment("2026-01-02"), THIRD.begin))
    third_day = Statement(changing, BOTH, THIRD)

    assert (whole.opening, whole.closing_btc_usd) == (Stand((0, 0)), "40000")
    assert second_day.opening == third_day.opening == Stand((970_000, 0), "50000")
    assert (second_day.closing_btc_usd, third_day.closing_btc_usd) == ("50000", "40000")


@pytest.mark.parametrize(
    ("at", "rate"),
    [
        ("2026-01-01T22:00:30Z", ""),
        ("2026-01-01T22:01:00Z", ""),
        ("2026-01-01T22:01:00.000001Z", "50000"),
        ("2026-01-01T22:59:00Z", "60000"),
        ("2026-01-03T01:01:00Z", "50000"),
        (None, "40000"),
    ],
)
def test_the_rate_of_a_moment_is_the_newest_before_it(
    changing: Store, at: str | None, rate: str
) -> None:
    assert read_rate(changing, moment(at) if at else None, changing.head()) == rate


def test_parts_open_where_the_ones_before_closed(store: Store) -> None:
    put(store, rates_change().entries)
    follow(store)

    with store.snapshot() as query:
        first = read_part(query, BOTH, Period(), None, 3)
        second = read_part(query, BOTH, Period(), first.next, 3)

    assert isinstance(first.next, Place)
    # The rate that was in force there, not that of the request that was charged.
    assert first.closing == second.opening == Stand((960_000, 10_000), "60000")
    assert second.closing == Stand((1_040_000, 0), "40000")


def test_nothing_is_told_while_the_rates_are_made_anew(store: Store) -> None:
    put(store, rates_change().entries)
    follow(store)

    store.forget(RATES.name)

    with store.snapshot() as query, pytest.raises(NotToldError):
        told_upto(query)
    catch_up_all(store, [RATES.name], lambda _done, _all: None)
    with store.snapshot() as query:
        assert told_upto(query) == store.head()


@pytest.mark.parametrize(
    ("amount_msat", "btc_usd", "dollars"),
    [
        (1, "50000", "0.00000050"),
        (1, "500", "0.00000000"),  # exactly half of the last digit: to the even one
        (3, "500", "0.00000002"),
        (-3, "500", "-0.00000002"),
        (5, "500", "0.00000002"),
        (1_234_567_890, "97123.45", "1199.05492736"),
        (0, "97123.45", "0.00000000"),
        (7, "", ""),
    ],
)
def test_dollars_are_rounded_half_to_even(amount_msat: int, btc_usd: str, dollars: str) -> None:
    assert usd(amount_msat, btc_usd) == dollars


@given(st.integers(-(10**20), 10**20), st.decimals("0.01", 10**7, places=8))
def test_dollars_are_never_off_by_more_than_half_of_the_last_digit(
    amount_msat: int, rate: Decimal
) -> None:
    exact = amount_msat * int(rate.scaleb(8))

    told = int(Decimal(usd(amount_msat, f"{rate:f}")).scaleb(8))

    # Both in parts of 10^-8 dollars; a bitcoin is 10^11 msat.
    assert abs(2 * (told * 10**11 - exact)) <= 10**11
