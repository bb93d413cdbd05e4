"""Mints, in memory and real, and clients of them."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, TypeAlias

import pytest
import requests

from app.gateways.mint.client import MintClient
from app.gateways.mint.gate import Gate, GateLimits
from tests.doubles.mint import FakeMint
from tests.integration.mint import RealMint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

AnyMint: TypeAlias = FakeMint | RealMint
ANSWER_BYTES_MAX = 200_000


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
def fake_mint() -> Iterator[FakeMint]:
    with FakeMint() as mint:
        yield mint


@pytest.fixture(scope="session")
def real_mint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealMint]:
    with RealMint(free_port(), tmp_path_factory.mktemp("mint")) as mint:
        yield mint


@pytest.fixture
def connect() -> Iterator[Callable[[str], MintClient]]:
    """How to make a client of the mint at a URL; its session ends with the test."""
    with requests.Session() as session:

        def made(url: str, read_timeout_s: float = 10.0) -> MintClient:
            return MintClient(
                url,
                session,
                connect_timeout_s=2.0,
                read_timeout_s=read_timeout_s,
                answer_bytes_max=ANSWER_BYTES_MAX,
                gate=Gate(url, GateLimits(limited_pause_s=0.0, pause_s=0.0)),
            )

        yield made
