from __future__ import annotations

import json
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import pytest

from app.cashier.errors import ModelListError, ProviderThereError, ProviderUnknownError
from app.cashier.providers import LIST_BYTES_MAX, OwnProvider, Providers, opened
from app.gateways.errors import GatewayError
from app.gateways.mint.errors import SealError
from app.gateways.mint.seal import Sealer
from app.gateways.upstream import Upstream
from app.urls import normalised_url
from domain.errors import InvalidProviderError, PricingError, ProviderChangedError
from domain.provider import ProviderListed, ProviderRemoved, ProviderSet
from tests.cashier.house import SEED
from tests.doubles.upstream import Behaviour

if TYPE_CHECKING:
    from tests.cashier.house import House
    from tests.doubles.upstream import UpstreamDouble

SEALER = Sealer(SEED.subkey(b"upstream keys"))
OWN_KEY, KEY = "sk-own-secret", "sk-provider-secret"
OWN_MODEL = {"id": "own", "pricing": {"prompt": "1", "completion": "1"}}
OWN = OwnProvider("http://127.0.0.1:9/v1", OWN_KEY, "1.05", (OWN_MODEL,))
NOWHERE = "http://127.0.0.1:9"


def connect(base_url: str, api_key: str) -> Upstream:
    return Upstream(
        base_url, api_key, connect_timeout_s=2.0, read_timeout_s=2.0, connections_max=1
    )


class Desk:
    """The desk at which operators set providers up."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.providers = Providers(
            house.ledger, house.store, SEALER, OWN, connect, normalised_url, Fraction(3)
        )

    def events(self) -> list[Any]:
        kinds = ProviderSet | ProviderListed | ProviderRemoved
        return [event for event in self.house.log() if isinstance(event, kinds)]

    def row(self, name: str) -> Any:
        return self.house.store.providers()[name]

    def prices(self, name: str) -> dict[str, str]:
        return {each["id"]: each["pricing"]["prompt"] for each in self.row(name).models}


@pytest.fixture
def desk(house: House) -> Desk:
    return Desk(house)


def listing(**prompts: str) -> Behaviour:
    models = [
        {"id": name, "pricing": {"prompt": price, "completion": "2"}}
        for name, price in prompts.items()
    ]
    return Behaviour(body=json.dumps({"data": models}).encode())


def test_a_provider_is_added_with_its_key_sealed(desk: Desk) -> None:
    desk.providers.add("a", "HTTPS://A.Example:443/v1/", "me", KEY, fee="1.1", priority=3)

    (added,) = desk.events()
    assert (added.name, added.who) == ("a", "me")
    assert added.provider.base_url == "https://a.example/v1"
    assert (added.provider.fee, added.provider.priority) == ("1.1", 3)
    assert KEY.encode() not in added.provider.sealed_key
    assert opened(SEALER, desk.row("a")) == KEY


def test_a_key_opens_for_its_own_provider_and_seed_only(desk: Desk) -> None:
    desk.providers.add("a", "http://a.example", "me", KEY)
    desk.providers.add("b", "http://a.example", "me")
    stolen = desk.row("b")._replace(provider=desk.row("a").provider)

    with pytest.raises(SealError):
        opened(SEALER, stolen)
    with pytest.raises(SealError):
        opened(Sealer(b"\x07" * 32), desk.row("a"))
    assert opened(SEALER, desk.row("b")) == ""


def test_the_settings_provider_is_one_of_them(desk: Desk) -> None:
    desk.providers.add("a", "http://a.example", "me", priority=-1)

    first, own = desk.providers.all()

    assert (first.name, first.has_key, first.is_of_settings) == ("a", False, False)
    assert (own.name, own.has_key, own.is_of_settings) == ("default", True, True)
    assert (own.base_url, own.fee, own.models) == (OWN.base_url, "1.05", 1)
    assert OWN_KEY not in repr((first, own, OWN))


def test_what_is_changed_of_the_settings_provider_goes_before_the_settings(desk: Desk) -> None:
    desk.providers.change("default", "me", enabled=False)

    (own,) = desk.providers.all()
    assert (own.enabled, own.is_of_settings, own.models) == (False, False, 1)
    assert opened(SEALER, desk.row("default")) == OWN_KEY
    desk.providers.remove("default", "me")
    assert [shown.is_of_settings for shown in desk.providers.all()] == [True]


def test_only_what_is_given_is_changed(desk: Desk) -> None:
    desk.providers.add("a", "http://a.example", "me", KEY, fee="1.1")

    desk.providers.change("a", "you", priority=2)
    desk.providers.change("a", "you", base_url="http://b.example")
    desk.providers.change("a", "you", api_key="")
    desk.providers.change("a", "you", priority=2)

    assert [event.who for event in desk.events()] == ["me", "you", "you", "you"]
    provider = desk.row("a").provider
    assert (provider.fee, provider.priority, provider.sealed_key) == ("1.1", 2, b"")
    assert provider.base_url == "http://b.example"


def test_a_name_is_given_once(desk: Desk) -> None:
    desk.providers.add("a", "http://a.example", "me")

    for name in ("a", "default"):
        with pytest.raises(ProviderThereError, match=name):
            desk.providers.add(name, "http://b.example", "me")


def test_who_is_not_there_cannot_be_changed(desk: Desk) -> None:
    for act in (
        lambda: desk.providers.change("a", "me", fee="2"),
        lambda: desk.providers.remove("a", "me"),
        lambda: desk.providers.remove("default", "me"),
        lambda: desk.providers.list_models("a", [OWN_MODEL], "me"),
        lambda: desk.providers.refresh("a", "me"),
    ):
        with pytest.raises(ProviderUnknownError):
            act()
    assert desk.events() == []


@pytest.mark.parametrize("url", ["ftp://a.example", "https://u:p@a.example", "https://", "x"])
def test_an_address_is_one_that_can_be_asked(desk: Desk, url: str) -> None:
    with pytest.raises(InvalidProviderError, match="base_url"):
        desk.providers.add("a", url, "me")


@pytest.mark.parametrize("key", ["two words", "line\r\nX-Injected: 1", "ä", "k" * 1001])
def test_a_key_is_one_that_fits_into_a_header(desk: Desk, key: str) -> None:
    with pytest.raises(InvalidProviderError, match="key") as refusal:
        desk.providers.add("a", "http://a.example", "me", key)

    assert key not in str(refusal.value)


def test_an_operator_says_what_is_sold(desk: Desk) -> None:
    desk.providers.add("a", "http://a.example", "me")

    count = desk.providers.list_models("a", {"models": [OWN_MODEL]}, "me")
    desk.providers.list_models("default", {"models": [OWN_MODEL]}, "me")

    assert count == 1
    assert desk.prices("a") == desk.prices("default") == {"own": "1"}
    with pytest.raises(PricingError, match="pricing"):
        desk.providers.list_models("a", [{"id": "own"}], "me")


def test_a_provider_is_asked_with_our_key_for_what_it_sells(
    desk: Desk, upstream: UpstreamDouble
) -> None:
    desk.providers.add("a", upstream.base_url, "me", KEY, lists=True)
    upstream.behave(listing(x="1", y="2"))

    found = desk.providers.refresh("a", "me")

    assert [each["id"] for each in found.models] == ["x", "y"]
    assert desk.prices("a") == {"x": "1", "y": "2"}
    (asked,) = upstream.requests
    assert (asked.method, asked.path) == ("GET", "/v1/models")
    assert asked.headers["authorization"] == f"Bearer {KEY}"


def test_a_list_that_says_nothing_new_is_no_event(desk: Desk, upstream: UpstreamDouble) -> None:
    desk.providers.add("a", upstream.base_url, "me", lists=True)
    upstream.behave(listing(x="1"))
    desk.providers.refresh("a", "me")
    count = len(desk.events())

    desk.providers.refresh("a", "me")

    assert len(desk.events()) == count


def test_the_back_office_asks_those_that_are_to_be_asked(
    desk: Desk, upstream: UpstreamDouble, caplog: pytest.LogCaptureFixture
) -> None:
    desk.providers.add("broken", NOWHERE, "me", lists=True)
    desk.providers.add("good", upstream.base_url, "me", lists=True)
    desk.providers.add("off", upstream.base_url, "me", lists=True, enabled=False)
    desk.providers.add("plain", upstream.base_url, "me")
    upstream.behave(listing(x="1"))

    desk.providers.refresh_all()

    assert len(upstream.requests) == 1
    assert desk.prices("good") == {"x": "1"}
    assert desk.events()[-1].who == "back office"
    assert caplog.text.count("no list of models") == 1


def test_a_price_that_jumps_is_held_back_until_somebody_has_looked(
    desk: Desk, upstream: UpstreamDouble, caplog: pytest.LogCaptureFixture
) -> None:
    desk.providers.add("a", upstream.base_url, "me", lists=True)
    upstream.behave(listing(x="1", y="1"))
    desk.providers.refresh_all()
    upstream.behave(listing(x="3.1", y="3"))

    desk.providers.refresh_all()
    held = desk.prices("a")
    accepted = desk.providers.refresh("a", "me", accept=True)

    assert held == {"x": "1", "y": "3"}
    assert caplog.text.count("prices held back") == 1
    assert accepted.held_back == ()
    assert desk.prices("a") == {"x": "3.1", "y": "3"}


BAD_LISTS = {
    "an error": Behaviour(status=500),
    "a redirect": Behaviour(status=302),
    "no JSON": Behaviour(body=b"<html>"),
    "no list": Behaviour(body=b"{}"),
    "a nest": Behaviour(body=b"[" * 200_000),
}


@pytest.mark.parametrize("behaviour", BAD_LISTS.values(), ids=BAD_LISTS)
def test_a_list_that_makes_no_sense_changes_nothing(
    desk: Desk, upstream: UpstreamDouble, behaviour: Behaviour
) -> None:
    desk.providers.add("a", upstream.base_url, "me", lists=True)
    upstream.behave(behaviour)

    with pytest.raises(ModelListError, match="'a'"):
        desk.providers.refresh("a", "me")

    assert desk.row("a").models == ()


def test_a_list_without_end_is_not_read_to_its_end(
    desk: Desk, upstream: UpstreamDouble
) -> None:
    desk.providers.add("a", upstream.base_url, "me", lists=True)
    upstream.behave(Behaviour(chunks=[b" " * 1024 * 1024] * (LIST_BYTES_MAX // 1024**2 + 2)))

    with pytest.raises(GatewayError, match="longer"):
        desk.providers.refresh("a", "me")


def test_two_who_change_a_provider_at_once_do_not_undo_each_other(
    desk: Desk, upstream: UpstreamDouble
) -> None:
    desk.providers.add("a", upstream.base_url, "me", lists=True)
    upstream.behave(listing(x="1"))

    class Late:
        """The back office, whose list comes in when the operator has changed the address."""

        def providers(self) -> Any:
            rows = desk.house.store.providers()
            desk.providers.change("a", "you", base_url="http://b.example")
            return rows

    late = Providers(
        desk.house.ledger, Late(), SEALER, OWN, connect, normalised_url, Fraction(3)
    )
    with pytest.raises(ProviderChangedError):
        late.refresh("a", "back office")

    assert desk.row("a").provider.base_url == "http://b.example"
    assert desk.row("a").models == ()
