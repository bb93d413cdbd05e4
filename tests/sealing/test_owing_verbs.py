"""The commands about what is owed: signed, proved, and verified without the house."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result

from app.sealing.owed import OwedProofs, Owing
from app.sealing.sign import Sealing, SigningKey
from app.store.liability_tables import LiabilityTables
from app.store.seals import Seals
from app.verbs.owing import Liable, group
from projections.checkpoint import read
from tests.domain.given import ALICE, BOB
from tests.sealing.given import KEY
from tests.sealing.test_verbs import run
from tests.store.work import a_day, fund, ledger_on
from tests.tools.test_verify_owed import CLIENTS, proof_of
from tools import verify_ledger

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.store.places import Place, Store

VERIFIER = str(KEY.verifier)
Invoke = Callable[..., Result]


@pytest.fixture
def liabilities(store: Store) -> Invoke:
    """The commands on a store, their house named by a key of the tests."""

    @contextmanager
    def opened() -> Iterator[Liable]:
        tables = LiabilityTables(store)
        owing = Owing(tables, Sealing(Seals(store), KEY), KEY)
        yield Liable(OwedProofs(tables), owing.make)

    def invoke(*words: str, given: str | None = None) -> Result:
        return CliRunner().invoke(group(opened), list(words), input=given)

    return invoke


def test_what_is_owed_now_is_signed_and_shown(liabilities: Invoke, store: Store) -> None:
    fund(ledger_on(store), ALICE, 100)
    fund(ledger_on(store), BOB, 23)

    signed = liabilities("show", "--sign")
    told = json.loads(liabilities("show", "--json").stdout)

    assert signed.stdout == told["note"]
    assert told["house"] == KEY.verifier.name
    assert (told["total_msat"], told["events"]) == (123_000, read(told["note"]).size)
    assert read(told["note"]).root.hex() == told["log_root"]
    assert len(told["root"]) == 64


def test_nothing_is_signed_unless_it_is_asked_for(liabilities: Invoke, store: Store) -> None:
    fund(ledger_on(store), ALICE, 100)
    first = liabilities("show", "--sign").stdout

    fund(ledger_on(store), BOB, 23)

    assert liabilities("show").stdout == first
    assert liabilities("show", "--sign").stdout != first


def test_before_anything_is_signed_it_says_what_to_do(
    liabilities: Invoke, store: Store
) -> None:
    empty = liabilities("show", "--sign")
    fund(ledger_on(store), ALICE, 100)
    found = [liabilities("show"), liabilities("proof", str(ALICE))]

    assert (empty.exit_code, *(each.exit_code for each in found)) == (1, 1, 1)
    assert "the log is empty" in empty.stderr
    assert "--sign does it now" in found[0].stderr
    assert f"nothing was owed to {ALICE}" in found[1].stderr


def test_an_accounts_proof_is_what_the_verifiers_believe(
    liabilities: Invoke, store: Store, tmp_path: Path
) -> None:
    a_day(store, ALICE)
    fund(ledger_on(store), BOB, 23)
    liabilities("show", "--sign")
    proof = tmp_path / "proof.json"

    proof.write_text(liabilities("proof", str(BOB)).stdout)
    said = liabilities("verify", str(proof), "--key", VERIFIER)
    told = json.loads(liabilities("verify", str(proof), "--key", VERIFIER, "--json").stdout)

    total_msat = json.loads(liabilities("show", "--json").stdout)["total_msat"]
    assert said.exit_code == 0
    assert said.stdout.startswith(f"True: {KEY.verifier.name} owes 23000 msat to {BOB}")
    assert (told["account"], told["available_msat"]) == (str(BOB), 23_000)
    assert told["total_msat"] == total_msat > 23_000
    assert verify_ledger.main(["owed", str(proof), "--key", VERIFIER]) == 0


def bad(**changes: Any) -> dict[str, Any]:
    return proof_of(CLIENTS) | changes


FALSE: dict[str, Any] = {
    "more than was owed": bad(available_msat=1_001),
    "moved from one amount to another": bad(available_msat=999, held_msat=201),
    "below zero": bad(available_msat=-1),
    "more than all money": bad(held_msat=10**30),
    "no number": bad(held_msat="200"),
    "yes": bad(held_msat=True),
    "another account": bad(account=str(BOB)),
    "no account": bad(account="alice"),
    "another salt": bad(salt="A" * 43 + "="),
    "a short salt": bad(salt="AAAA"),
    "a salt that cannot be read": bad(salt="A"),
    "another place": bad(place=1),
    "a place outside": bad(place=8),
    "no place": bad(place="0"),
    "a path that is too short": bad(path=proof_of(CLIENTS)["path"][:-1]),
    "a path that never ends": bad(path=proof_of(CLIENTS)["path"] * 40),
    "no path": bad(path=None),
    "another's note": bad(liabilities=proof_of(CLIENTS[1:])["liabilities"]),
    "no note": bad(liabilities="nothing"),
    "a checkpoint for a note": bad(
        liabilities=KEY.note("house.example\n1\n" + "A" * 43 + "=\n")
    ),
    "a note about another house": bad(
        liabilities=KEY.note(f"other/liabilities\n9\n{'A' * 43}=\n6259\n{'A' * 43}=\n")
    ),
    "a text for a proof": "proof",
    "nothing at all": None,
}


@pytest.mark.parametrize("proof", FALSE.values(), ids=FALSE.keys())
def test_what_proves_nothing_is_false(liabilities: Invoke, proof: object) -> None:
    true, false = (
        liabilities("verify", "-", "--key", VERIFIER, given=json.dumps(each))
        for each in (proof_of(CLIENTS), proof)
    )

    assert true.exit_code == 0
    assert (false.exit_code, false.stdout) == (1, "")
    assert false.stderr.startswith("FALSE: ")


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, '"' + "x" * 200_000 + '"'])
def test_what_is_no_document_is_false(liabilities: Invoke, text: str) -> None:
    told = liabilities("verify", "-", "--key", VERIFIER, given=text)

    assert (told.exit_code, told.stdout) == (1, "")
    assert told.stderr.startswith("FALSE: ")


@pytest.mark.parametrize(
    "other",
    [SigningKey(bytes(32), KEY.verifier.name), SigningKey(bytes(range(32)), "other.example")],
    ids=["another key", "another name"],
)
def test_another_houses_signature_is_false(liabilities: Invoke, other: SigningKey) -> None:
    proof = json.dumps(proof_of(CLIENTS, key=other))

    told = liabilities("verify", "-", "--key", VERIFIER, given=proof)
    theirs = liabilities("verify", "-", "--key", str(other.verifier), given=proof)

    assert (told.exit_code, theirs.exit_code) == (1, 0)
    assert f"not signed by {KEY.verifier.name}" in told.stderr


def test_a_key_that_is_none_is_refused(liabilities: Invoke) -> None:
    told = liabilities("verify", "-", "--key", "nonsense", given=json.dumps(proof_of(CLIENTS)))

    assert told.exit_code == 2
    assert "--key" in told.stderr


def test_help_says_what_each_does(liabilities: Invoke) -> None:
    for words in ((), ("show",), ("proof",), ("verify",)):
        told = liabilities(*words, "--help")
        assert told.exit_code == 0
        assert len(told.stdout) > 200


@pytest.mark.integration
def test_the_commands_work_on_a_house_of_its_own(sqlite_place: Place, tmp_path: Path) -> None:
    fund(ledger_on(sqlite_place.open()), ALICE, 100)
    key = run(sqlite_place, "checkpoint", "--key").stdout.strip()

    signed = run(sqlite_place, "liabilities", "show", "--sign")
    proof = tmp_path / "proof.json"
    proof.write_text(run(sqlite_place, "liabilities", "proof", str(ALICE)).stdout)
    verified = run(sqlite_place, "liabilities", "verify", str(proof), "--key", key)

    assert signed.stdout.startswith("house.example/liabilities\n")
    assert verified.returncode == 0
    assert "owes 100000 msat" in verified.stdout
