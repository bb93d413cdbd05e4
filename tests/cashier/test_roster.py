from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import pytest

from app.cashier.prices import HousePrices
from app.cashier.roster import LOOK_AGAIN_S, Roster
from app.gateways.mint.seal import Sealer
from app.store.errors import StoreUnavailableError
from domain.price_list import fixed
from domain.prices import PricesAdopted
from tests.cashier.house import SEED
from tests.cashier.test_providers import KEY, OWN, OWN_MODEL, SEALER, Desk, connect

if TYPE_CHECKING:
    from collections.abc import Iterator

    from app.cashier.route import Route
    from tests.cashier.house import House
    from tests.doubles.upstream import UpstreamDouble

MODEL = {"id": "x", "pricing": {"prompt": "1", "completion": "2"}, "alias_ids": ["ex"]}
EXCHANGE_FEE = Decimal("1.01")
FEE = Fraction(EXCHANGE_FEE)


class Books:
    """The store's providers, as long as the store can be read."""

    def __init__(self, house: House) -> None:
        self._store = house.store
        self.is_up = True
        self.looks = 0

    def provider_versions(self) -> list[tuple[Any, ...]]:
        if not self.is_up:
            raise StoreUnavailableError
        self.looks += 1
        return self._store.provider_versions()

    def providers(self) -> Any:
        return self._store.providers()


class Process:
    """One process that serves: its roster, and the time it has."""

    def __init__(self, house: House, sealer: Sealer = SEALER, flat: Any = None) -> None:
        self.now_s = 1_000.0
        self.books = Books(house)
        prices = HousePrices(OWN.models, EXCHANGE_FEE, flat, upstream_cost=True)
        self.roster = Roster(
            house.ledger, self.books, sealer, OWN, connect, prices, lambda: self.now_s
        )

    def later(self) -> dict[str, Route]:
        """Return the routes there are when the store has been looked at again."""
        self.now_s += LOOK_AGAIN_S + 0.1
        return self.now()

    def now(self) -> dict[str, Route]:
        return {route.name: route for route in self.roster.routes()}


@pytest.fixture
def desk(house: House) -> Desk:
    return Desk(house)


@pytest.fixture
def process(house: House) -> Iterator[Process]:
    process = Process(house)
    yield process
    process.roster.close()


def test_without_any_event_there_is_the_provider_of_the_settings(process: Process) -> None:
    (own,) = process.now().values()

    assert own.name == "default"
    assert own.book.find("own").prompt == Fraction("1.05") * FEE
    assert own.forwarded("own") == "own"
    assert own.markup == "1.0605"
    assert list(own.entries) == ["own"]


def test_a_change_is_seen_by_every_process_within_seconds(
    process: Process, house: House, desk: Desk
) -> None:
    other = Process(house)
    before = process.now(), other.now()

    desk.providers.add("a", "http://a.example", "me", KEY, fee="1.1", priority=4)
    desk.providers.list_models("a", [MODEL], "me")
    unseen = process.now()
    after = process.later(), other.later()

    assert [list(routes) for routes in before] == [["default"], ["default"]]
    assert list(unseen) == ["default"]
    for routes in after:
        assert list(routes) == ["a", "default"]
        assert routes["a"].priority == 4
        assert routes["a"].offers("ex")
        assert routes["a"].markup == "1.111"
        assert routes["a"].book.find("x").completion == 2 * Fraction("1.1") * FEE
    other.roster.close()


def test_the_store_is_looked_at_every_now_and_then_only(process: Process) -> None:
    routes = [process.roster.routes() for _ in range(100)]
    process.now_s += LOOK_AGAIN_S + 0.1
    routes.append(process.roster.routes())

    assert all(each is routes[0] for each in routes)
    assert process.books.looks == 2


def test_every_price_list_is_in_the_log_before_anything_is_sold_by_it(
    process: Process, house: House, desk: Desk
) -> None:
    """M17."""
    desk.providers.add("a", "http://a.example", "me")
    desk.providers.list_models("a", [MODEL], "me")

    routes = process.now()

    adopted = [event.version for event in house.log() if isinstance(event, PricesAdopted)]
    assert sorted(adopted) == sorted(route.book.version for route in routes.values())


def test_a_price_that_was_fixed_at_admission_outlives_its_list(
    process: Process, desk: Desk
) -> None:
    """M17."""
    desk.providers.add("a", "http://a.example", "me")
    desk.providers.list_models("a", [MODEL], "me")
    before = process.now()["a"]

    desk.providers.change("a", "me", fee="2")
    after = process.later()["a"]

    assert before.book.version != after.book.version
    assert before.tariffs("100000").find("x").price.prompt == FEE
    assert after.tariffs("100000").find("x").price.prompt == 2 * FEE


def test_who_is_disabled_or_removed_is_asked_no_more(process: Process, desk: Desk) -> None:
    for name in ("a", "b"):
        desk.providers.add(name, f"http://{name}.example", "me")
    before = process.now()

    desk.providers.change("a", "me", enabled=False)
    desk.providers.remove("b", "me")
    desk.providers.change("default", "me", enabled=False)

    assert list(before) == ["a", "b", "default"]
    assert process.later() == {}


def test_connections_and_breaker_last_as_long_as_address_and_key(
    process: Process, desk: Desk
) -> None:
    desk.providers.add("a", "http://a.example", "me", KEY)
    first = process.now()["a"]
    desk.providers.change("a", "me", fee="2")
    dearer = process.later()["a"]
    desk.providers.change("a", "me", api_key="sk-other")
    rekeyed = process.later()["a"]

    assert dearer.upstream is first.upstream
    assert dearer.breaker is first.breaker
    assert rekeyed.upstream is not first.upstream
    assert rekeyed.breaker is not first.breaker


def test_a_request_that_was_admitted_before_a_change_is_still_asked_for(
    process: Process, desk: Desk, upstream: UpstreamDouble
) -> None:
    desk.providers.add("a", upstream.base_url, "me", KEY)
    admitted = process.now()["a"]
    desk.providers.remove("a", "me")
    process.later()

    answer = admitted.upstream.get("/models")

    assert answer.status == 200
    answer.close()


def test_the_settings_provider_keeps_its_models_when_its_terms_change(
    process: Process, desk: Desk
) -> None:
    desk.providers.change("default", "me", fee="2", priority=7)

    own = process.now()["default"]

    assert own.book.find("own").prompt == 2 * FEE
    assert (own.priority, list(own.entries)) == (7, ["own"])


def test_what_an_upstream_says_it_costs_is_charged_only_where_that_is_wanted() -> None:
    assert HousePrices(OWN.models, EXCHANGE_FEE).markup("1.05") == ""


def test_the_settings_provider_sells_what_it_is_told_to(process: Process, desk: Desk) -> None:
    desk.providers.list_models("default", [MODEL], "me")

    own = process.now()["default"]

    assert list(own.entries) == ["x"]
    assert not own.offers("own")


def test_a_provider_whose_key_another_seed_has_sealed_is_left_out(
    house: House, desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    desk.providers.add("a", "http://a.example", "me", KEY)
    desk.providers.add("b", "http://b.example", "me")
    process = Process(house, Sealer(SEED.subkey(b"another")))

    routes = process.now()

    assert list(routes) == ["b", "default"]
    assert "provider cannot be asked" in caplog.text
    process.roster.close()


def test_while_the_store_is_away_providers_are_as_they_were(
    process: Process, desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    process.now()
    desk.providers.add("a", "http://a.example", "me")
    process.books.is_up = False
    away = process.later()
    process.books.is_up = True
    back = process.later()

    assert list(away) == ["default"]
    assert list(back) == ["a", "default"]
    assert "as they were" in caplog.text


def test_nothing_is_sold_before_the_providers_could_be_read(process: Process) -> None:
    process.books.is_up = False
    for _ in range(2):
        with pytest.raises(StoreUnavailableError):
            process.roster.routes()

    process.books.is_up = True

    assert list(process.now()) == ["default"]


def test_at_one_price_for_all_the_others_sell_what_they_list(house: House, desk: Desk) -> None:
    flat = fixed(Fraction(3), Fraction(0), Fraction(0))
    desk.providers.add("a", "http://a.example", "me", fee="9")
    desk.providers.list_models("a", [{**MODEL, "context_length": 1000}], "me")
    process = Process(house, flat=flat)

    routes = process.now()

    assert routes["default"].offers("whatever")
    assert not routes["a"].offers("whatever")
    price = routes["a"].book.find("ex")
    assert (price.id, price.currency, int(price.request)) == ("x", "msat", 3_000)
    assert price.context_length == 1000
    assert not routes["a"].needs_rate
    assert OWN_MODEL["id"] in routes["default"].entries
    process.roster.close()
