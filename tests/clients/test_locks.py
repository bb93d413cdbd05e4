"""The clients' environments are pinned by hash, and name no place to fetch them from."""

from __future__ import annotations

import json
import re

import pytest

from tests.clients.environments import HERE, NODE_FILES, names


@pytest.mark.parametrize("name", names())
def test_every_package_for_python_is_pinned_by_hash_and_by_nothing_else(name: str) -> None:
    lock = (HERE / name / "requirements.lock").read_text()
    _header, *requirements = re.split(r"\n(?=[a-z0-9])", lock)

    unpinned = [
        line for line in requirements if "==" not in line or "--hash=sha256:" not in line
    ]

    assert requirements
    assert unpinned == []
    assert "://" not in lock
    assert not re.search(r"^\s*--(?!hash)", lock, flags=re.MULTILINE)


def test_every_package_for_node_is_pinned_by_hash_and_by_nothing_else() -> None:
    lock = json.loads((NODE_FILES / "package-lock.json").read_text())
    packages = {name: package for name, package in lock["packages"].items() if name}

    assert packages
    assert [name for name, each in packages.items() if "integrity" not in each] == []
    assert [name for name, each in packages.items() if "resolved" in each] == []


def test_no_package_for_node_runs_a_program_when_it_is_installed() -> None:
    assert "ignore-scripts=true" in (NODE_FILES / ".npmrc").read_text().splitlines()
