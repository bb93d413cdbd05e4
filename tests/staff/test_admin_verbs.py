from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result

from app.cli import main
from app.staff.opening import first_password, open_operators
from domain.rights import SCOPES

if TYPE_CHECKING:
    from app.staff.operators import Operator

ROOT = Path(__file__).parents[2]
# The first test vector of BIP-39; it holds no money.
SEED = "abandon " * 11 + "about"
PASSWORD = "correct horse battery"
SERVE = """
from app import serving
serving._greet_first_operator({url!r})
"""


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/ledger.db"


@pytest.fixture
def terminal(url: str) -> Any:
    environ = {
        "UPSTREAM_BASE_URL": "http://127.0.0.1:9/v1",
        "CASHU_MINTS": "http://127.0.0.1:9",
        "WALLET_SEED": SEED,
        "DATABASE_URL": url,
    }

    def typed(*words: str, given: str = "") -> Result:
        return CliRunner().invoke(main, ["admin", *words], input=given, env=environ)

    return typed


def signed_in(url: str, name: str, password: str = PASSWORD) -> Operator | None:
    with open_operators(url) as operators:
        return operators.with_password(name, password)


def test_the_first_operator_is_made_by_setting_a_password(terminal: Any, url: str) -> None:
    result = terminal("password", given=PASSWORD + "\n")

    found = signed_in(url, "admin")
    assert result.exit_code == 0, result.output
    assert PASSWORD not in result.output
    assert found is not None
    assert found.scopes == SCOPES


def test_others_are_added_within_scopes_changed_and_removed(terminal: Any, url: str) -> None:
    added = terminal(
        "add", "ann", "--scope", "audit", "--scope", "export", given=PASSWORD + "\n"
    )
    listed = terminal("list")
    terminal("scopes", "ann", "--scope", "withdraw")
    terminal("sign-out", "ann")
    narrowed = signed_in(url, "ann")
    removed = terminal("remove", "ann", "--yes")

    assert added.exit_code == 0, added.output
    assert listed.output.split() == ["ann", "audit,", "export"]
    assert narrowed is not None
    assert narrowed.scopes == ("withdraw",)
    assert removed.exit_code == 0, removed.output
    assert signed_in(url, "ann") is None


@pytest.mark.parametrize(
    ("words", "given", "says"),
    [
        (("password",), "short\n", "12 to 1000"),
        (("password", "bob"), PASSWORD + "\n", "no operator 'bob'"),
        (("add", "Bob", "--scope", "audit"), PASSWORD + "\n", "name must be"),
        (("add", "bob"), PASSWORD + "\n", "--scope"),
        (("add", "bob", "--scope", "sing"), PASSWORD + "\n", "sing"),
        (("scopes", "bob", "--scope", "audit"), "", "no operator 'bob'"),
        (("remove", "bob", "--yes"), "", "no operator 'bob'"),
        (("password", "bob", PASSWORD), "", "extra argument"),
    ],
)
def test_what_cannot_be_is_told_in_a_line(
    terminal: Any, words: tuple[str, ...], given: str, says: str
) -> None:
    result = terminal(*words, given=given)

    assert result.exit_code in {1, 2}
    assert says in result.output
    assert "Traceback" not in result.output


def test_there_is_a_first_password_once(url: str) -> None:
    first = first_password(url)

    assert first is not None
    assert signed_in(url, "admin", first) is not None
    assert first_password(url) is None


def test_the_first_password_is_told_on_a_terminal_and_nowhere_else(url: str) -> None:
    """M48: what a service manager keeps of our output is a log."""
    program = [sys.executable, "-c", SERVE.format(url=url)]
    told = subprocess.run(program, cwd=ROOT, capture_output=True, check=True, timeout=60)
    ours, theirs = pty.openpty()

    subprocess.run(
        program, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=theirs, check=True, timeout=60
    )

    shown = os.read(ours, 4096).decode()
    os.close(ours)
    os.close(theirs)
    assert told.stdout + told.stderr == b""
    password = next(line.strip() for line in shown.splitlines() if line.startswith("    "))
    assert signed_in(url, "admin", password) is not None
