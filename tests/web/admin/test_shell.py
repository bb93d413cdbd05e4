from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.web.admin.conftest import PASSWORD

ROOT = Path(__file__).parent.parent.parent.parent
# The first test vector of BIP-39; it holds no money.
SEED = "abandon " * 11 + "about"
PROGRAM = """
import json, re
from app.main import create_app
browser = create_app().test_client()
first = browser.get("/admin/")
form = browser.get("/admin/sign-in/")
token = re.search('name="form_token" value="([0-9a-f]*)"', form.text)
if token:
    data = {"name": "admin", "password": "correct horse battery", "form_token": token[1]}
    browser.post("/admin/sign-in/", data=data)
page = browser.get("/admin/")
print(json.dumps([first.status_code, first.content_type, page.status_code, page.text]))
"""


def told_by_the_house(folder: Path, **settings: str) -> list[Any]:
    """What the whole house answers, in a process of its own with these settings."""
    environ = {
        "UPSTREAM_BASE_URL": "http://127.0.0.1:9/v1",
        "CASHU_MINTS": "http://127.0.0.1:9",
        "WALLET_SEED": SEED,
        "DATABASE_URL": f"sqlite:///{folder}/ledger.db",
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        **settings,
    }
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=folder,
        env=environ,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert PASSWORD not in ran.stdout + ran.stderr
    found: list[Any] = json.loads(ran.stdout.splitlines()[-1])
    return found


def test_without_a_password_nobody_comes_in(tmp_path: Path) -> None:
    before, _, after, text = told_by_the_house(tmp_path)

    assert (before, after) == (303, 303)
    assert "Owed to clients" not in text


@pytest.mark.parametrize("name", ["Tallystick", "<b>House</b>"])
def test_with_a_password_it_opens_on_the_first_page(tmp_path: Path, name: str) -> None:
    before, _, after, text = told_by_the_house(tmp_path, ADMIN_PASSWORD=PASSWORD, NAME=name)

    assert (before, after) == (303, 200)
    assert "Owed to clients" in text
    assert "<b>" not in text


def test_a_rate_that_the_operator_fixed_is_told_as_that(tmp_path: Path) -> None:
    *_, text = told_by_the_house(tmp_path, ADMIN_PASSWORD=PASSWORD, BTC_USD="50000")

    assert "$50,000.00" in text
    assert "fixed by BTC_USD" in text
