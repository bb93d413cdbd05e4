"""Requests that their clients name: tried again while nothing was served, paid once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

from app.web.proxy import ATTEMPTS_MAX
from domain.hold import Held
from domain.identity import account_of_key, hold_of_request
from tests.doubles.upstream import Behaviour
from tests.web.conftest import COST_MSAT, QUESTION, bearer

if TYPE_CHECKING:
    from werkzeug.test import TestResponse

    from tests.web.conftest import House

CREDIT_MSAT = 999_000


def ask(house: House, key: str, name: str = "once", **members: Any) -> TestResponse:
    document = {"model": "maker/plain", "messages": QUESTION, "max_tokens": 50, **members}
    headers = {**bearer(key), "Idempotency-Key": name}
    return house.client.post("/v1/chat/completions", json=document, headers=headers)


def held(house: House, key: str, attempt: int = 0, name: str = "once") -> Held:
    stream = hold_of_request(account_of_key(key), name, attempt)
    event = house.store.history(stream)[0].event
    assert isinstance(event, Held)
    return event


def test_a_request_that_was_not_served_is_tried_again_under_its_name(house: House) -> None:
    key = house.key()
    house.upstream.behave(Behaviour(status=503))
    failed = ask(house, key)
    house.upstream.behave(Behaviour())

    served, again = ask(house, key), ask(house, key)

    account_id = account_of_key(key)
    assert (failed.status_code, served.status_code, again.status_code) == (503, 200, 409)
    assert UUID(failed.headers["x-request-id"]) == hold_of_request(account_id, "once")
    assert UUID(served.headers["x-request-id"]) == hold_of_request(account_id, "once", 1)
    assert again.headers["x-request-id"] == served.headers["x-request-id"]
    assert again.headers["x-should-retry"] == "false"
    assert again.get_json()["error"]["charged_msat"] == COST_MSAT
    assert house.wallet(key)["balance"] == CREDIT_MSAT - COST_MSAT


def test_a_request_that_is_never_served_is_not_tried_for_ever(house: House) -> None:
    key = house.key()
    house.upstream.behave(Behaviour(status=503))

    statuses = [ask(house, key).status_code for _ in range(ATTEMPTS_MAX + 1)]

    assert statuses == [503] * ATTEMPTS_MAX + [409]
    assert len(house.upstream.requests) == ATTEMPTS_MAX
    assert house.wallet(key)["balance"] == CREDIT_MSAT


def test_the_last_word_on_a_request_that_was_never_served_is_that_it_cost_nothing(
    house: House,
) -> None:
    key = house.key()
    house.upstream.behave(Behaviour(status=503))

    *_, last = (ask(house, key) for _ in range(ATTEMPTS_MAX + 1))

    assert last.get_json()["error"]["charged_msat"] == 0


@pytest.mark.parametrize("status", [200, 503])
def test_a_name_that_was_used_for_another_request_is_refused(house: House, status: int) -> None:
    key = house.key()
    house.upstream.behave(Behaviour() if status == 200 else Behaviour(status=status))
    ask(house, key)

    changed = ask(house, key, max_tokens=49)

    error = changed.get_json()["error"]
    assert changed.status_code == 422
    assert (error["code"], error["param"]) == ("idempotency_key_reused", "Idempotency-Key")
    assert changed.headers["x-should-retry"] == "false"
    assert len(house.upstream.requests) == 1


def test_a_retry_of_what_took_all_the_money_is_not_told_that_money_is_short(
    house: House,
) -> None:
    key = house.key(2)
    first = ask(house, key, model="bare", max_tokens=190)
    held_msat = held(house, key).amount_msat

    again = ask(house, key, model="bare", max_tokens=190)

    assert first.status_code == 200
    assert house.wallet(key)["balance"] < held_msat
    assert again.status_code == 409


def test_equal_requests_of_other_names_are_not_seen_to_be_equal(house: House) -> None:
    key = house.key()
    ask(house, key, "a")
    ask(house, key, "b")

    hashes = {held(house, key, name=name).request_hash for name in ("a", "b")}

    assert len(hashes) == 2
    assert {len(each) for each in hashes} == {16}


def test_a_request_without_a_name_has_no_hash(house: House) -> None:
    answer = house.ask(house.key())

    event = house.store.history(UUID(answer.headers["x-request-id"]))[0].event
    assert isinstance(event, Held)
    assert event.request_hash == ""
