"""Reads a Dockerfile, and carries its steps out in a folder where no engine runs."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

STEP_TIMEOUT_S = 420.0
INSTALLED = ("venv", "house", "data", "tmp")
"""Folders of the image's root that its steps name."""

# What changes the machine itself is noted down; what it would have made is made.
STANDS_IN = {
    "groupadd": "exit 0",
    "useradd": 'mkdir -p "{root}/data"',
}


def is_for_all(path: Path) -> bool:
    """Tell whether everybody of this machine may come to a file and run it."""
    return path.exists() and all(
        folder.stat().st_mode & 0o001 for folder in path.resolve().parents
    )


OURS = Path(sys.base_prefix) / "bin" / "python3"
PYTHON = next(filter(is_for_all, (OURS, Path("/usr/bin/python3"))), OURS)
"""What the image's Python is here: if there is one, one that not only root can run."""


class Instruction(NamedTuple):
    """One line of a Dockerfile: what is to be done, and with what."""

    name: str
    text: str


def instructions(text: str) -> list[Instruction]:
    """Return what a Dockerfile says, without comments, each continued line as one."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    found = []
    for line in filter(None, map(str.strip, joined.splitlines())):
        name, _, rest = line.partition(" ")
        found.append(Instruction(name, " ".join(rest.split())))
    return found


@dataclass(frozen=True)
class Built:
    """An image that is a folder: what is started in it, and how its health is asked for."""

    root: Path
    environment: dict[str, str]
    command: list[str]
    health: list[str]

    @property
    def house(self) -> Path:
        return self.root / "house"


class Folder:
    """The root of an image in the making; every path in a step is one below it.

    Both stages have the same root, for a virtual environment knows where it was made. Each
    has a Python of its own, as its base image has.
    """

    def __init__(self, root: Path, context: Path) -> None:
        self.root = root
        self._context = context
        self._environment: dict[str, str] = {}
        self._stages = 0
        self._copied = False

    def build(self, text: str) -> Built:
        """Carry out every step; raises `subprocess.CalledProcessError` with what it said."""
        said: dict[str, str] = {}
        for name, rest in instructions(text):
            said[name] = rest
            if name == "FROM":
                self._begin_stage()
            elif name == "RUN":
                self._run(rest)
            elif name == "COPY":
                self._copy(rest.split())
            elif name == "ENV":
                self._set(rest)
        return Built(
            self.root,
            self._environment,
            json.loads(said["CMD"]),
            json.loads(said["HEALTHCHECK"].partition(" CMD ")[2]),
        )

    def _begin_stage(self) -> None:
        self._stages += 1
        base = self.root / f"base-{self._stages}"
        subprocess.run([PYTHON, "-m", "venv", base], check=True, timeout=STEP_TIMEOUT_S)
        for name, script in STANDS_IN.items():
            program = base / "bin" / name
            program.write_text(f"#!/bin/sh\n{script.format(root=self.root)}\n")
            program.chmod(0o755)
        self._environment = {
            "PATH": f"{base}/bin:/usr/bin:/bin",
            "HOME": str(self.root / "tmp"),
            "LANG": "C.UTF-8",
        }
        for name in ("PIP_CONFIG_FILE", "PIP_INDEX_URL", "UV_INDEX_URL", "SSL_CERT_FILE"):
            if name in os.environ:
                self._environment[name] = os.environ[name]
        (self.root / "tmp").mkdir(exist_ok=True)
        (self.root / "house").mkdir(exist_ok=True)

    def _run(self, script: str) -> None:
        subprocess.run(
            ["/bin/sh", "-ec", self._below(script)],
            cwd=self.root / "house",
            env=self._environment,
            check=True,
            capture_output=True,
            timeout=STEP_TIMEOUT_S,
        )

    def _copy(self, words: list[str]) -> None:
        if words[0].startswith("--from="):
            assert (self.root / words[1].lstrip("/")).is_dir()
            return
        *sources, _target = words
        for source in sources:
            for path in self._sent(source):
                target = self.root / "house" / path.relative_to(self._context)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, target)

    def _sent(self, source: str) -> list[Path]:
        """Return the files of the context that `.dockerignore` lets through."""
        rules = (self._context / ".dockerignore").read_text().splitlines()
        names = [rule[1:].rstrip("/") for rule in rules if rule.startswith("!")]
        if source != ".":
            assert source in names, f"{source} is kept back by .dockerignore"
            return [self._context / source]
        found = []
        for name in names:
            path = self._context / name
            found += [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]
        return [path for path in found if "__pycache__" not in path.parts]

    def _set(self, rest: str) -> None:
        for word in rest.split():
            name, _, value = self._below(word).partition("=")
            self._environment[name] = value.replace("$PATH", self._environment["PATH"])

    def _below(self, text: str) -> str:
        folders = "|".join(INSTALLED)
        return re.sub(rf"(?<![\w.])/(?=({folders})\b)", f"{self.root}/", text)
