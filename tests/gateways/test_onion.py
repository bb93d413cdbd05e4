"""The name of our onion service, where Tor has written it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from app.gateways.onion import find_onion_url

if TYPE_CHECKING:
    from pathlib import Path

NAME = "a" * 55 + "d.onion"
OTHER = "b" * 55 + "d.onion"


def written(folder: Path, service: str, text: str) -> None:
    (folder / service).mkdir()
    (folder / service / "hostname").write_text(text)


def test_the_one_service_there_is_ours(tmp_path: Path) -> None:
    written(tmp_path, "house", f"{NAME}\n")

    assert find_onion_url(f"{tmp_path}/*/hostname") == f"http://{NAME}"


def test_of_two_services_nobody_knows_which_is_ours(tmp_path: Path) -> None:
    written(tmp_path, "house", NAME)
    written(tmp_path, "ssh", OTHER)

    assert find_onion_url(f"{tmp_path}/*/hostname") is None
    assert find_onion_url(f"{tmp_path}/ssh/hostname") == f"http://{OTHER}"


@pytest.mark.parametrize(
    "text", ["", "house.example", f"{NAME}/path", NAME * 9, "ä", "a.onion"]
)
def test_a_file_that_names_no_onion_service_names_none(tmp_path: Path, text: str) -> None:
    written(tmp_path, "house", text)

    assert find_onion_url(f"{tmp_path}/*/hostname") is None


def test_a_file_that_cannot_be_read_names_none(tmp_path: Path) -> None:
    (tmp_path / "house" / "hostname").mkdir(parents=True)

    assert find_onion_url(f"{tmp_path}/*/hostname") is None
    assert find_onion_url(f"{tmp_path}/nowhere") is None
