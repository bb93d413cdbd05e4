"""Clients that are commands: each call is a process, with a home directory of its own."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.clients.program import environment

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

TIMEOUT_S = 60.0


class CommandError(Exception):
    """A command did not do what it was run for."""


@dataclass(frozen=True)
class Done:
    """How a command ended, and what it wrote."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Command:
    """A program and what is always said to it; `more` are variables of its environment."""

    argv: tuple[str | Path, ...]
    home: Path
    more: Mapping[str, str]

    def run(self, *arguments: str, given: str = "") -> Done:
        """Run it to its end; `given` is its standard input."""
        done = subprocess.run(
            [*self.argv, *arguments],
            cwd=self.home,
            env={**environment(self.home), **self.more},
            input=given,
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT_S,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def must(self, *arguments: str) -> str:
        """Run it and return what it wrote, or raise `CommandError`."""
        done = self.run(*arguments)
        if done.code:
            raise CommandError(f"{arguments}: {done.code}\n{done.out}\n{done.err}")
        return done.out


def curl(home: Path) -> Command:
    """Return curl, which shows no progress and says its errors."""
    found = shutil.which("curl")
    if found is None:
        raise CommandError("curl is not installed. Run: apt-get install curl")
    return Command((found, "--silent", "--show-error", "--max-time", "30"), home, {})
