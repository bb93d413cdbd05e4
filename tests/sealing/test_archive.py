"""An archive is the log up to a day: it proves itself, and is replayed like the log."""

from __future__ import annotations

import gzip
import random
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result

from app.cli import main
from app.sealing.sign import Sealing
from app.store.seals import Seals
from app.verbs.archive import write_archive
from projections.chart import read_chart
from tests.projections.conftest import follow
from tests.projections.story import Story, made_up, put
from tests.sealing.given import KEY
from tests.store.places import SqlitePlace
from tests.store.work import verified
from tools import verify_ledger

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from tests.store.places import Place, Store

VERIFIER = str(KEY.verifier)
FLIPS = 200


@pytest.fixture(scope="module")
def story() -> Story:
    return made_up(seed=13, steps=300)


@pytest.fixture
def told(place: Place, story: Story) -> Store:
    store = place.open()
    put(store, story.entries)
    return store


@pytest.fixture
def before(story: Story) -> datetime:
    return story.entries[len(story.entries) // 2].event.at


@pytest.fixture
def file(tmp_path: Path, told: Store, before: datetime) -> Path:
    """The archive of the first half of a log."""
    found = tmp_path / "archive.gz"
    write_archive(told, Sealing(Seals(told), KEY), found, before.isoformat())
    return found


def verify(file: Path, *words: str) -> Result:
    return CliRunner().invoke(main, ["verify", "--archive", str(file), *words])


def alone(file: Path) -> int:
    return verify_ledger.main(["archive", str(file), "--key", VERIFIER])


def test_it_verifies_with_the_house_and_alone(file: Path) -> None:
    done = verify(file, "--key", VERIFIER)

    assert done.exit_code == 0, done.stderr
    assert "sealed and signed by house.example: 0 differences" in done.stdout
    assert alone(file) == 0


def test_without_a_key_it_says_that_no_signature_was_verified(file: Path) -> None:
    assert "signatures not verified" in verify(file).stdout


def test_the_balances_of_every_moment_in_it_are_those_of_the_log(
    file: Path, told: Store, story: Story, before: datetime, tmp_path: Path
) -> None:
    other = SqlitePlace(tmp_path)
    url = f"sqlite:///{other.where}"
    follow(told)

    done = CliRunner().invoke(main, ["restore", str(file), "--database-url", url])

    replayed = other.open()
    follow(replayed)
    assert done.exit_code == 0, done.output
    assert verified(replayed) is None
    for entry in story.entries[:: len(story.entries) // 20]:
        if entry.event.at <= before:
            at = entry.event.at
            assert read_chart(replayed, at)[1] == read_chart(told, at)[1]
    other.close()


def test_the_log_stays_whole_and_goes_on_being_sealed(file: Path, told: Store) -> None:
    sealing = Sealing(Seals(told), KEY)

    sealing.seal()
    sealing.compare()

    signed = [each.size for each in Seals(told).all_signed()]
    assert len(signed) == 2
    assert told.head() == max(event.position for page in Seals(told).events() for event in page)


def test_an_archive_of_the_same_day_is_the_same_again(
    file: Path, told: Store, before: datetime, tmp_path: Path
) -> None:
    again = tmp_path / "again.gz"
    write_archive(told, Sealing(Seals(told), KEY), again, before.isoformat())

    assert gzip.decompress(again.read_bytes()) == gzip.decompress(file.read_bytes())


def test_nothing_from_before_is_one_clear_line(told: Store, tmp_path: Path) -> None:
    for when, says in (("1999-01-01", "holds nothing"), ("soon", "neither a date")):
        with pytest.raises(Exception, match=says):
            write_archive(told, Sealing(Seals(told), KEY), tmp_path / "none", when)

    assert list(tmp_path.glob("none*")) == []


def test_any_changed_byte_is_a_difference(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chance, found = random.Random(7), 0  # noqa: S311  (a test, no secret)
    whole = gzip.decompress(file.read_bytes())
    for _ in range(FLIPS):
        changed = bytearray(whole)
        changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
        file.write_bytes(gzip.compress(bytes(changed), 1))
        found += bool(verify(file, "--key", VERIFIER).exit_code)

    assert found == FLIPS


def test_what_is_cut_off_or_no_archive_is_a_difference(file: Path) -> None:
    whole = gzip.decompress(file.read_bytes())
    lines = whole.splitlines(keepends=True)
    unsealed = b"".join(line for line in lines if b'"note":' not in line)
    one_less = b"".join(lines[:9] + lines[10:])
    for damaged in (whole[: len(whole) // 2], unsealed, one_less, b"", b"{}\n"):
        file.write_bytes(gzip.compress(damaged))

        assert verify(file, "--key", VERIFIER).exit_code == 1
        assert alone(file) == 1
    file.write_bytes(whole)
    assert verify(file, "--key", VERIFIER).exit_code == 1
    assert alone(file) == 1


def test_another_house_has_not_signed_it(file: Path) -> None:
    other = str(type(KEY)(bytes(32), "other.example").verifier)

    assert verify(file, "--key", other).exit_code == 1
