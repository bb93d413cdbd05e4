from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

import pytest

from app.gateways.mint.tokens import decode
from domain.identity import account_of_key
from tests.web.conftest import CHILD_KEY_COST_MSAT, COST_MSAT, House, bearer
from tests.web.holders import FUNDED_MSAT, child_of, code_of, post
from tests.web.test_statement import follow, get, house, told

if TYPE_CHECKING:
    from werkzeug.test import TestResponse

__all__ = ["house"]
HISTORY, STATEMENT, USAGE = "/v1/wallet/history", "/v1/wallet/statement", "/v1/usage"


def history(house: House, key: str, **query: str) -> list[dict[str, Any]]:
    follow(house)
    found: list[dict[str, Any]] = told(house, key, HISTORY, **query)["transactions"]
    return found


def test_a_history_tells_what_came_in_and_went_out_with_the_balance(house: House) -> None:
    key = house.key()
    house.ask(key)
    refund = post(house, "refund", key, {"sats": 100}).get_json()
    rest = FUNDED_MSAT - COST_MSAT - 100_000

    out, request, came_in = history(house, key)

    assert (out["type"], out["source"], out["amount"]) == ("out", "cashu", 100_000)
    assert (out["unit"], out["balance"], out["collected"]) == ("msat", rest, False)
    assert (request["source"], request["amount"]) == ("request", COST_MSAT)
    assert request["model"] == "maker/plain"
    assert request["balance"] == FUNDED_MSAT - COST_MSAT
    assert (came_in["type"], came_in["source"]) == ("in", "cashu")
    assert (came_in["amount"], came_in["balance"]) == (FUNDED_MSAT, FUNDED_MSAT)
    assert came_in["mint_url"] == decode(refund["token"]).mint == house.mint.url
    assert len({each["id"] for each in (out, request, came_in)}) == 3


def test_a_history_says_when_a_token_was_collected(house: House) -> None:
    key = house.key()
    refund = post(house, "refund", key).get_json()
    house.spend(refund["token"])
    nothing = post(house, "refund", key)

    newest, *_ = history(house, key)

    assert nothing.status_code == 400
    assert newest["collected"] is True


def test_a_history_is_read_page_by_page(house: House) -> None:
    key = house.key()
    for _ in range(5):
        house.ask(key)
    whole = history(house, key)

    pages, before = [], None
    while True:
        asked = {"limit": "2"} | ({"before": before} if before else {})
        page = told(house, key, HISTORY, **asked)
        pages += page["transactions"]
        before = page["next"]
        if before is None:
            break

    assert pages == whole
    assert len(whole) == 6


@pytest.mark.parametrize("query", [{"limit": "0"}, {"limit": "1001"}, {"before": "x"}])
def test_a_senseless_page_is_refused(house: House, query: dict[str, str]) -> None:
    answer = get(house, house.key(), HISTORY, **query)

    assert answer.get_json()["error"]["param"] == next(iter(query))


def test_a_parent_is_told_which_key_has_spent(house: House) -> None:
    key = house.key()
    child, idle = child_of(house, key), child_of(house, key)
    house.ask(child)
    house.ask(key)
    child_id = str(account_of_key(child))

    by_parent, by_child, *_ = history(house, key)
    lines = told(house, key, STATEMENT)["lines"]
    usage = told(house, key, USAGE, group_by="key")

    assert "key" not in by_parent
    assert by_child["key"] == child_id
    assert {line.get("key") for line in lines} == {None, child_id}
    assert {line["event"] for line in lines if "key" in line} == {"hold.held", "hold.charged"}
    assert [(each["key"], each["cost_msat"]) for each in usage["usage"]] == [
        (child_id, COST_MSAT)
    ]
    assert usage["total"]["cost_msat"] == 2 * COST_MSAT + 2 * CHILD_KEY_COST_MSAT
    table = house.client.get(f"{USAGE}?group_by=key&format=csv", headers=bearer(key)).text
    assert [row["key"] for row in csv.DictReader(io.StringIO(table))] == [child_id]
    named = {each["id"]: each["api_key"] for each in house.info(key)["child_keys"]}
    assert named == {child_id: child, str(account_of_key(idle)): idle}


def test_a_child_is_told_of_its_own_requests_and_of_nothing_else(house: House) -> None:
    """M18: what is the parent's is not shown to a child."""
    key = house.key()
    child = child_of(house, key)
    house.ask(key)
    house.ask(child)
    follow(house)

    def ask(path: str) -> TestResponse:
        return house.client.get(path, headers=bearer(child))

    assert [code_of(ask(path)) for path in (HISTORY, STATEMENT)] == [(400, "child_key")] * 2
    assert ask(USAGE).get_json()["total"]["cost_msat"] == COST_MSAT
    assert ask(f"{USAGE}?group_by=key").get_json()["usage"] == []
