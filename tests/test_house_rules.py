"""The rules of the house that no linter knows, run so that they stay more than a wish."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from domain.posting import KINDS

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent
ROOMS = ("app", "domain", "projections")
MODULE_LINES_MAX = 400
FUNCTION_LINES_MAX = 60
TOP_LEVEL = {
    "CHANGELOG.md",
    "Dockerfile",
    "LICENSE",
    "Makefile",
    "README.md",
    "app",
    "compose.yml",  # where `docker compose up` looks for it
    "docs",
    "domain",
    "gunicorn.conf.py",
    "models.example.json",
    "projections",
    "pyproject.toml",
    "requirements.lock",
    "tests",
    "tools",
}
DOMAIN_MAY_IMPORT = {"domain", "eventsourcing", "msgspec"}
# Whoever decides about money asks neither the clock nor chance nor the machine: the same
# events and the same command must give the same answer for ever.
DOMAIN_MAY_NOT_IMPORT = {
    "asyncio", "io", "logging", "multiprocessing", "os", "pathlib", "random", "secrets",
    "socket", "sqlite3", "subprocess", "sys", "threading", "time", "urllib",
}  # fmt: skip
# Only the outermost loop of a process or of a thread of work may catch everything; the reason
# stands beside each.
MAY_CATCH_EVERYTHING = {
    "app/web/front.py": "does what Flask does for what it is asked first: each has its answer",
    "app/web/worker.py": "is the outermost loop of a connection, as gunicorn's is",
}
MAY_KNOW_FLOAT = {
    "domain/price_list.py": "writes prices into the JSON that clients read",
    "domain/exact.py": "reads the shortest text of a JSON number, exactly",
}
# Written in parts, for this file is read by the test as well.
FORBIDDEN_WORDS = ("/" + "work/", "py" + "pi.org", "python" + "hosted")


def python_files(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


@cache
def own_files() -> tuple[Path, ...]:
    """Every file that is ours: known to git, or new and not ignored."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout: which files are ours is not known")
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
        timeout=30,
    ).stdout.decode()
    paths = [ROOT / name for name in listing.split("\0") if name]
    return tuple(path for path in paths if path.exists())


def imports_of(path: Path) -> Iterator[str]:
    """The top-level packages that a module imports."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield (node.module or "").partition(".")[0]


def catches_everything(handler: ast.ExceptHandler) -> bool:
    """Whether `handler` takes any exception and keeps it: to undo and raise on is allowed."""
    caught = ast.unparse(handler.type) if handler.type else "BaseException"
    broad = re.search(r"\b(Base)?Exception\b", caught) is not None
    last = handler.body[-1]
    return broad and not (isinstance(last, ast.Raise) and last.exc is None)


def test_the_top_level_is_exactly_the_planned_one() -> None:
    names = {path.relative_to(ROOT).parts[0] for path in own_files()}

    assert {name for name in names if not name.startswith(".")} == TOP_LEVEL


def test_no_module_is_too_long() -> None:
    lengths = {
        name_of(path): len(path.read_text().splitlines())
        for path in python_files(*ROOMS, "tests")
    }

    assert {name: n for name, n in lengths.items() if n > MODULE_LINES_MAX} == {}


def test_no_function_is_too_long() -> None:
    too_long = {
        f"{name_of(path)}::{node.name}": length
        for path in python_files(*ROOMS, "tests")
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if (length := (node.end_lineno or node.lineno) - node.lineno + 1) > FUNCTION_LINES_MAX
    }

    assert too_long == {}


def test_every_room_has_a_name_plate() -> None:
    plates = {
        name_of(path): (ast.get_docstring(tree_of(path)) or "").partition("\n")[0]
        for path in python_files(*ROOMS)
    }

    assert [name for name, plate in plates.items() if not plate.endswith(".")] == []


def test_the_domain_imports_only_what_is_pure() -> None:
    allowed = (sys.stdlib_module_names - DOMAIN_MAY_NOT_IMPORT) | DOMAIN_MAY_IMPORT

    foreign = {
        f"{name_of(path)} imports {package}"
        for path in python_files("domain")
        for package in imports_of(path)
        if package not in allowed
    }

    assert foreign == set()


def test_the_domain_knows_floats_only_as_json() -> None:
    literals = {
        f"{name_of(path)}:{node.lineno}"
        for path in python_files("domain")
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Constant) and isinstance(node.value, float)
    }
    users = {
        name_of(path)
        for path in python_files("domain")
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Name) and node.id == "float"
    }

    assert literals == set()
    assert users <= set(MAY_KNOW_FLOAT)


def test_only_an_outermost_loop_catches_everything() -> None:
    broad = {
        name_of(path)
        for path in python_files(*ROOMS)
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.ExceptHandler) and catches_everything(node)
    }

    assert broad - set(MAY_CATCH_EVERYTHING) == set()


def test_units_are_written_in_the_singular() -> None:
    plural = {
        f"{name_of(path)}:{node.lineno} {name}"
        for path in python_files(*ROOMS)
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Name | ast.arg)
        if (name := node.id if isinstance(node, ast.Name) else node.arg).endswith("msats")
    }

    assert plural == set()


def test_no_file_names_what_is_none_of_its_business() -> None:
    found = {
        f"{name_of(path)}: {word}"
        for path in own_files()
        for word in FORBIDDEN_WORDS
        if word.encode() in path.read_bytes()
    }

    assert found == set()


def test_everything_installed_is_pinned_by_hash_and_by_nothing_else() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    _header, *requirements = re.split(r"\n(?=[a-z0-9])", lock)

    unpinned = [
        line for line in requirements if "==" not in line or "--hash=sha256:" not in line
    ]

    assert requirements
    assert unpinned == []
    assert "://" not in lock
    assert not re.search(r"^\s*--(?!hash)", lock, flags=re.MULTILINE)


def test_the_lock_holds_every_dependency_that_is_declared() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    declared = [
        *project["project"]["dependencies"],
        *(
            line
            for group in project["dependency-groups"].values()
            for line in group
            if isinstance(line, str)
        ),
    ]
    lock = (ROOT / "requirements.lock").read_text()
    locked = set(re.findall(r"^([a-z0-9-]+)==", lock, flags=re.MULTILINE))

    names = {re.split(r"[\[<>=;]", line, maxsplit=1)[0] for line in declared}

    assert names - locked == set()


def test_the_changelog_knows_this_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    changelog = (ROOT / "CHANGELOG.md").read_text()

    headings = re.findall(r"^## \[(.+?)\]", changelog, flags=re.MULTILINE)

    assert headings[0] == "Unreleased" or headings[0] == project["project"]["version"]


def test_every_decision_says_why_and_what_follows() -> None:
    records = sorted((ROOT / "docs" / "adr").glob("*.md"))

    numbers = [int(path.name[:4]) for path in records]
    incomplete = [
        path.name
        for path in records
        if re.findall(r"^## (.+)$", path.read_text(), flags=re.MULTILINE)
        != ["Context", "Decision", "Consequences"]
    ]

    assert numbers == list(range(1, len(records) + 1))
    assert incomplete == []


def test_the_architecture_page_says_what_every_event_moves() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text()

    assert [kind.TOPIC for kind in KINDS if f"`{kind.TOPIC}`" not in page] == []
