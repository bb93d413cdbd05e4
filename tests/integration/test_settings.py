"""Settings changed while a real service is open: every process follows, nothing breaks off."""

from __future__ import annotations

import json
import re
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import requests

from app.store.opening import open_store
from domain.hold import Charged
from tests.doubles.upstream import UpstreamDouble
from tests.integration.client import Client, open_account
from tests.integration.haystack import said
from tests.integration.house import new_address
from tests.integration.service import WORKERS, Service

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from domain.event import Event
    from tests.integration.mint import RealMint
    from tests.store.places import Place

pytestmark = pytest.mark.integration

WAIT_MAX_S = 40.0
MODEL = "gpt-4o-mini"
SLOW_MODEL = f"{MODEL}+delay-1200"
"""Of which each chunk takes so many milliseconds."""

# At 100,000 dollars a bitcoin, a millionth of a dollar is a msat.
MODELS = {
    "models": [
        {"id": name, "pricing": {"request": "0.001", "prompt": "0", "completion": "0"}}
        for name in (MODEL, SLOW_MODEL)
    ]
}
ENGINES = [
    pytest.param("sqlite_place", id="sqlite"),
    pytest.param("postgres_place", id="postgresql", marks=pytest.mark.postgres),
]


@dataclass(frozen=True)
class Open:
    """A service that is open, with a client who has money there."""

    service: Service
    client: Client
    url: str

    def settings(self, *words: str) -> str:
        return self.service.command("settings", *words)

    def info(self) -> dict[str, Any]:
        found: dict[str, Any] = requests.get(
            f"{self.service.base_url}/v1/info", timeout=10.0
        ).json()
        return found

    def names(self) -> set[str]:
        """Return what the house is called, asked so often that every worker answers."""
        return {self.info()["name"] for _ in range(8 * WORKERS)}

    def prices_usd(self) -> set[float]:
        """Return what a request costs, asked so often that every worker answers."""
        url = f"{self.service.base_url}/v1/models/{MODEL}"
        answers = [requests.get(url, timeout=10.0).json() for _ in range(8 * WORKERS)]
        return {answer["pricing"]["request"] for answer in answers}

    def events(self) -> list[Event]:
        store, _ = open_store(self.url)
        try:
            return [placed.entry.event for page in store.log() for placed in page]
        finally:
            store.close()

    def until(self, is_so: Callable[[], bool]) -> None:
        deadline_s = time.monotonic() + WAIT_MAX_S
        while not is_so():
            assert time.monotonic() < deadline_s, self.service.log[-3000:]
            time.sleep(0.1)


@pytest.fixture
def where() -> str:
    return "sqlite_place"


@pytest.fixture
def more() -> dict[str, str]:
    """Further settings of the environment; a test that needs some overrides it."""
    return {}


@pytest.fixture
def house(
    where: str,
    more: dict[str, str],
    request: pytest.FixtureRequest,
    mint: RealMint,
    tmp_path: Path,
) -> Iterator[Open]:
    place: Place = request.getfixturevalue(where)
    models = tmp_path / "models.json"
    models.write_text(json.dumps(MODELS))
    url = f"sqlite:///{place.where}" if place.engine == "sqlite" else place.where
    settings = {
        "MODEL_BASED_PRICING": "true",
        "EXCHANGE_FEE": "1",
        "UPSTREAM_PROVIDER_FEE": "1",
        "MODELS_PATH": str(models),
        "NAME": "Of the environment",
        **more,
    }
    with UpstreamDouble() as upstream:
        address = new_address(url, mint.url, upstream.base_url)
        with Service(address, tmp_path / "home", settings) as service:
            yield Open(service, open_account(service.base_url, mint.fund(1_000)), url)


@pytest.mark.parametrize("where", ENGINES)
def test_every_worker_follows_a_change_and_its_end(house: Open) -> None:
    before = house.info()

    house.settings("set", "NAME", "Of the operator")

    house.until(lambda: house.names() == {"Of the operator"})
    # What signs receipts and checkpoints is still who it was.
    assert house.info()["verifier_key"] == before["verifier_key"]
    house.settings("unset", "NAME")
    house.until(lambda: house.names() == {"Of the environment"})
    assert "0 differences" in said(house.url, "verify").decode()


def test_a_stream_that_runs_is_charged_as_it_was_admitted(house: Open) -> None:
    with ThreadPoolExecutor(1) as thread:
        running = thread.submit(house.client.chat, stream=True, model=SLOW_MODEL)
        house.until(lambda: house.client.msat()[1] > 0)
        house.settings("set", "UPSTREAM_PROVIDER_FEE", "3")
        house.until(lambda: house.prices_usd() == {0.003})
        is_still_running = house.client.msat()[1] > 0
        reply = running.result()
    after = house.client.chat()

    charged = [event for event in house.events() if isinstance(event, Charged)]
    assert is_still_running
    assert reply.is_whole_stream
    assert after.status == 200
    assert [event.cost_msat for event in charged] == [1_000, 3_000]
    assert len({event.terms.price_version for event in charged}) == 2
    assert "0 differences" in said(house.url, "verify").decode()


# Limits are counted by each worker for itself.
@pytest.mark.parametrize("more", [{"WORKERS": "1", "RATE_LIMIT_CONCURRENT": "1"}], ids=[""])
def test_a_change_gives_nobody_more_than_the_limits_allow(house: Open) -> None:
    with ThreadPoolExecutor(1) as thread:
        running = thread.submit(house.client.chat, stream=True, model=SLOW_MODEL)
        house.until(lambda: house.client.msat()[1] > 0)
        house.settings("set", "NAME", "Of the operator")
        house.until(lambda: house.names() == {"Of the operator"})
        beside_it = house.client.chat()
        is_still_running = house.client.msat()[1] > 0
        running.result()
    after = house.client.chat()

    assert is_still_running
    assert (beside_it.status, after.status) == (429, 200)


def test_the_back_office_follows_too(house: Open) -> None:
    def compared() -> int:
        told = requests.get(f"{house.service.base_url}/metrics", timeout=10.0).text
        found = re.search(r'job_runs_total{end="done",job="reconciliation"} (\d+)', told)
        return int(found[1]) if found else 0

    house.until(lambda: compared() == 1)

    house.settings("set", "RECONCILE_INTERVAL_S", "1")

    house.until(lambda: compared() >= 3)


def test_a_house_that_is_opened_again_is_as_it_was_left(house: Open) -> None:
    house.settings("set", "NAME", "Of the operator")

    house.service.restart()

    assert house.names() == {"Of the operator"}
