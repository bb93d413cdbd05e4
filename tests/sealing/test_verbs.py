from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from app.sealing.check import verifies
from app.store.seals import Seals
from projections.checkpoint import VerifierKey, opened, read
from tests.domain.given import ALICE
from tests.sealing.given import positions, write
from tests.store.places import drop_guards_of_the_log
from tests.store.work import a_day

if TYPE_CHECKING:
    from subprocess import CompletedProcess

    from tests.store.places import Place, Store

pytestmark = pytest.mark.integration

RESPELLED = "UPDATE stored_events SET state = CAST(state || ' ' AS BLOB) WHERE rowid = 3"
"""The same fact in other bytes: nothing that a replay could find."""

PHRASE = "abandon " * 11 + "about"
ANOTHER_PHRASE = "zoo " * 11 + "wrong"


@pytest.fixture
def store(sqlite_place: Place) -> Store:
    opened_store = sqlite_place.open()
    a_day(opened_store, ALICE)
    return opened_store


def run(place: Place, *words: str, phrase: str = PHRASE) -> CompletedProcess[str]:
    """Run a verb as an operator does; what it says is in `stdout`."""
    environment = {
        **os.environ,
        "DATABASE_URL": f"sqlite:///{place.where}",
        "UPSTREAM_BASE_URL": "https://upstream.example/v1",
        "CASHU_MINTS": "https://mint.example",
        "WALLET_SEED": phrase,
        "HTTP_URL": "https://house.example",
    }
    return subprocess.run(
        [sys.executable, "-m", "app.cli", *words],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_checkpoint_is_signed_and_printed(sqlite_place: Place, store: Store) -> None:
    key = VerifierKey.read(run(sqlite_place, "checkpoint", "--key").stdout)

    note = run(sqlite_place, "checkpoint", "--seal").stdout

    assert opened(note, key, verifies(key.public)).size == len(positions(store))
    assert run(sqlite_place, "checkpoint").stdout == note
    assert key.name == "house.example"


def test_before_anything_is_sealed_there_is_nothing_to_show(
    sqlite_place: Place, store: Store
) -> None:
    assert "nothing is sealed yet" in run(sqlite_place, "checkpoint").stdout
    assert "no checkpoint covers" in run(sqlite_place, "prove", "1").stdout


@pytest.mark.parametrize(
    "words",
    [
        ("checkpoint", "--seal"),
        ("archive", "log.gz", "--before", "2031-01-01"),
        ("liabilities", "show", "--sign"),
    ],
)
def test_no_other_seed_signs_what_one_has_signed(
    sqlite_place: Place, store: Store, words: tuple[str, ...]
) -> None:
    note = run(sqlite_place, "checkpoint", "--seal").stdout
    write(store, 1)

    refused = run(sqlite_place, *words, phrase=ANOTHER_PHRASE)

    assert refused.returncode == 1
    assert "Error: WALLET_SEED: the books" in refused.stdout
    assert run(sqlite_place, "checkpoint").stdout == note


def test_an_event_is_proved_in_one_file(sqlite_place: Place, store: Store) -> None:
    run(sqlite_place, "checkpoint", "--seal")

    proof = run(sqlite_place, "prove", "2").stdout

    head, _, note = proof.partition("\n\n")
    assert head.startswith("c2sp.org/tlog-proof@v1\nindex 1\n")
    assert read(note).size == len(positions(store))


def test_verify_names_what_was_rewritten(sqlite_place: Place, store: Store) -> None:
    key = run(sqlite_place, "checkpoint", "--key").stdout.strip()
    run(sqlite_place, "checkpoint", "--seal")
    before = run(sqlite_place, "verify", "--key", key)
    drop_guards_of_the_log(sqlite_place)

    sqlite_place.run(
        "UPDATE stored_events SET state = CAST(state || ' ' AS BLOB) WHERE rowid = 3"
    )

    after = run(sqlite_place, "verify", "--key", key)
    assert (before.returncode, after.returncode) == (0, 1)
    assert "DIFFERENCE: position 3 is not what was sealed" in after.stdout


def test_a_rewritten_log_is_not_signed(sqlite_place: Place, store: Store) -> None:
    run(sqlite_place, "checkpoint", "--seal")
    drop_guards_of_the_log(sqlite_place)
    sqlite_place.run(
        "UPDATE stored_events SET state = CAST(state || ' ' AS BLOB) WHERE rowid = 3"
    )
    Seals(store).forget()
    write(store, 1)

    refused = run(sqlite_place, "checkpoint", "--seal")

    assert refused.returncode == 1
    assert "not those once signed" in refused.stdout


def test_rebuild_makes_what_is_sealed_anew_and_keeps_what_was_signed(
    sqlite_place: Place, store: Store
) -> None:
    note = run(sqlite_place, "checkpoint", "--seal").stdout
    pages = list(Seals(store).pages())

    done = run(sqlite_place, "rebuild")

    assert done.returncode == 0
    assert list(Seals(store).pages()) == pages
    assert run(sqlite_place, "checkpoint", "--seal").stdout == note


def test_a_key_that_is_none_is_refused(sqlite_place: Place, store: Store) -> None:
    assert run(sqlite_place, "verify", "--key", "nonsense").returncode == 2
