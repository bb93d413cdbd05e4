from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from app.sealing.owed import OwedProofs, Owing
from app.sealing.sign import Sealing
from app.store.liability_tables import LiabilityTables
from app.store.seals import Seals
from app.web import owed
from app.web.bearer import Bearer
from tests.web.conftest import SIGNING_KEY, bearer
from tests.web.holders import child_of
from tools import verify_ledger

if TYPE_CHECKING:
    from pathlib import Path

    from tests.web.conftest import House


@pytest.fixture
def house(house: House) -> House:
    """The house with the doors behind which it is told what is owed."""
    store = house.store
    reader = Bearer(house.deposits, store.account, store.key)
    house.app.register_blueprint(owed.blueprint(reader, OwedProofs(LiabilityTables(store))))
    return house


def make(house: House) -> None:
    seals = Seals(house.store)
    Owing(LiabilityTables(house.store), Sealing(seals, SIGNING_KEY), SIGNING_KEY).make()


def test_a_key_fetches_its_proof_and_verifies_it_alone(house: House, tmp_path: Path) -> None:
    key, other = house.key(1000), house.key(500)
    make(house)

    answers = [
        house.client.get(f"/v1/{room}/liability-proof", headers=bearer(key))
        for room in ("wallet", "balance")
    ]

    told = answers[0].get_json()
    proof = tmp_path / "proof.json"
    proof.write_text(json.dumps(told))
    owed_msat = house.wallet(key)["balance"] + house.wallet(other)["balance"]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].headers["Cache-Control"] == "no-store"
    assert told["available_msat"] == house.wallet(key)["balance"]
    assert told["liabilities"] == house.client.get("/liabilities").get_data(as_text=True)
    assert told["liabilities"].split("\n")[3] == str(owed_msat)
    verifier = str(SIGNING_KEY.verifier)
    assert verify_ledger.main(["owed", str(proof), "--key", verifier]) == 0


def test_what_is_signed_is_for_everybody(house: House) -> None:
    house.key()
    make(house)

    answer = house.client.get("/liabilities")

    assert answer.status_code == 200
    assert answer.content_type == "text/plain; charset=utf-8"
    assert answer.get_data(as_text=True).startswith("house.example/liabilities\n")


def test_before_it_is_signed_there_is_nothing(house: House) -> None:
    key = house.key()

    for path in ("/liabilities", "/v1/wallet/liability-proof"):
        answer = house.client.get(path, headers=bearer(key))
        assert answer.status_code == 404
        assert "error" in answer.get_json()


def test_a_proof_is_for_its_account_alone(house: House) -> None:
    key = house.key()
    child = child_of(house, key)
    make(house)

    nobody = house.client.get("/v1/wallet/liability-proof")
    stranger = house.client.get("/v1/wallet/liability-proof", headers=bearer("sk-none"))
    of_child = house.client.get("/v1/wallet/liability-proof", headers=bearer(child))

    assert [nobody.status_code, stranger.status_code] == [401, 401]
    assert of_child.status_code == 400
    assert of_child.get_json()["error"]["code"] == "child_key"
