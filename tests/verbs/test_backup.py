"""`tallystick backup` and `restore`, as an operator runs them."""

from __future__ import annotations

import gzip
import os
import stat
from typing import TYPE_CHECKING

from click.testing import CliRunner, Result

from app.cli import main
from projections.follow import verify
from tests.domain.given import ALICE
from tests.store.places import SqlitePlace
from tests.store.work import a_day, silent, tables

if TYPE_CHECKING:
    from pathlib import Path


def run(*words: str, place: SqlitePlace) -> Result:
    return CliRunner().invoke(main, [*words, "--database-url", f"sqlite:///{place.where}"])


def test_a_house_is_saved_and_restored(tmp_path: Path, sqlite_place: SqlitePlace) -> None:
    store = sqlite_place.open()
    a_day(store, ALICE)
    file = tmp_path / "house.jsonl.gz"

    saved = run("backup", str(file), place=sqlite_place)
    empty = SqlitePlace(tmp_path)
    restored = run("restore", str(file), place=empty)
    again = run("restore", str(file), place=empty)

    assert saved.exit_code == restored.exit_code == 0, saved.output + restored.output
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir() if "part" in path.name] == []
    other = empty.open()
    assert tables(other.kept()[1]) == tables(store.kept()[1])
    assert verify(other, silent) is None
    assert again.exit_code == 1
    assert "empty" in again.stderr
    empty.close()


def test_a_backup_takes_the_place_of_a_file_only(
    tmp_path: Path, sqlite_place: SqlitePlace
) -> None:
    a_day(sqlite_place.open(), ALICE)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)

    told = run("backup", str(pipe), place=sqlite_place)

    assert told.exit_code == 1
    assert told.stderr.splitlines()[-1] == f"Error: {pipe} is there, and is no file"
    assert pipe.is_fifo()


def test_a_damaged_file_is_one_clear_line(tmp_path: Path, sqlite_place: SqlitePlace) -> None:
    a_day(sqlite_place.open(), ALICE)
    file = tmp_path / "house.jsonl.gz"
    run("backup", str(file), place=sqlite_place)
    whole = file.read_bytes()
    for damaged in (whole[:-20], whole[:200], b"hello", gzip.compress(b"\xff\xfe")):
        file.write_bytes(damaged)
        empty = SqlitePlace(tmp_path)

        told = run("restore", str(file), place=empty)

        assert told.exit_code == 1
        assert told.stderr.splitlines()[-1].startswith("Error: ")
        assert empty.open().head() == 0
        empty.close()


def test_a_ledger_that_is_not_there_is_not_made_to_be_saved_or_verified(tmp_path: Path) -> None:
    missing = SqlitePlace(tmp_path)

    for words in (("backup", str(tmp_path / "copy")), ("verify",), ("rebuild",)):
        told = run(*words, place=missing)
        assert told.exit_code == 1
        assert "there is no ledger" in told.stderr
    assert list(tmp_path.iterdir()) == []
