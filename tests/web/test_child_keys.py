from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from domain.identity import account_of_key
from domain.key import Changes
from tests.doubles.upstream import Behaviour
from tests.web.conftest import CHILD_KEY_COST_MSAT, COST_MSAT, MODELS, bearer
from tests.web.holders import (
    FUNDED_MSAT,
    QUESTION,
    child_of,
    code_of,
    post,
    seconds_from_now,
)

if TYPE_CHECKING:
    from flask.testing import FlaskClient
    from werkzeug.test import TestResponse

    from tests.web.conftest import House


def test_children_are_made_and_paid_for(house: House) -> None:
    key = house.key()

    answer = post(house, "child-key", key, {"count": 2})

    told = answer.get_json()
    assert told.pop("api_keys") != []
    assert told == {
        "count": 2,
        "cost_msats": 2 * CHILD_KEY_COST_MSAT,
        "cost_sats": 3,
        "parent_balance": FUNDED_MSAT - 2 * CHILD_KEY_COST_MSAT,
        "parent_balance_sats": (FUNDED_MSAT - 2 * CHILD_KEY_COST_MSAT) // 1000,
    }
    assert house.open_holds() == 0


def test_a_child_spends_its_parents_money_and_both_are_told(house: House) -> None:
    key = house.key()
    child = child_of(house, key, balance_limit=5_000, balance_limit_reset="daily")

    answer = house.ask(child)

    left = FUNDED_MSAT - CHILD_KEY_COST_MSAT - COST_MSAT
    told, parent = house.info(child), house.info(key)
    assert answer.status_code == 200
    assert told["is_child"] is True
    assert told["balance"] == parent["balance"] == left
    assert (told["total_requests"], told["total_spent"]) == (1, COST_MSAT)
    assert (told["balance_limit"], told["balance_limit_reset"]) == (5_000, "daily")
    assert told["balance_limit_left"] == 5_000 - COST_MSAT
    assert parent["is_child"] is False
    assert parent["total_spent"] == CHILD_KEY_COST_MSAT + COST_MSAT
    (shown,) = parent["child_keys"]
    assert shown["api_key"] == child
    assert (shown["total_requests"], shown["total_spent"]) == (1, COST_MSAT)


def test_a_child_learns_nothing_of_its_parents_key(house: House) -> None:
    """M18: a parent's key was once shown to its child."""
    key = house.key()
    told = house.info(child_of(house, key))

    assert "child_keys" not in told
    assert key not in str(told)
    assert told["parent_key_preview"] == f"{account_of_key(key).hex[:8]}…"
    for path in ("statement", "history"):
        answer = house.client.get(f"/v1/wallet/{path}", headers=bearer(child_of(house, key)))
        assert answer.status_code in {400, 404}


def test_a_limit_is_told_from_an_empty_account(house: House) -> None:
    key = house.key()
    child = child_of(house, key, balance_limit=COST_MSAT)

    answer = house.ask(child, max_tokens=100)

    assert code_of(answer) == (402, "balance_limit_exceeded")
    assert answer.get_json()["error"]["type"] == "insufficient_quota"
    assert answer.headers["x-should-retry"] == "false"
    assert house.ask(key, max_tokens=100).status_code == 200


def test_a_child_past_its_validity_is_refused_and_so_is_another_model(house: House) -> None:
    key = house.key()
    late = child_of(house, key, validity_date=seconds_from_now(days=-1))
    bare_only = child_of(house, key, allowed_models=["bare"])
    by_alias = child_of(house, key, allowed_models="plain, bare")

    assert code_of(house.ask(late)) == (403, "key_expired")
    assert house.ask(late).get_json()["error"]["type"] == "invalid_request_error"
    assert code_of(house.ask(bare_only)) == (403, "model_not_allowed")
    assert house.ask(by_alias).status_code == 200
    assert house.info(by_alias)["allowed_models"] == ["bare", MODELS[0]["id"]]


def test_children_asked_for_again_by_name_are_the_same_and_paid_once(house: House) -> None:
    key = house.key()

    first, second = (
        post(house, "child-key", key, {"count": 3}, Idempotency_Key="three") for _ in range(2)
    )
    other = post(house, "child-key", key, {"count": 3}, Idempotency_Key="other")

    assert first.get_json()["api_keys"] == second.get_json()["api_keys"]
    assert first.get_json()["api_keys"] != other.get_json()["api_keys"]
    assert house.info(key)["balance"] == FUNDED_MSAT - 6 * CHILD_KEY_COST_MSAT
    assert len(house.info(key)["child_keys"]) == 6


def test_children_of_one_name_with_other_rules_are_refused(house: House) -> None:
    key = house.key()
    post(house, "child-key", key, {"balance_limit": 5}, Idempotency_Key="one")

    answer = post(house, "child-key", key, {"balance_limit": 6}, Idempotency_Key="one")

    assert code_of(answer) == (422, "idempotency_key_reused")
    assert house.open_holds() == 0


def test_children_that_were_not_made_cost_nothing(house: House) -> None:
    key = house.key()
    account_id = account_of_key(key)
    house.ledger.set_key(
        account_id, account_id, Changes(valid_until=datetime.now(UTC) + timedelta(seconds=60))
    )
    row = house.store.key(account_id)
    assert row is not None

    poor = house.key(8)
    short = post(house, "child-key", poor, {"count": 50})
    child = child_of(house, key)
    of_child = post(house, "child-key", child)
    many = post(house, "child-key", key, {"count": 51})
    none = post(house, "child-key", key, {"count": True})

    assert code_of(short) == (402, "insufficient_balance")
    assert code_of(of_child) == (400, "child_key")
    assert code_of(many) == code_of(none) == (400, "invalid_value")
    assert house.info(poor)["balance"] == 7_000
    assert house.info(poor)["child_keys"] == []
    assert house.open_holds() == 0


def test_a_reset_gives_a_child_its_limit_back_and_forgets_nothing(house: House) -> None:
    """M18: a reset once zeroed what had been spent."""
    key = house.key()
    child = child_of(house, key, balance_limit=800)
    assert house.ask(child).status_code == 200
    assert code_of(house.ask(child, max_tokens=90)) == (402, "balance_limit_exceeded")

    answer = post(house, "child-key/reset", key, {"child_key": child})

    assert answer.get_json()["success"] is True
    assert house.info(child)["balance_limit_left"] == 800
    assert house.info(child)["total_spent"] == COST_MSAT
    assert house.ask(child, max_tokens=90).status_code == 200


def test_only_its_parent_resets_a_child(house: House) -> None:
    key, stranger = house.key(), house.key(8)
    child = child_of(house, key)

    assert code_of(post(house, "child-key/reset", stranger, {"child_key": child})) == (
        403,
        "not_your_key",
    )
    assert code_of(post(house, "child-key/reset", child, {"child_key": child})) == (
        400,
        "child_key",
    )
    unknown = post(house, "child-key/reset", key, {"child_key": "sk-unknown"})
    assert (unknown.status_code, unknown.get_json()["detail"]) == (404, "Child key not found")
    assert post(house, "child-key/reset", key).status_code == 400


def test_what_is_put_on_a_child_is_its_parents(house: House) -> None:
    key = house.key()
    child = child_of(house, key)
    before = house.info(key)["balance"]

    answer = post(house, "topup", child, {"cashu_token": house.mint.fund(8)})

    assert answer.get_json() == {"msats": 7_000}
    assert house.info(key)["balance"] == before + 7_000


def test_a_child_gets_no_refund_gives_nothing_away_and_binds_nothing(house: House) -> None:
    key = house.key()
    child = child_of(house, key)
    before = house.info(key)

    refund = post(house, "refund", child)
    gift = post(house, "donate", child)
    token = {"cashu_token": house.mint.fund(8)}
    bound = post(house, "topup", child, {**token, "key_expiry_time": 1})

    assert refund.status_code == 400
    assert (
        refund.get_json()["detail"]
        == "Cannot refund child key. Please refund the parent key instead."
    )
    assert code_of(gift) == code_of(bound) == (400, "child_key")
    assert house.info(key) == before


def test_two_children_name_their_requests_without_knowing_of_each_other(house: House) -> None:
    key = house.key()
    children = [child_of(house, key) for _ in range(2)]
    sent = {"Idempotency-Key": "same"}
    document = {"model": "bare", "messages": QUESTION, "max_tokens": 5}

    statuses = [
        house.client.post(
            "/v1/chat/completions", json=document, headers={**bearer(each), **sent}
        ).status_code
        for each in (*children, children[0])
    ]

    assert statuses == [200, 200, 409]


def test_fifty_at_once_on_a_limit_for_ten_are_ten(house: House) -> None:
    """M18: a limit is decided with the hold, and not before it."""
    key = house.key()
    house.upstream.behave(Behaviour(chunk_delay_s=0.02))
    # Whatever else is asked, a request of 100 tokens is held at so much.
    probe = house.ask(key, stream=True, max_tokens=100)
    held = house.info(key)["reserved"]
    probe.close()
    child = child_of(house, key, balance_limit=10 * held)
    ready, go = threading.Barrier(51), threading.Event()

    def ask(_: int) -> TestResponse:
        client: FlaskClient = house.app.test_client()
        ready.wait(30)
        document = {"model": "maker/plain", "messages": QUESTION, "stream": True}
        answer = client.post(
            "/v1/chat/completions",
            json={**document, "max_tokens": 100},
            headers=bearer(child),
        )
        go.wait(30)
        answer.close()
        return answer

    with ThreadPoolExecutor(50) as threads:
        asked = [threads.submit(ask, number) for number in range(50)]
        ready.wait(30)
        go.set()
        statuses = [future.result(60).status_code for future in asked]

    row = house.store.key(account_of_key(child))
    assert row is not None
    assert set(statuses) == {200, 402}
    assert row.requests == statuses.count(200) >= 10
    assert row.total_msat <= 10 * held
    assert house.open_holds() == 0
