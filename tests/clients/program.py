"""A client in a process of its own, told what to do by lines of JSON and answering by them.

The other side of the line is `tests/clients/programs/lines.py`, or `lines.mjs` for Node.
"""

from __future__ import annotations

import json
import os
import subprocess
import threading
from typing import TYPE_CHECKING, Any, Protocol, Self

from tests.clients import environments
from tests.clients.environments import ROOT

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

ACT_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 10.0
TAIL = 4_000


class ProgramError(Exception):
    """A client's program failed, by no error of its SDK's."""


class Client(Protocol):
    """Whatever does what it is told and says what it saw, while a `with` block lasts."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *exc_info: object) -> None: ...

    def do(self, act: str, **given: Any) -> dict[str, Any]:
        """Do `act`; return what it saw, or `{"raised": …}` for an error of its SDK's.

        Raises `ProgramError`.
        """
        ...


class Program:
    """A program that runs while the `with` block lasts."""

    def __init__(self, argv: Sequence[str | Path], home: Path) -> None:
        self._argv = argv
        self._home = home
        self._errors = home / "stderr"

    def __enter__(self) -> Self:
        self._home.mkdir(parents=True, exist_ok=True)
        with self._errors.open("wb") as errors:
            self._process = subprocess.Popen(
                self._argv,
                cwd=ROOT,
                env=environment(self._home),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        return self

    def __exit__(self, *exc_info: object) -> None:
        # With nothing more to do it ends by itself.
        try:
            self._process.communicate(timeout=STOP_TIMEOUT_S)
        finally:
            self._process.kill()

    def do(self, act: str, **given: Any) -> dict[str, Any]:
        pipe_in, pipe_out = self._process.stdin, self._process.stdout
        assert pipe_in is not None
        assert pipe_out is not None
        pipe_in.write(json.dumps({"act": act, "given": given}) + "\n")
        pipe_in.flush()
        watch = threading.Timer(ACT_TIMEOUT_S, self._process.kill)
        watch.start()
        try:
            line = pipe_out.readline()
        finally:
            watch.cancel()
        return read(act, line, self._errors)


def python_program(environment_name: str, module: str, home: Path) -> Program:
    """Return `tests/clients/programs/<module>.py`, run in one of the environments."""
    interpreter = environments.python(environment_name)
    return Program([interpreter, "-m", f"tests.clients.programs.{module}"], home)


def node_program(name: str, home: Path) -> Program:
    """Return `tests/clients/node/<name>.mjs`, run by the clients' own Node."""
    return Program([environments.node(), environments.NODE_HOME / f"{name}.mjs"], home)


def environment(home: Path) -> dict[str, str]:
    """Return what a client's process knows of this machine: no key and no address of ours."""
    return {
        "HOME": str(home),
        "PATH": os.environ.get("PATH", ""),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
        "NO_PROXY": "127.0.0.1,localhost",
    }


def read(act: str, line: str | bytes, errors: Path) -> dict[str, Any]:
    """Return what a client's line says, or raise `ProgramError`."""
    if not line:
        raise ProgramError(f"it ended at {act!r}\n{errors.read_text()[-TAIL:]}")
    answer: dict[str, Any] = json.loads(line)
    if "failed" in answer:
        raise ProgramError(f"it failed at {act!r}\n{answer['failed']}")
    return answer
