from __future__ import annotations

from datetime import UTC, datetime, timedelta
from fractions import Fraction

import pytest

from app.cashier.errors import NoRateError
from app.cashier.quote import LOOK_AGAIN_S, Rates
from domain.bounds import Usage
from domain.errors import UnknownModelError
from domain.guards import RateRow
from domain.price_list import fixed
from domain.pricing import ModelPrice, PriceBook
from tests.cashier.routes import quotes_of

STALE_AFTER_S = 900.0
MODEL = ModelPrice(id="gpt-x", currency="usd", completion=Fraction("0.001"))
BOOK = PriceBook({"gpt-x": MODEL}, aliases={"x": "gpt-x"})
FLAT = fixed(Fraction(1), Fraction(0), Fraction(0))


class Exchanges:
    """The newest rate that was recorded, how old it is, and the time."""

    def __init__(self, btc_usd: str | None = "100000", age_s: float = 0.0) -> None:
        self.btc_usd = btc_usd
        self.age_s = age_s
        self.now_s = 1_000.0
        self.looks = 0

    def newest(self) -> RateRow | None:
        self.looks += 1
        if self.btc_usd is None:
            return None
        return RateRow(self.btc_usd, datetime.now(UTC) - timedelta(seconds=self.age_s))

    def rates(self, fixed_btc_usd: str | None = None) -> Rates:
        return Rates(
            self.newest,
            fixed_btc_usd=fixed_btc_usd,
            stale_after_s=STALE_AFTER_S,
            clock=lambda: self.now_s,
        )


def test_the_newest_rate_is_sold_at() -> None:
    assert Exchanges("64000.5").rates().btc_usd() == "64000.5"


def test_a_rate_that_was_never_observed_is_none() -> None:
    with pytest.raises(NoRateError):
        Exchanges(None).rates().btc_usd()


def test_a_stale_rate_is_none() -> None:
    fresh = Exchanges(age_s=STALE_AFTER_S - 5)
    stale = Exchanges(age_s=STALE_AFTER_S + 5)

    assert fresh.rates().btc_usd() == "100000"
    with pytest.raises(NoRateError):
        stale.rates().btc_usd()


def test_a_rate_goes_stale_while_nobody_looks_again() -> None:
    exchanges = Exchanges(age_s=STALE_AFTER_S - 0.05)
    rates = exchanges.rates()
    assert rates.btc_usd() == "100000"

    deadline = datetime.now(UTC) + timedelta(seconds=0.1)
    while datetime.now(UTC) < deadline:
        pass

    with pytest.raises(NoRateError):
        rates.btc_usd()
    assert exchanges.looks == 1


def test_the_operators_own_rate_is_never_stale() -> None:
    exchanges = Exchanges(None)

    assert exchanges.rates("50000").btc_usd() == "50000"
    assert exchanges.looks == 0


def test_the_store_is_looked_at_every_now_and_then_only() -> None:
    exchanges = Exchanges()
    rates = exchanges.rates()
    for _ in range(100):
        rates.btc_usd()
    exchanges.btc_usd = "90000"

    before = rates.btc_usd()
    exchanges.now_s += LOOK_AGAIN_S + 0.1
    after = rates.btc_usd()

    assert (before, after) == ("100000", "90000")
    assert exchanges.looks == 2


def test_a_quote_names_all_that_a_charge_depends_on() -> None:
    """M17."""
    terms = quotes_of(BOOK, Exchanges().rates()).quotes("gpt-x")[0].terms

    assert (terms.model, terms.route) == ("gpt-x", "main")
    assert (terms.price_version, terms.btc_usd) == (BOOK.version, "100000")


def test_a_quote_stays_what_it_is_when_the_rate_changes() -> None:
    """M17."""
    exchanges = Exchanges()
    quotes = quotes_of(BOOK, exchanges.rates())
    before = quotes.quotes("gpt-x")[0]
    exchanges.btc_usd, exchanges.now_s = "50000", 2_000.0

    after = quotes.quotes("gpt-x")[0]

    usage = Usage(completion_tokens=1)
    assert before.tariff.cost(usage).total.msat == 1_000
    assert after.tariff.cost(usage).total.msat == 2_000
    assert (before.terms.btc_usd, after.terms.btc_usd) == ("100000", "50000")


def test_a_model_is_known_by_its_other_names_and_charged_by_its_own() -> None:
    quote = quotes_of(BOOK, Exchanges().rates()).quotes("x")[0]

    assert quote.terms.model == "gpt-x"


def test_an_unknown_model_is_told_before_a_missing_rate() -> None:
    quotes = quotes_of(BOOK, Exchanges(None).rates())

    with pytest.raises(UnknownModelError):
        quotes.quotes("gpt-y")[0]
    with pytest.raises(NoRateError):
        quotes.quotes("gpt-x")[0]
    with pytest.raises(NoRateError):
        quotes.offers()


def test_flat_prices_need_no_rate() -> None:
    exchanges = Exchanges(None)
    quotes = quotes_of(FLAT, exchanges.rates())

    quote = quotes.quotes("whatever it is called")[0]

    assert quote.tariff.cost(Usage()).total.msat == 1_000
    assert (quote.terms.btc_usd, exchanges.looks) == ("", 0)


def test_names_that_clients_invent_are_all_one_flat_model() -> None:
    quotes = quotes_of(FLAT, Exchanges(None).rates())

    models = {quotes.quotes(f"model-{number}")[0].terms.model for number in range(5)}

    assert models == {"*"}
