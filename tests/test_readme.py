"""What the README and other pages outside the site name is there: files, commands, settings."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from app.cli import main
from app.environment import with_settings
from app.settings import Settings

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
LINES_MAX = 200
# Of the demo and the tests, which do not read the settings of the house.
OTHER_VARIABLES = {"DEMO_DIR", "DEMO_EXIT", "TEST_DATABASE_URL"}


def test_every_file_it_names_is_there() -> None:
    named = set(re.findall(r"\b(?:app|docs|domain|projections|tests)/[\w/]+(?:\.\w+)?", README))

    assert {name for name in named if not (ROOT / name).exists()} == set()


@pytest.mark.parametrize("page", ["README.md", "CHANGELOG.md", ".github/SECURITY.md"])
def test_every_link_to_a_file_has_its_file(page: str) -> None:
    path = ROOT / page
    linked = re.findall(r"\]\(([^)#\s]+)", path.read_text())

    assert {to for to in linked if "://" not in to and not (path.parent / to).exists()} == set()


def test_every_make_target_it_names_is_there() -> None:
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)

    named = set(re.findall(r"(?:^ {4}|`)make ([a-z-]+)", README, flags=re.MULTILINE))

    assert named
    assert named - set(targets) == set()


def test_every_command_it_names_is_there() -> None:
    said = CliRunner().invoke(main, ["--help"]).output

    named = set(re.findall(r"`tallystick ([a-z][a-z-]*)", README))

    assert named
    assert {name for name in named if f"  {name} " not in said} == set()


def test_every_variable_it_names_is_a_setting() -> None:
    named = set(re.findall(r"`([A-Z]{2,}(?:_[A-Z]+)*)(?:=1)?`", README)) - {"LICENSE"}

    settings = {name.upper() for name in Settings.model_fields}
    assert named - OTHER_VARIABLES - settings == set()


def test_its_table_of_settings_is_that_of_the_code() -> None:
    assert "| `WALLET_SEED` | **needed** |" in README
    assert with_settings(README) == README, "make fmt writes it anew"


def test_it_can_be_read_in_one_go() -> None:
    assert len(README.splitlines()) < LINES_MAX
