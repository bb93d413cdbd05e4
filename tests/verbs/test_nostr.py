"""The commands about Nostr, as an operator types them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result

from app.cli import main
from app.discovery.publisher import TOOK_IT, standing
from app.gateways.nostr.event import read_event
from app.settings import Settings
from app.store.nostr_rows import NostrRows
from tests.doubles.relay import RelayDouble
from tests.store.places import SqlitePlace

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SEED = "abandon " * 11 + "about"
NSEC = "nsec1vl029mgpspedva04g90vltkh6fvh240zqtv9k0t9af8935ke9laqsnlfe5"
PUBLIC = "7e7e9c42a91bfef19fa929e5fda1b72e0ebc1a4c1141673e2794234d86addf4e"
NOBODY = "ws://127.0.0.1:1"


@pytest.fixture
def place(tmp_path: Path) -> Iterator[SqlitePlace]:
    place = SqlitePlace(tmp_path)
    place.open()
    yield place
    place.close()


@pytest.fixture
def environ(monkeypatch: pytest.MonkeyPatch, place: SqlitePlace) -> pytest.MonkeyPatch:
    for field in Settings.model_fields:
        monkeypatch.delenv(field.upper(), raising=False)
    given = {
        "UPSTREAM_BASE_URL": "http://127.0.0.1:9/v1",
        "CASHU_MINTS": "https://mint.example.com",
        "WALLET_SEED": SEED,
        "DATABASE_URL": f"sqlite:///{place.where}",
        "HTTP_URL": "https://shop.example.com",
        "ONION_HOSTNAME_FILE": "/nowhere/hostname",
        "NSEC": NSEC,
    }
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def run(*words: str) -> Result:
    return CliRunner().invoke(main, ["nostr", *words])


def test_show_prints_what_would_go_out_and_sends_nothing(
    environ: pytest.MonkeyPatch,
) -> None:
    with RelayDouble() as relay:
        environ.setenv("RELAYS", relay.url)

        done = run("show")

        assert relay.visits == 0
    event = json.loads(done.stdout)
    assert event["pubkey"] == PUBLIC
    assert ["u", "https://shop.example.com"] in event["tags"]
    assert "sig" not in event
    assert f"to {relay.url}" in done.stderr
    assert NSEC not in done.output


def test_show_says_what_is_missing(environ: pytest.MonkeyPatch) -> None:
    environ.delenv("NSEC")
    environ.delenv("HTTP_URL")

    done = run("show")

    assert done.exit_code == 0
    for name in ("NSEC", "RELAYS", "HTTP_URL"):
        assert name in done.stderr


def test_publish_tells_each_relays_answer_and_keeps_it(
    environ: pytest.MonkeyPatch, place: SqlitePlace
) -> None:
    with RelayDouble() as relay, RelayDouble(refusal="blocked: pay first") as other:
        environ.setenv("RELAYS", f"{relay.url},{other.url},{NOBODY}")

        done = run("publish")

    assert done.exit_code == 0
    lines = done.stdout.splitlines()
    assert lines[0] == f"{relay.url} took it"
    assert lines[1] == f"{other.url} refused it blocked: pay first"
    assert lines[2].startswith(f"{NOBODY} did not answer ")
    assert read_event(json.dumps(relay.given[0]).encode()).pubkey == PUBLIC
    assert standing(NostrRows(place.open()))[0].verdict == TOOK_IT
    assert NSEC not in done.output


def test_publish_fails_if_no_relay_has_it(environ: pytest.MonkeyPatch) -> None:
    environ.setenv("RELAYS", NOBODY)

    done = run("publish")

    assert done.exit_code == 1
    assert "no relay has the listing" in done.stderr


@pytest.mark.parametrize("missing", ["NSEC", "RELAYS", "HTTP_URL"])
def test_publish_says_what_is_missing(environ: pytest.MonkeyPatch, missing: str) -> None:
    environ.setenv("RELAYS", NOBODY)
    environ.delenv(missing)

    done = run("publish")

    assert done.exit_code == 1
    assert missing in done.stderr


def test_a_key_that_is_none_ends_every_command_before_it_begins(
    environ: pytest.MonkeyPatch,
) -> None:
    environ.setenv("NSEC", NSEC[:-1] + "6")

    done = CliRunner().invoke(main, ["serve"])

    assert done.exit_code == 1
    assert "NSEC must be a private key" in done.stderr
    assert NSEC[:-1] not in done.output
