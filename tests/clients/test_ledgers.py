"""The programs of accountants read what is exported for them, to the msat."""

from __future__ import annotations

import json
import subprocess
import time
from collections import Counter
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
import requests
from click.testing import CliRunner

from app.cli import main
from tests.clients import environments
from tests.clients.commands import Command
from tests.gateways.conftest import free_port
from tests.projections.export.reading import as_accountants_sign

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = [pytest.mark.clients, pytest.mark.timeout(300)]

EVENTS = "1500"
UNTIL, MIDDLE = "2026-03-01", "2026-02-28"
STARTS_WITHIN_S = 60.0
ASKED_WITHIN_S = 30


@pytest.fixture(scope="module")
def tallystick(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """The command, at a sample of two days; it returns what it wrote."""
    url = f"sqlite:///{tmp_path_factory.mktemp('ledger')}/ledger.db"

    def run(*words: str) -> str:
        done = CliRunner().invoke(main, [*words, "--database-url", url])
        assert done.exit_code == 0, done.output
        return done.stdout

    run("seed-sample", "--events", EVENTS, "--until", UNTIL)
    return run


@pytest.fixture(scope="module")
def expected(tallystick: Callable[..., str]) -> dict[str, int]:
    """What every account stands at, by the names and signs of the programs, in msat."""
    told = json.loads(tallystick("balance", "--format", "json"))
    return as_accountants_sign(
        {row["account"]: row["credit_msat"] - row["debit_msat"] for row in told["accounts"]}
    )


def program(name: str, home: Path) -> Command:
    found, libraries = environments.ledger(name)
    return Command((found,), home, {"LD_LIBRARY_PATH": libraries})


def exported(tallystick: Callable[..., str], path: Path, layout: str, *more: str) -> str:
    tallystick("export", "--format", layout, "-o", str(path), *more)
    return str(path)


def sums(lines: str) -> dict[str, int]:
    """What a program's lines of account and amount come to, in msat, zeros left out."""
    found: Counter[str] = Counter()
    for line in lines.splitlines():
        account, _, amount = line.replace('"', "").rpartition(",")
        if ":" in account:
            found[account] += int(Decimal(amount.removesuffix(" SAT")) * 1000)
    return {account: msat for account, msat in found.items() if msat}


@pytest.mark.parametrize("more", [(), ("--daily",), ("--from", MIDDLE)])
def test_hledger_comes_to_the_same_to_the_msat(
    tallystick: Callable[..., str],
    expected: dict[str, int],
    tmp_path: Path,
    more: tuple[str, ...],
) -> None:
    hledger = program("hledger", tmp_path)
    file = exported(tallystick, tmp_path / "books.journal", "hledger", *more)

    hledger.must("-f", file, "check", "--strict")

    asked = ("balance", "--flat", "--no-total", "-O", "csv")
    assert sums(hledger.must("-f", file, *asked)) == expected


@pytest.mark.parametrize("more", [(), ("--daily",), ("--from", MIDDLE)])
def test_ledger_comes_to_the_same_to_the_msat(
    tallystick: Callable[..., str],
    expected: dict[str, int],
    tmp_path: Path,
    more: tuple[str, ...],
) -> None:
    ledger = program("ledger", tmp_path)
    file = exported(tallystick, tmp_path / "books.journal", "hledger", *more)

    asked = ("balance", "--flat", "--no-total", "-F", "%A,%T\n")
    assert sums(ledger.must("-f", file, *asked)) == expected


@pytest.mark.parametrize("more", [(), ("--daily",), ("--from", MIDDLE)])
def test_bean_check_has_nothing_to_say(
    tallystick: Callable[..., str], tmp_path: Path, more: tuple[str, ...]
) -> None:
    check = environments.python("fava").with_name("bean-check")
    file = exported(tallystick, tmp_path / "books.beancount", "beancount", *more)

    done = Command((check,), tmp_path, {}).run(file)

    assert (done.code, done.out, done.err) == (0, "", "")


@pytest.fixture(scope="module")
def fava(
    tallystick: Callable[..., str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """Fava with the export open; the address of its pages."""
    home = tmp_path_factory.mktemp("fava")
    file = exported(tallystick, home / "books.beancount", "beancount")
    port = free_port()
    command = [str(environments.python("fava").with_name("fava")), "--port", str(port), file]
    with (home / "said").open("w") as said:
        process = subprocess.Popen(command, stdout=said, stderr=said)
    try:
        address = f"http://127.0.0.1:{port}/tallystick"
        wait_for(address, process)
        yield address
    finally:
        process.kill()
        process.wait()


def wait_for(address: str, process: subprocess.Popen[bytes]) -> None:
    until_s = time.monotonic() + STARTS_WITHIN_S
    while time.monotonic() < until_s and process.poll() is None:
        try:
            requests.get(address, timeout=ASKED_WITHIN_S)
        except requests.ConnectionError:
            time.sleep(0.2)
        else:
            return
    pytest.fail("Fava did not start")


def asked(fava: str, what: str) -> Any:
    answer = requests.get(f"{fava}/api/{what}", timeout=ASKED_WITHIN_S)
    assert answer.status_code == 200
    return json.loads(answer.text, parse_float=Decimal)["data"]


def leaves(tree: dict[str, Any]) -> Iterator[tuple[str, int]]:
    """Yield what each account of one of Fava's trees has of its own, in msat."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if node["balance"]:
            yield node["account"], int(node["balance"]["SAT"] * 1000)
        waiting += node["children"]


def test_fava_opens_the_export_without_an_error(fava: str) -> None:
    assert asked(fava, "errors") == []


def test_fava_comes_to_the_same_to_the_msat(fava: str, expected: dict[str, int]) -> None:
    trees = asked(fava, "trial_balance")["trees"]

    assert dict(leaf for tree in trees for leaf in leaves(tree)) == expected


@pytest.mark.parametrize("page", ["balance_sheet", "income_statement", "journal"])
def test_fava_shows_its_pages(fava: str, page: str) -> None:
    assert requests.get(f"{fava}/{page}/", timeout=ASKED_WITHIN_S).status_code == 200
    if page != "journal":
        assert asked(fava, page)["trees"]
