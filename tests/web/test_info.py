from __future__ import annotations

import base64
import re
import sqlite3
from contextlib import closing
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest

from tests.web.conftest import CHILD_KEY_COST_MSAT, IDS, PUBKEY, SIGNING_KEY

if TYPE_CHECKING:
    from tests.web.conftest import House

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


def test_machines_are_told_who_we_are(house: House) -> None:
    answer = house.client.get("/v1/info")

    assert answer.get_json() == {
        "name": "Test <House>",
        "description": "Sells tests & proofs",
        "version": "1.2.3",
        "npub": "",
        "mints": [house.mint.url],
        "http_url": "https://house.example",
        "onion_url": "",
        "pubkey": PUBKEY,
        "verifier_key": str(SIGNING_KEY.verifier),
        "child_key_cost_msats": CHILD_KEY_COST_MSAT,
    }


@pytest.mark.parametrize(
    "accept", [None, "*/*", "application/json", "application/json,text/html"]
)
def test_the_root_is_json_with_models_unless_html_is_preferred(
    house: House, accept: str | None
) -> None:
    answer = house.client.get("/", headers={} if accept is None else {"Accept": accept})

    assert answer.get_json()["name"] == "Test <House>"
    assert [model["id"] for model in answer.get_json()["models"]] == IDS
    assert answer.headers["Vary"] == "Accept"


def test_visitors_get_a_page(house: House) -> None:
    answer = house.client.get("/", headers={"Accept": BROWSER})

    assert answer.content_type == "text/html; charset=utf-8"
    assert "Test &lt;House&gt;" in answer.text
    assert house.mint.url in answer.text
    assert "https://house.example/v1/chat/completions" in answer.text
    assert answer.headers["Vary"] == "Accept"


def test_the_page_runs_nothing_loads_nothing_and_may_use_its_own_style(house: House) -> None:
    answer = house.client.get("/", headers={"Accept": BROWSER})

    [style] = re.findall(r"<style>(.*?)</style>", answer.text, flags=re.DOTALL)
    digest = base64.b64encode(sha256(style.encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert "<script" not in answer.text
    assert not re.search(r"\s(src|style|on\w+)=", answer.text)


def test_whoever_watches_is_told_that_we_live(house: House) -> None:
    answer = house.client.get("/healthz")

    assert answer.status_code == 200
    assert answer.get_json() == {"status": "ok"}


def test_a_house_without_its_ledger_does_not_live(house: House) -> None:
    with closing(sqlite3.connect(house.store.path)) as db:
        db.execute("DROP TABLE balance")

    answer = house.client.get("/healthz")

    assert answer.status_code == 503
    assert answer.get_json()["error"]["code"] == "store_unavailable"
