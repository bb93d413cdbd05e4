"""The commands about settings, as operators type them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from app.cli import main
from app.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from click.testing import Result

    Run = Callable[..., Result]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Run `tallystick settings` with these words, in a house of the test's own."""
    monkeypatch.chdir(tmp_path)
    for field in Settings.model_fields:
        monkeypatch.delenv(field.upper(), raising=False)
    monkeypatch.setenv("UPSTREAM_BASE_URL", "http://127.0.0.1:9/v1")
    monkeypatch.setenv("CASHU_MINTS", "http://127.0.0.1:9")
    # The first test vector of BIP-39; it holds no money.
    monkeypatch.setenv("WALLET_SEED", "abandon " * 11 + "about")
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path}/ledger.db")
    return lambda *words: CliRunner().invoke(main, ["settings", *words])


def test_the_list_tells_every_setting_and_where_it_comes_from(run: Run) -> None:
    run("set", "NAME", "Anna's house")

    lines = run("list").output.splitlines()

    assert lines[0].split() == ["SETTING", "VALUE", "FROM", "LIVE"]
    assert [line.split()[0] for line in lines[1:]] == [
        name.upper() for name in Settings.model_fields
    ]
    told = {line.split()[0]: line for line in lines}
    assert told["NAME"].split()[-2:] == ["changed", "live"]
    assert "environment" in told["UPSTREAM_BASE_URL"]
    assert "default" in told["PORT"]
    assert "(set)" in told["WALLET_SEED"]


def test_the_list_can_be_read_by_programs(run: Run) -> None:
    found = json.loads(run("list", "--live", "--json").output)

    assert {shown["may_change"] for shown in found} == {True}
    assert {shown["name"] for shown in found} >= {"NAME", "UPSTREAM_PROVIDER_FEE"}


def test_a_setting_is_shown_with_what_it_would_be_without_the_change(run: Run) -> None:
    run("set", "rate_limit_rpm", "7")

    said = run("show", "RATE_LIMIT_RPM").output

    assert "RATE_LIMIT_RPM=7" in said
    assert "without the change: 0" in said
    assert "on the command line" in said
    assert "may be changed while the house is open: yes" in said


def test_a_change_is_told_and_taken_back(run: Run) -> None:
    done = run("set", "EXCHANGE_FEE", "1.02")
    back = run("unset", "EXCHANGE_FEE")

    assert done.output == "EXCHANGE_FEE is 1.02 from now on.\n"
    assert back.output == "EXCHANGE_FEE is 1.005 again, as the environment says.\n"
    said = run("history", "EXCHANGE_FEE").output.splitlines()
    assert [line.rpartition(": ")[2] for line in said] == ["1.02", "as the environment says"]
    told = json.loads(run("history", "EXCHANGE_FEE", "--json").output)
    assert [past["value"] for past in told] == ["1.02", None]


def test_what_was_never_changed_has_no_history(run: Run) -> None:
    assert run("history", "name").output == (
        "NAME was never changed while the house was open.\n"
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("set", "PORT", "9000"), "PORT is read when the house opens"),
        (("set", "EXCHANGE_FEE", "0"), "EXCHANGE_FEE should be greater than or equal to 1"),
        (("unset", "NAME"), "NAME is as the environment says already"),
        (("show", "NOTHING"), "there is no setting NOTHING"),
    ],
)
def test_what_cannot_be_is_one_clear_line(run: Run, words: tuple[str, ...], said: str) -> None:
    done = run(*words)

    assert done.exit_code == 1
    assert done.output.startswith(f"Error: {said}")
