"""What all clients meet: gunicorn, a real mint, a scripted upstream, and the log beside it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.clients.books import FUNDS_SAT, MODELS, PRICES, Books, Customer, buy_key
from tests.clients.program import Client
from tests.clients.sdks import SDKS
from tests.clients.upstream import ScriptedUpstream
from tests.gateways.conftest import free_port
from tests.integration.house import new_address
from tests.integration.mint import RealMint
from tests.integration.service import Service

if TYPE_CHECKING:
    from collections.abc import Iterator

# They are run by other interpreters, with packages that are not ours.
collect_ignore = ["programs"]


@pytest.fixture(scope="session")
def mint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealMint]:
    with RealMint(free_port(), tmp_path_factory.mktemp("mint")) as mint:
        yield mint


@pytest.fixture(scope="session")
def upstream() -> Iterator[ScriptedUpstream]:
    with ScriptedUpstream() as upstream:
        yield upstream


@pytest.fixture(scope="session")
def service(
    mint: RealMint, upstream: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    directory = tmp_path_factory.mktemp("service")
    models = directory / "models.json"
    models.write_text(json.dumps(MODELS))
    address = new_address(f"sqlite:///{directory}/ledger.db", mint.url, upstream.base_url)
    settings = {**PRICES, "MODELS_PATH": str(models)}
    with Service(address, directory / "home", settings) as service:
        yield service


@pytest.fixture(scope="session")
def books(service: Service) -> Iterator[Books]:
    books = Books(service.address.database_url)
    yield books
    sound = books.is_sound()
    books.close()
    assert sound, "the log does not explain what is kept"


@pytest.fixture(autouse=True)
def _an_honest_upstream(upstream: ScriptedUpstream) -> None:
    """Let no test leave a script to the next."""
    upstream.next()


@pytest.fixture(scope="session")
def programs(
    service: Service, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Client]]:
    """The SDKs' processes, each started when it is first asked for.

    They end before the service, which waits for those that are still connected to it.
    """
    running: dict[str, Client] = _Starting(tmp_path_factory)
    yield running
    for program in running.values():
        program.__exit__()


class _Starting(dict[str, Client]):
    def __init__(self, places: pytest.TempPathFactory) -> None:
        super().__init__()
        self._places = places

    def __missing__(self, name: str) -> Client:
        home = self._places.mktemp("client")
        self[name] = SDKS[name].start(home).__enter__()
        return self[name]


@pytest.fixture(scope="session")
def keys() -> dict[str, str]:
    return {}


@pytest.fixture
def customer(
    request: pytest.FixtureRequest, programs: dict[str, Client], keys: dict[str, str],
    service: Service, mint: RealMint, books: Books,
) -> Customer:  # fmt: skip
    """A customer with one of the SDKs, and a key of its own."""
    if request.param not in keys:
        keys[request.param] = buy_key(service, mint, FUNDS_SAT)
    client = programs[request.param]
    return Customer(service.base_url, keys[request.param], books, client, request.param)
