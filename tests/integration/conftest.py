"""What the tests with real processes share: a mint, an upstream, empty databases."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.doubles.upstream import UpstreamDouble
from tests.gateways.conftest import free_port
from tests.integration.house import new_address
from tests.integration.mint import RealMint
from tests.integration.service import Service

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def mint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealMint]:
    with RealMint(free_port(), tmp_path_factory.mktemp("mint")) as mint:
        yield mint


@pytest.fixture(scope="session")
def upstream() -> Iterator[UpstreamDouble]:
    with UpstreamDouble() as upstream:
        yield upstream


@pytest.fixture(scope="session")
def service(
    mint: RealMint, upstream: UpstreamDouble, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """A service on SQLite that nobody may kill, for tests that need no more than that."""
    directory = tmp_path_factory.mktemp("service")
    address = new_address(f"sqlite:///{directory}/ledger.db", mint.url, upstream.base_url)
    with Service(address, directory / "home", {}) as service:
        yield service
