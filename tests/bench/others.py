"""The others of `make bench-peers`: where they come from, and how each is started."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tests.bench.demand import Target
from tests.bench.subjects import GUNICORN, KEYS, ROOT, Subject, running
from tests.gateways.conftest import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

HERE = Path(__file__).parent / "peers"
MADE = ROOT / ".peers"
INSTALL_TIMEOUT_S = 1_800.0
MASTER_KEY = "sk-bench"


@contextmanager
def bare_flask(mock: Subject) -> Iterator[Subject]:
    port = free_port()
    argv = [*GUNICORN, "-b", f"127.0.0.1:{port}", "tests.bench.plain:application"]
    with running(argv, port, MOCK_PORT=str(mock.target.port)) as pids:
        yield Subject("Flask, requests", Target(port, KEYS), pids)


@contextmanager
def litellm(mock: Subject) -> Iterator[Subject]:
    """Run LiteLLM's proxy with a master key and no database: with one it cannot be had here.

    Its client of PostgreSQL fetches a program when it is installed.
    """
    home = _made("litellm", ["requirements.lock"], _install_litellm)
    port = free_port()
    config = {
        "model_list": [
            {
                "model_name": "*",
                "litellm_params": {
                    "model": "openai/*",
                    "api_base": f"http://127.0.0.1:{mock.target.port}/v1",
                    "api_key": "none",
                },
            }
        ],
        "general_settings": {"master_key": MASTER_KEY},
        "litellm_settings": {"telemetry": False, "num_retries": 0},
    }
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "config.yaml"
        # What is JSON is YAML too.
        path.write_text(json.dumps(config))
        argv = [str(home / "bin" / "litellm"), "--config", str(path), "--host", "127.0.0.1"]
        argv += ["--port", str(port), "--num_workers", "1"]
        with running(argv, port, LITELLM_LOCAL_MODEL_COST_MAP="True") as pids:
            yield Subject("LiteLLM 1.106.2", Target(port, (MASTER_KEY,)), pids)


@contextmanager
def portkey(mock: Subject) -> Iterator[Subject]:
    """Run Portkey's gateway, which needs Node."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        raise click.ClickException("Node and npm are not installed")
    files = ["package.json", "package-lock.json"]
    home = _made("portkey", files, lambda folder: _install_portkey(npm, folder))
    program = home / "node_modules" / "@portkey-ai" / "gateway" / "build" / "start-server.js"
    port = free_port()
    headers = (
        "x-portkey-provider: openai",
        f"x-portkey-custom-host: http://127.0.0.1:{mock.target.port}/v1",
    )
    argv = [node, str(program), "--headless", f"--port={port}"]
    with running(argv, port, NODE_ENV="production") as pids:
        yield Subject("Portkey 1.15.2", Target(port, KEYS, headers=headers), pids)


def _made(name: str, locks: Sequence[str], install: Callable[[Path], None]) -> Path:
    """Return the folder that a peer is installed in, made of these very locks."""
    folder, stamp = MADE / name, MADE / name / ".made"
    wanted = sha256(b"".join((HERE / name / lock).read_bytes() for lock in locks)).hexdigest()
    if not stamp.is_file() or stamp.read_text() != wanted:
        click.echo(f"installing {name} …", err=True)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        install(folder)
        stamp.write_text(wanted)
    return folder


def _install_litellm(folder: Path) -> None:
    uv = shutil.which("uv") or str(Path(sys.executable).with_name("uv"))
    python = folder / "bin" / "python"
    lock = HERE / "litellm" / "requirements.lock"
    _run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder)])
    install = [uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", str(python)]
    _run([*install, "--require-hashes", "-r", str(lock)])


def _install_portkey(npm: str, folder: Path) -> None:
    for file in (HERE / "portkey").iterdir():
        shutil.copyfile(file, folder / file.name)
    _run([npm, "ci", "--loglevel=error"], folder)


def _run(argv: Sequence[str], folder: Path = ROOT) -> None:
    """Run an installer; no package runs a script of its own."""
    try:
        done = subprocess.run(
            argv,
            cwd=folder,
            env={**os.environ, "npm_config_ignore_scripts": "true"},
            check=False,
            stdin=subprocess.DEVNULL,
            timeout=INSTALL_TIMEOUT_S,
        )
    except subprocess.TimeoutExpired as error:
        raise click.ClickException(f"{argv[0]} took too long") from error
    if done.returncode:
        raise click.ClickException(f"{argv[0]} failed")
