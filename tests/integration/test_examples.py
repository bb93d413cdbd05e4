"""The programs in docs/examples run as they stand, with the official client, for real ecash."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from app.gateways.mint.tokens import decode
from app.store.opening import open_store
from domain.hold import Charged
from tests.doubles.upstream import UpstreamDouble
from tests.integration.house import new_address
from tests.integration.service import Service

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.integration.mint import RealMint

pytestmark = pytest.mark.integration

EXAMPLES = Path(__file__).parent.parent.parent / "docs" / "examples"
MODEL = "gpt-4o-mini"
COST_MSAT = 2_000
FUNDS_SAT = 100
# At 100,000 dollars a bitcoin, a millionth of a dollar is a msat.
PRICES = {
    "models": [{"id": MODEL, "pricing": {"request": "0.002", "prompt": "0", "completion": "0"}}]
}


@pytest.fixture(scope="module")
def house(mint: RealMint, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("examples")
    models = folder / "models.json"
    models.write_text(json.dumps(PRICES))
    settings = {
        "MODEL_BASED_PRICING": "true",
        "EXCHANGE_FEE": "1",
        "UPSTREAM_PROVIDER_FEE": "1",
        "MODELS_PATH": str(models),
    }
    with UpstreamDouble() as upstream:
        address = new_address(f"sqlite:///{folder}/ledger.db", mint.url, upstream.base_url)
        with Service(address, folder / "home", settings) as service:
            yield service


def run(house: Service, name: str, *words: str, given: str = "", **variables: str) -> str:
    """Run an example as somebody would who has just downloaded it; return what it prints."""
    done = subprocess.run(
        [sys.executable, EXAMPLES / name, *words],
        env={
            "PATH": os.environ["PATH"],
            "BASE_URL": f"{house.base_url}/v1",
            "MODEL": MODEL,
            **variables,
        },
        input=given.encode(),
        capture_output=True,
        check=False,
        timeout=90,
    )
    assert done.returncode == 0, done.stderr.decode() + done.stdout.decode()
    return done.stdout.decode()


def charges(house: Service) -> int:
    store, _ = open_store(house.address.database_url)
    try:
        events = [placed.entry.event for page in store.log() for placed in page]
    finally:
        store.close()
    return sum(isinstance(event, Charged) for event in events)


def said(output: str, what: str) -> list[str]:
    return [line.partition(": ")[2] for line in output.splitlines() if line.startswith(what)]


def test_a_token_is_the_key_and_answers_stream(house: Service, mint: RealMint) -> None:
    before = charges(house)

    output = run(
        house,
        "example.py",
        given="What is a tally stick?\nAnd who kept it?\n",
        CASHU_TOKEN=mint.fund(FUNDS_SAT),
    )

    assert output.count(f"({COST_MSAT} msat)") == 2
    assert charges(house) == before + 2


def test_a_key_is_bought_topped_up_and_what_is_left_taken_home(
    house: Service, mint: RealMint
) -> None:
    output = run(
        house,
        "wallet.py",
        CASHU_TOKEN=mint.fund(FUNDS_SAT),
        TOPUP_TOKEN=mint.fund(FUNDS_SAT),
    )

    (bought,) = said(output, "bought")
    (added,) = said(output, "added")
    (left,) = said(output, "left")
    (token,) = said(output, "refund")
    in_all_msat = int(bought.split()[0]) + int(added.split()[0])
    assert said(output, "cost") == [f"{COST_MSAT} msat"]
    assert int(left.split()[0]) == in_all_msat - COST_MSAT
    assert decode(token).mint == mint.url


def test_each_request_is_paid_by_the_change_of_the_one_before(
    house: Service, mint: RealMint
) -> None:
    before = charges(house)

    output = run(
        house, "nut24.py", "What is it?", "Whose is it?", CASHU_TOKEN=mint.fund(FUNDS_SAT)
    )

    assert charges(house) == before + 2
    assert [price.startswith("creqA") for price in said(output, "asked for")] == [True, True]
    (change,) = said(output, "change")
    worth_sat = sum(proof.amount for proof in decode(change).proofs)
    # Two requests of 2 sat, and what the mint takes for every swap.
    assert FUNDS_SAT - 15 < worth_sat <= FUNDS_SAT - 4


def test_every_example_is_run_here() -> None:
    text = Path(__file__).read_text()

    assert [path.name for path in EXAMPLES.glob("*.py") if f'"{path.name}"' not in text] == []
