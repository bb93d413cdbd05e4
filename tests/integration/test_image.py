"""The steps of the Dockerfile, carried out in a clean folder, and the house that comes of it.

No engine is needed. What runs there runs as nobody who may write anywhere but to the folders
that a container with a read-only root has for it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest
import yaml

from app.demo.nutshell import answers
from tests.gateways.conftest import free_port
from tests.image import PYTHON, Built, Folder, is_for_all

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.integration.mint import RealMint

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

ROOT = Path(__file__).parent.parent.parent
# Only root may start something as somebody else, who must come to Python.
NOBODY = 10001 if os.geteuid() == 0 and is_for_all(PYTHON) else None
READY_WITHIN_S = 90.0
STOP_WITHIN_S = 60.0
BUILDERS = ("setuptools", "wheel", "pip", "grpc_tools")


@pytest.fixture(scope="module")
def built() -> Iterator[Built]:
    # Not below pytest's own folder, which is for nobody else.
    with TemporaryDirectory(prefix="tallystick-image-") as folder:
        root = Path(folder)
        root.chmod(0o755)
        found = Folder(root, ROOT).build((ROOT / "Dockerfile").read_text())
        for name in ("data", "tmp"):
            (root / name).chmod(0o777)
        yield found


@pytest.fixture
def house(built: Built, mint: RealMint, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The image's own command at work, as somebody who is not root."""
    environment = {
        **built.environment,
        "HOST": "127.0.0.1",
        "PORT": str(free_port()),
        "TMPDIR": str(built.root / "tmp"),
        "UPSTREAM_BASE_URL": "http://127.0.0.1:9/v1",
        "CASHU_MINTS": mint.url,
        # The first test vector of BIP-39; it holds no money.
        "WALLET_SEED": "abandon " * 11 + "about",
        "BTC_USD": "100000",
    }
    built.environment.update(environment)
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            built.command,
            cwd=built.house,
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            user=NOBODY,
            group=NOBODY,
        )
    yield process
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(STOP_WITHIN_S)


def is_healthy(built: Built) -> bool:
    said = subprocess.run(
        built.health,
        cwd=built.house,
        env=built.environment,
        check=False,
        capture_output=True,
        timeout=30,
        user=NOBODY,
        group=NOBODY,
    )
    return said.returncode == 0


def test_the_image_serves_as_nobody_and_ends_when_it_is_told(
    built: Built, house: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    before = files_of(built)
    deadline_s = time.monotonic() + READY_WITHIN_S
    while not is_healthy(built):
        log = (tmp_path / "log").read_text()
        assert house.poll() is None, log
        assert time.monotonic() < deadline_s, log
        time.sleep(0.5)

    house.send_signal(signal.SIGTERM)
    code = house.wait(STOP_WITHIN_S)

    assert code == 0
    assert files_of(built) == before
    assert (built.root / "data" / "tallystick.db").is_file()


def files_of(built: Built) -> set[str]:
    """Return what there is in the image but for what it may write to."""
    return {
        str(path)
        for name in ("house", "venv")
        for path in (built.root / name).rglob("*")
        if path.is_file()
    }


def test_nothing_that_builds_is_left_in_the_image(built: Built) -> None:
    packages = [
        path.name
        for folder in ("venv", "base-2")
        for path in (built.root / folder / "lib").glob("python*/site-packages/*")
    ]

    assert packages
    assert [name for name in packages if name.startswith(BUILDERS)] == []
    assert not (built.root / "venv" / "bin" / "uv").exists()


def test_nothing_of_the_repository_but_the_house_is_in_the_image(built: Built) -> None:
    names = {path.name for path in built.house.iterdir()}

    assert {"app", "domain", "projections", "gunicorn.conf.py"} <= names
    assert names.isdisjoint({".env", ".git", "tests", "docs", "Dockerfile"})


@pytest.fixture
def trial_mint(built: Built, tmp_path: Path) -> Iterator[str]:
    """The mint of compose.yml at work in the image, as nobody; where it is reached."""
    document = yaml.safe_load((ROOT / "compose.yml").read_text())
    data = built.root / "data"
    said = document["services"]["mint"]["environment"]
    port = free_port()
    environment = {
        **built.environment,
        **{name: value.replace("/data", str(data)) for name, value in said.items()},
        "MINT_PRIVATE_KEY": "a mint that is worth nothing",
        "MINT_LISTEN_HOST": "127.0.0.1",
        "MINT_LISTEN_PORT": str(port),
    }
    with (tmp_path / "mint.log").open("wb") as log:
        process = subprocess.Popen(
            document["services"]["mint"]["command"],
            cwd=built.house,
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
            user=NOBODY,
            group=NOBODY,
        )
    yield f"http://127.0.0.1:{port}"
    process.kill()
    process.wait(STOP_WITHIN_S)


def test_the_mint_for_trying_out_writes_to_its_volume_only(
    built: Built, trial_mint: str, tmp_path: Path
) -> None:
    before = files_of(built)
    deadline_s = time.monotonic() + READY_WITHIN_S

    while not answers(f"{trial_mint}/v1/info"):
        log = (tmp_path / "mint.log").read_text()
        assert "Read-only" not in log, log[-2_000:]
        assert "PermissionError" not in log, log[-2_000:]
        assert time.monotonic() < deadline_s, log[-2_000:]
        time.sleep(0.2)

    assert files_of(built) == before
