from __future__ import annotations

import json
import random
import subprocess
import sys
from base64 import b64encode
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from app.sealing.prove import Proofs
from app.sealing.sign import Sealing, SigningKey
from app.store.seals import Seals
from tests.sealing.given import KEY, export, sealed, write
from tools import verify_ledger

if TYPE_CHECKING:
    from pytest import CaptureFixture  # noqa: PT013

    from tests.store.places import Place, Store

PROGRAM = Path(verify_ledger.__file__)
VERIFIER = str(KEY.verifier)
FLIPS = 1_000
EVENTS = 40


@pytest.fixture
def store(sqlite_place: Place) -> Store:
    return sqlite_place.open()


@pytest.fixture
def note(tmp_path: Path, store: Store) -> Path:
    """The checkpoint of a log of `EVENTS` events."""
    newest = sealed(store, EVENTS).newest_signed()
    assert newest is not None
    path = tmp_path / "checkpoint"
    path.write_text(newest.note)
    return path


@pytest.fixture
def log(tmp_path: Path, store: Store, note: Path) -> Path:
    """The export that the checkpoint is of, with the chain's links."""
    path = tmp_path / "log.jsonl"
    export(Seals(store), path)
    return path


def against(log: Path, *notes: Path) -> int:
    checkpoints = [word for path in notes for word in ("--checkpoint", str(path))]
    return verify_ledger.main(["log", str(log), "--key", VERIFIER, *checkpoints])


def lines_of(log: Path) -> list[str]:
    return log.read_text().splitlines(keepends=True)


def said(capsys: CaptureFixture[str]) -> str:
    return capsys.readouterr().out.strip()


def test_it_needs_nothing_but_python(log: Path, note: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.py"
    copy.write_bytes(PROGRAM.read_bytes())

    words = ["log", str(log), "--key", VERIFIER, "--checkpoint", str(note)]
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(copy), *words],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=tmp_path,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"OK: {EVENTS} events up to position 40, signed up to position 40\n"


def test_an_export_without_the_chain_is_verified_as_well(
    store: Store, log: Path, note: Path
) -> None:
    export(Seals(store), log, chained=False)

    assert against(log, note) == 0


def test_events_behind_the_checkpoint_are_told_apart(
    store: Store, log: Path, note: Path, capsys: CaptureFixture[str]
) -> None:
    write(store, 2)
    export(Seals(store), log)

    assert against(log, note) == 0
    assert said(capsys) == "OK: 42 events up to position 42, signed up to position 40"


@pytest.mark.parametrize("chained", [True, False])
def test_a_thousand_flipped_bytes_are_a_thousand_differences(
    store: Store, log: Path, note: Path, *, chained: bool
) -> None:
    export(Seals(store), log, chained=chained)
    whole = log.read_bytes()
    checkpoint = verify_ledger.opened(note.read_text(), VERIFIER)
    chance = random.Random(6962)  # noqa: S311
    found = 0

    for _ in range(FLIPS):
        place = chance.randrange(len(whole))
        changed = bytes([whole[place] ^ chance.randrange(1, 256)])
        log.write_bytes(whole[:place] + changed + whole[place + 1 :])
        with log.open("rb") as file:
            try:
                verify_ledger.verify_log(file, [checkpoint])
            except verify_ledger.DifferenceError:
                found += 1

    assert found == FLIPS


def test_a_changed_event_is_named(log: Path, note: Path, capsys: CaptureFixture[str]) -> None:
    lines = lines_of(log)
    lines[16] = lines[16].replace("2026", "2025")
    log.write_text("".join(lines))

    assert against(log, note) == 1
    assert said(capsys) == "DIFFERENCE: position 17 is not what was sealed"


@pytest.mark.parametrize(
    ("order", "named"),
    [
        ([*range(16), *range(17, EVENTS)], "position 18"),
        ([*range(16), 17, 16, *range(18, EVENTS)], "position 18"),
        ([*range(16), 16, *range(16, EVENTS)], "position 17 follows position 17"),
        ([*range(EVENTS - 1)], "40 events were signed, 39 are left"),
        ([], "40 events were signed, 0 are left"),
    ],
)
def test_events_deleted_swapped_or_added_are_named(
    log: Path, note: Path, order: list[int], named: str, capsys: CaptureFixture[str]
) -> None:
    lines = lines_of(log)
    log.write_text("".join(lines[place] for place in order))

    assert against(log, note) == 1
    assert named in said(capsys)


def test_a_log_with_a_chain_made_anew_is_found_between_checkpoints(
    store: Store, log: Path, note: Path, tmp_path: Path, capsys: CaptureFixture[str]
) -> None:
    write(store, 5)
    newer = Sealing(Seals(store), KEY).seal()
    assert newer is not None
    later = tmp_path / "later"
    later.write_text(newer.note)
    export(Seals(store), log, chained=False)
    lines = lines_of(log)
    lines[42] = lines[42].replace("2026", "2025")
    log.write_text("".join(lines))

    assert against(log, note, later) == 1
    assert "behind position 40 and not behind position 45" in said(capsys)


def test_a_line_that_is_no_event_is_named(
    log: Path, note: Path, capsys: CaptureFixture[str]
) -> None:
    lines = lines_of(log)
    for wrong in ("[" * 100_000, "{}", "null", lines[1].replace(",", ", ", 1).strip(), ""):
        log.write_text("".join([lines[0], f"{wrong}\n", *lines[2:]]))

        assert against(log, note) == 1
        assert "line 2, behind position 1, is no event as it was exported" in said(capsys)


def test_a_newer_export_repeats_the_older_one(
    store: Store, log: Path, tmp_path: Path, capsys: CaptureFixture[str]
) -> None:
    older = tmp_path / "older.jsonl"
    older.write_bytes(log.read_bytes())
    write(store, 3)
    export(Seals(store), log, chained=False)
    lines = lines_of(log)
    slipped_in = lines[16].replace('"position":17', '"position":16')

    for wrong, named in (
        (lines, "OK: 43 events up to position 43"),
        ([*lines[:16], *lines[17:]], "DIFFERENCE: position 17 is gone"),
        (lines[:30], "DIFFERENCE: position 31 is gone"),
        ([*lines[:15], slipped_in, *lines[16:]], "DIFFERENCE: position 16 is not what it was"),
    ):
        log.write_text("".join(wrong))
        verify_ledger.main(["log", str(log), "--since", str(older)])
        assert said(capsys) == named


def test_an_event_that_the_older_export_did_not_have_is_named(
    log: Path, tmp_path: Path, capsys: CaptureFixture[str]
) -> None:
    older = tmp_path / "older.jsonl"
    lines = lines_of(log)
    older.write_text("".join([*lines[:16], *lines[17:]]).replace(',"chain"', ',"chain"'))

    assert verify_ledger.main(["log", str(log), "--since", str(older)]) == 1
    assert said(capsys) == "DIFFERENCE: position 17 was not in the older export"


def test_growth_is_verified_with_the_houses_proof(
    store: Store, note: Path, tmp_path: Path, capsys: CaptureFixture[str]
) -> None:
    write(store, 300)
    newer = Sealing(Seals(store), KEY).seal()
    assert newer is not None
    found = Proofs(Seals(store)).consistency(EVENTS)
    later, proof = tmp_path / "later", tmp_path / "proof.json"
    later.write_text(newer.note)
    hashes = [b64encode(item).decode() for item in found.proof]
    words = ["grown", str(note), str(later), str(proof), "--key", VERIFIER]

    proof.write_text(json.dumps({"proof": hashes}))
    assert verify_ledger.main(words) == 0
    for wrong in (json.dumps({"proof": hashes[1:]}), '{"proof": 3}', "{}", "[]", "["):
        proof.write_text(wrong)
        assert verify_ledger.main(words) == 1
    assert "OK: the first 40 of 340 events are what they were" in said(capsys)


def test_one_event_is_verified_with_its_proof(
    store: Store, log: Path, tmp_path: Path, capsys: CaptureFixture[str]
) -> None:
    line, proof = tmp_path / "line.jsonl", tmp_path / "17.tlog-proof"
    text = Proofs(Seals(store)).inclusion(17).text()
    words = ["event", str(line), str(proof), "--key", VERIFIER]
    line.write_text(lines_of(log)[16])

    proof.write_text(text)
    assert verify_ledger.main(words) == 0
    assert said(capsys) == "OK: position 17 is event 17 of 40 signed ones"
    for wrong in (text.replace("index 16", "index 15"), text.replace("@v1", "@v2"), ""):
        proof.write_text(wrong)
        assert verify_ledger.main(words) == 1
    proof.write_text(text)
    for other in (lines_of(log)[17], ""):
        line.write_text(other)
        assert verify_ledger.main(words) == 1


def test_a_checkpoint_of_another_key_is_no_checkpoint(
    log: Path, note: Path, capsys: CaptureFixture[str]
) -> None:
    stranger = str(SigningKey(bytes(32), "house.example").verifier)

    words = ["log", str(log), "--key", stranger, "--checkpoint", str(note)]

    assert verify_ledger.main(words) == 1
    assert said(capsys) == "DIFFERENCE: the note is not signed by house.example"


def test_what_cannot_be_read_is_not_a_difference(note: Path, tmp_path: Path) -> None:
    assert against(tmp_path / "nowhere", note) == 2


@pytest.mark.parametrize("words", [[], ["--key", VERIFIER], ["--checkpoint", "x"]])
def test_a_log_is_held_against_something(log: Path, words: list[str]) -> None:
    with pytest.raises(SystemExit):
        verify_ledger.main(["log", str(log), *words])
