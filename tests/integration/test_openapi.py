"""Schemathesis asks a real gunicorn for all that `/openapi.json` says may be asked."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.integration.client import open_account

if TYPE_CHECKING:
    from tests.integration.mint import RealMint
    from tests.integration.service import Service

pytestmark = pytest.mark.integration

EXAMPLES = "20"
# It asks thousands of times: ten seconds of a free machine, minutes of a busy one.
TIMEOUT_S = 400
# Not `unsupported_method`: clients know the words of the 404 that other methods get here.
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "allow_header_conformance",
)


def hold_to_its_word(base_url: str, directory: Path, *headers: str) -> tuple[int, str]:
    """Ask for everything, well and badly; return the exit code, and what was found.

    Of addresses that do the same, only the first is asked.
    """
    command = Path(sys.executable).parent / "schemathesis"
    ran = subprocess.run(
        [
            str(command), "run", f"{base_url}/openapi.json",
            "--url", base_url, "--checks", ",".join(CHECKS),
            "--phases", "examples,coverage,fuzzing", "--max-examples", EXAMPLES,
            "--exclude-operation-id-regex", "Alias[0-9]+$",
            "--seed", "1", "--workers", "2", "--no-shrink", "--continue-on-failure",
            "--request-timeout", "20", "--warnings", "off",
            *(part for header in headers for part in ("--header", header)),
        ],
        cwd=directory,
        env={"PATH": os.environ["PATH"], "HOME": str(directory), "PYTHONUTF8": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        timeout=TIMEOUT_S,
    )  # fmt: skip
    return ran.returncode, ran.stdout.decode() + ran.stderr.decode()


@pytest.mark.parametrize("is_known", [True, False], ids=["with a key", "as a stranger"])
def test_nothing_that_may_be_asked_breaks_the_house_or_the_description(
    *, is_known: bool, service: Service, mint: RealMint, tmp_path: Path
) -> None:
    client = open_account(service.base_url, mint.fund(10_000))
    headers = [f"Authorization: Bearer {client.bearer}"] if is_known else []

    code, found = hold_to_its_word(service.base_url, tmp_path, *headers)

    assert code == 0, found[-20_000:]
    assert "No issues found" in found or "passed" in found
    assert client.msat()[1] == 0
