"""A real mint can be killed and started again, and still owes what it signed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import requests

from app.gateways.errors import UnreachableError
from app.gateways.mint import crypto
from app.gateways.mint.client import MintClient
from app.gateways.mint.tokens import decode
from app.gateways.mint.wire import ProofState
from tests.gateways.conftest import free_port
from tests.integration.mint import RealMint

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.integration


def test_ecash_outlives_the_mints_death(tmp_path: Path) -> None:
    with RealMint(free_port(), tmp_path / "mint") as mint, requests.Session() as session:
        client = MintClient(
            mint.url,
            session,
            connect_timeout_s=2.0,
            read_timeout_s=10.0,
            answer_bytes_max=200_000,
        )
        proofs = decode(mint.fund(21)).proofs
        ys = [crypto.hash_to_curve(proof.secret) for proof in proofs]

        mint.kill()
        with pytest.raises(UnreachableError):
            client.states(ys)
        mint.start()

        assert set(client.states(ys).values()) == {ProofState.UNSPENT}
