from __future__ import annotations

from datetime import UTC, datetime
from fractions import Fraction
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from app.cashier.errors import NoRateError
from app.cashier.quote import Quotes, Rates
from app.cashier.route import Route
from app.web.models import Listing
from domain.guards import RateRow
from domain.price_list import fixed, from_models_json
from tests.cashier.routes import quotes_of, upstream_at
from tests.web.conftest import IDS, MODELS

if TYPE_CHECKING:
    from tests.web.conftest import House

BOOK = from_models_json(MODELS, Fraction(0))
SIX = ("prompt", "completion", "request", "image", "web_search", "internal_reasoning")


@pytest.mark.parametrize("path", ["/v1/models", "/models"])
def test_the_listing_is_one_that_openai_clients_read(house: House, path: str) -> None:
    answer = house.client.get(path)

    assert answer.status_code == 200
    assert answer.get_json()["object"] == "list"
    assert [model["id"] for model in answer.get_json()["data"]] == IDS
    assert all(model["object"] == "model" for model in answer.get_json()["data"])
    assert answer.get_json()["data"][0]["owned_by"] == "maker"
    assert answer.get_json()["data"][0]["description"] == "Plain."


def test_every_model_has_what_strict_clients_require(house: House) -> None:
    models = house.client.get("/v1/models").get_json()["data"]

    for model in models:
        assert isinstance(model["created"], int)
        for prices in (model["pricing"], model["sats_pricing"]):
            assert all(isinstance(prices[name], float) for name in SIX)
        assert isinstance(model["sats_pricing"]["max_cost"], float)


def test_a_model_that_nobody_described_has_every_member_that_chats_read(house: House) -> None:
    bare = house.client.get("/v1/models/bare").get_json()

    assert (bare["name"], bare["description"]) == ("bare", "")
    assert bare["architecture"]["input_modalities"] == []
    assert (bare["context_length"], bare["per_request_limits"]) == (None, None)


def test_prices_are_those_that_are_charged(house: House) -> None:
    plain, *_ = house.client.get("/v1/models").get_json()["data"]

    assert plain["pricing"]["prompt"] == 0.000001
    assert plain["sats_pricing"]["prompt"] == 0.001
    assert plain["sats_pricing"]["completion"] == 0.002
    assert plain["sats_pricing"]["max_completion_cost"] == 0.2


def test_prices_include_the_margin() -> None:
    book = from_models_json({"models": MODELS}, Fraction(1, 10))
    rates = Rates(lambda: None, fixed_btc_usd="100000", stale_after_s=1)
    listing = Listing(quotes_of(book, rates, MODELS))

    model = listing.find("maker/plain")

    assert model["pricing"]["prompt"] == 0.0000011
    assert model["sats_pricing"]["prompt"] == 0.0011


@pytest.mark.parametrize("name", ["maker/plain", "plain"])
def test_one_model_is_shown_by_id_or_alias(house: House, name: str) -> None:
    answer = house.client.get(f"/v1/models/{name}")

    assert answer.status_code == 200
    assert answer.get_json()["id"] == "maker/plain"


@pytest.fixture
def two_providers() -> Listing:
    """The same model at two prices, under two names, and one that only one of them has."""
    dear = [
        {"id": "m", "name": "Dear", "pricing": {"prompt": "0.000003", "completion": "0"}},
        {"id": "only", "pricing": {"prompt": "0.000001", "completion": "0"}},
    ]
    cheap = [
        {
            "id": "maker/m",
            "name": "Cheap",
            "alias_ids": ["m", "small"],
            "canonical_slug": "m-2026",
            "forwarded_model_id": "raw-m",
            "pricing": {"prompt": "0.000001", "completion": "0"},
        }
    ]
    routes = tuple(
        Route(name, from_models_json(entries, Fraction(0)), upstream_at(), entries)
        for name, entries in (("dear", dear), ("cheap", cheap))
    )
    rates = Rates(lambda: None, fixed_btc_usd="100000", stale_after_s=1)
    return Listing(Quotes(lambda: routes, rates))


def test_a_model_is_shown_as_its_cheapest_provider_has_it(two_providers: Listing) -> None:
    model = two_providers.find("m")

    assert (model["id"], model["name"], model["enabled"]) == ("m", "Cheap", True)
    assert (model["upstream_provider_id"], model["forwarded_model_id"]) == ("cheap", "raw-m")
    assert model["alias_ids"] == ["m-2026", "maker/m", "small"]
    assert model["canonical_slug"] == "m-2026"
    assert model["pricing"]["prompt"] == 0.000001
    assert model["sats_pricing"]["prompt"] == 0.001


def test_what_is_to_be_paid_at_most_is_what_the_dearest_provider_asks(
    two_providers: Listing,
) -> None:
    model = two_providers.find("m")

    # A million tokens are taken for the longest prompt where nobody says how long it may be.
    assert model["sats_pricing"]["max_prompt_cost"] == 3_000.0
    assert model["sats_pricing"]["max_cost"] == 3_000.0


def test_every_model_of_every_provider_is_listed_once(two_providers: Listing) -> None:
    listed = {
        model["id"]: model["upstream_provider_id"] for model in two_providers.page().models
    }

    assert listed == {"m": "cheap", "only": "dear", "maker/m": "cheap"}
    assert two_providers.find("small")["id"] == "maker/m"


def test_a_model_that_is_not_listed_is_not_found(house: House) -> None:
    answer = house.client.get("/v1/models/nobody/none")

    assert answer.status_code == 404
    assert answer.get_json()["error"]["code"] == "model_not_found"
    assert answer.get_json()["error"]["param"] == "model"


def test_a_house_of_one_price_lists_it_for_every_model() -> None:
    rates = Rates(lambda: None, fixed_btc_usd=None, stale_after_s=1)
    quotes = quotes_of(fixed(Fraction(3), Fraction(0), Fraction(0)), rates, MODELS)
    listing = Listing(quotes)

    models = listing.page().models

    assert [model["sats_pricing"]["request"] for model in models] == [3.0] * len(MODELS)
    assert [model["sats_pricing"]["max_cost"] for model in models] == [3.0] * len(MODELS)
    assert models[0]["pricing"]["prompt"] == 0.000001


class Clock:
    """A clock that tests set."""

    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_the_listing_is_written_anew_only_when_the_rate_has_changed() -> None:
    clock = Clock()
    rows = [RateRow("100000", datetime.now(UTC))]
    rates = Rates(lambda: rows[-1], fixed_btc_usd=None, stale_after_s=900, clock=clock)
    listing = Listing(quotes_of(BOOK, rates, MODELS))

    first, second = listing.page(), listing.page()
    rows.append(RateRow("50000", datetime.now(UTC)))
    clock.now_s = 60.0
    third = listing.page()

    assert second is first
    assert third.by_id["maker/plain"]["sats_pricing"]["prompt"] == 0.002


def test_without_a_rate_the_last_listing_goes_on() -> None:
    clock = Clock()
    rows: list[RateRow | None] = [RateRow("100000", datetime.now(UTC))]
    rates = Rates(lambda: rows[-1], fixed_btc_usd=None, stale_after_s=900, clock=clock)
    listing = Listing(quotes_of(BOOK, rates, MODELS))
    before = listing.page()

    rows.append(None)
    clock.now_s = 60.0

    assert listing.page() is before


@pytest.mark.parametrize("btc_usd", [None])
@pytest.mark.parametrize("path", ["/v1/models", "/v1/models/bare", "/"])
def test_without_any_rate_nothing_is_offered_yet(house: House, path: str) -> None:
    before = house.client.get(path)
    house.ledger.observe_rate(uuid4(), "100000", ("test",))

    assert before.status_code == 503
    assert before.get_json()["error"]["code"] == "rate_unavailable"
    assert "Retry-After" in before.headers


def test_a_listing_that_never_had_a_rate_says_so() -> None:
    rates = Rates(lambda: None, fixed_btc_usd=None, stale_after_s=900)
    listing = Listing(quotes_of(BOOK, rates, MODELS))

    with pytest.raises(NoRateError):
        listing.page()


def test_images_are_listed_with_their_prices_by_size(house: House) -> None:
    found = house.client.get("/v1/models/painter").get_json()["pricing"]

    assert found["image_sizes"] == {"1024x1024": 0.04, "hd 1024x1024": 0.08}
