"""The verb that verifies a receipt, as whoever holds one runs it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from app.cli import main
from tests.projections.test_receipt import receipt
from tests.sealing.given import KEY

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "receipt.json"
    path.write_text(json.dumps(KEY.receipt(receipt())))
    return path


def run(*words: str, given: str | None = None) -> Result:
    return CliRunner().invoke(main, ["verify-receipt", *words], input=given)


def test_a_true_receipt_is_told_in_one_line(file: Path) -> None:
    ran = run(str(file), "--key", str(KEY.verifier))

    assert ran.exit_code == 0
    assert ran.output.startswith("True: house.example charged 115 msat for request ")
    assert "position 42" in ran.output


def test_it_is_read_from_the_standard_input_too(file: Path) -> None:
    assert run("-", "--key", str(KEY.verifier), given=file.read_text()).exit_code == 0


def test_a_false_one_is_named_and_fails(file: Path) -> None:
    file.write_text(file.read_text().replace('"charged_msat": 115', '"charged_msat": 5'))

    ran = run(str(file), "--key", str(KEY.verifier))

    assert ran.exit_code == 1
    assert "FALSE: it is not signed by house.example" in ran.output


@pytest.mark.parametrize("key", ["", "house.example+00000000+AAAA", "no key"])
def test_a_key_that_is_none_is_refused(file: Path, key: str) -> None:
    ran = run(str(file), "--key", key)

    assert ran.exit_code == 2
    assert "--key" in ran.output
