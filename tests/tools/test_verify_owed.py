"""A tree that lies about what is owed is found out by whoever has a proof in it."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from typing import TYPE_CHECKING, Any

import pytest

from app.sealing.owed import Proof, salt_of
from app.sealing.sign import SigningKey
from projections.liabilities import Liabilities, Node, Owed, beside, leaf, levels
from tests.domain.given import ALICE, BOB, name
from tests.sealing.given import KEY
from tools import verify_ledger

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pytest import CaptureFixture  # noqa: PT013

VERIFIER = str(KEY.verifier)
SALT = bytes(32)
CLIENTS = [
    Owed(ALICE, 1_000, 200, 30, 4),
    Owed(BOB, 5_000, 0, 0, 0),
    *(Owed(name(number), number, 0, 0, 0) for number in range(3, 8)),
]


def proof_of(
    clients: Sequence[Owed], place: int = 0, total: Node | None = None, key: SigningKey = KEY
) -> dict[str, Any]:
    """The proof of one client in a tree of all `clients`, under what is signed of it."""
    rows = levels(leaf(salt_of(SALT, each), each) for each in clients)
    told = Liabilities(key.verifier.name, 9, bytes(32), total or rows[-1][0])
    path = [
        {"hash": b64encode(rows[level][at].hash).decode(), "msat": rows[level][at].msat}
        for level, at in beside(place, len(rows) - 1)
    ]
    owed = clients[place]
    return Proof(owed, salt_of(SALT, owed), place, path, key.note(told.text())).document()


def verified(proof: dict[str, Any], folder: Path) -> int:
    path = folder / "proof.json"
    path.write_text(json.dumps(proof))
    return verify_ledger.main(["owed", str(path), "--key", VERIFIER])


def test_a_true_proof_says_what_is_owed_and_of_how_much(
    tmp_path: Path, capsys: CaptureFixture[str]
) -> None:
    assert verified(proof_of(CLIENTS), tmp_path) == 0

    said = capsys.readouterr().out
    assert "available_msat 1000, held_msat 200, on_its_way_msat 30, uncollected_msat 4" in said
    assert "part of 6259 msat owed, as of the first 9 events" in said


def test_every_client_of_a_true_tree_is_in_it(tmp_path: Path) -> None:
    for place in range(len(CLIENTS)):
        assert verified(proof_of(CLIENTS, place), tmp_path) == 0


@pytest.mark.parametrize(
    "field", ["available_msat", "held_msat", "on_its_way_msat", "uncollected_msat"]
)
def test_an_amount_that_is_not_the_clients_is_found(tmp_path: Path, field: str) -> None:
    proof = proof_of(CLIENTS)

    proof[field] += 1

    assert verified(proof, tmp_path) == 1


def test_a_client_that_was_left_out_finds_no_way_to_the_root(
    tmp_path: Path, capsys: CaptureFixture[str]
) -> None:
    without_alice = levels(leaf(salt_of(SALT, each), each) for each in CLIENTS[1:])[-1][0]

    assert verified(proof_of(CLIENTS, total=without_alice), tmp_path) == 1
    assert "not part of the total that was signed" in capsys.readouterr().out


def test_a_total_that_is_less_than_its_parts_is_found(tmp_path: Path) -> None:
    true = levels(leaf(salt_of(SALT, each), each) for each in CLIENTS)[-1][0]

    assert verified(proof_of(CLIENTS, total=true._replace(msat=true.msat - 1)), tmp_path) == 1


def test_a_debt_of_somebody_else_does_not_make_up_for_what_is_owed(
    tmp_path: Path, capsys: CaptureFixture[str]
) -> None:
    proof = proof_of(CLIENTS)

    proof["path"][0]["msat"] = -1_000

    assert verified(proof, tmp_path) == 1
    assert "an amount that cannot be" in capsys.readouterr().out


@pytest.mark.parametrize("msat", [2**63, 2**64 - 1_234, 2**64, 10**40])
def test_an_amount_beyond_all_money_is_found(tmp_path: Path, msat: int) -> None:
    proof = proof_of(CLIENTS)

    proof["path"][-1]["msat"] = msat

    assert verified(proof, tmp_path) == 1


def test_sums_that_grow_beyond_all_money_are_found(tmp_path: Path) -> None:
    most = verify_ledger.MSAT_MAX
    clients = [Owed(ALICE, most, 0, 0, 0), Owed(BOB, most, 0, 0, 0)]

    assert verified(proof_of(clients), tmp_path) == 1


def test_a_place_is_one_place(tmp_path: Path) -> None:
    proof = proof_of(CLIENTS)

    for place in (1, 8, -1, True, "0", 1 << 70):
        assert verified({**proof, "place": place}, tmp_path) == 1


def test_an_endless_path_is_not_followed(tmp_path: Path) -> None:
    proof = proof_of(CLIENTS)

    assert verified({**proof, "path": proof["path"] * 30}, tmp_path) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"account": "x"},
        {"account": str(ALICE).upper() + "0"},
        {"salt": "AAAA"},
        {"salt": "?"},
        {"path": None},
        {"path": [{"hash": "AAAA", "msat": 1}]},
        {"available_msat": 1.0},
        {"available_msat": "1000"},
        {"liabilities": 5},
        {"liabilities": "house.example/liabilities\n"},
    ],
)
def test_what_is_no_proof_is_one_clear_line(
    tmp_path: Path, capsys: CaptureFixture[str], change: dict[str, Any]
) -> None:
    assert verified({**proof_of(CLIENTS), **change}, tmp_path) == 1

    assert capsys.readouterr().out.startswith("DIFFERENCE: ")


def test_what_another_key_has_signed_counts_for_nothing(
    tmp_path: Path, capsys: CaptureFixture[str]
) -> None:
    stranger = SigningKey(bytes(32), "house.example")

    assert verified(proof_of(CLIENTS, key=stranger), tmp_path) == 1
    assert "not signed by house.example" in capsys.readouterr().out


def test_a_checkpoint_is_no_statement_of_what_is_owed_nor_the_other_way_round(
    tmp_path: Path, capsys: CaptureFixture[str]
) -> None:
    proof = proof_of(CLIENTS)
    checkpoint = KEY.sign(9, b64decode("A" * 43 + "="))

    assert verified({**proof, "liabilities": checkpoint}, tmp_path) == 1
    assert "says nothing of what is owed" in capsys.readouterr().out
    with pytest.raises(verify_ledger.DifferenceError, match="not a checkpoint"):
        verify_ledger.opened(proof["liabilities"], VERIFIER)


def test_a_file_that_is_not_json_is_no_proof(tmp_path: Path) -> None:
    path = tmp_path / "proof.json"
    path.write_text("[" * 5_000)

    assert verify_ledger.main(["owed", str(path), "--key", VERIFIER]) == 1
