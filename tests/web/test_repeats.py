"""What SDKs repeat by themselves, told by nothing but a count, is charged once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import pytest
from flask import Flask

from app.cashier.answer import Served
from app.cashier.bill import Call
from app.web.repeats import WINDOW_S, Repeats
from domain.errors import RequestInProgressError
from domain.hold import Held
from tests.doubles.upstream import Behaviour
from tests.web.conftest import COST_MSAT, QUESTION, bearer

if TYPE_CHECKING:
    from werkzeug.test import TestResponse

    from tests.web.conftest import House

CREDIT_MSAT = 999_000
TWINS_MAX = 3


def ask(house: House, key: str, count: object = 0, **members: Any) -> TestResponse:
    document = {"model": "maker/plain", "messages": QUESTION, "max_tokens": 50, **members}
    headers = {**bearer(key), "x-stainless-retry-count": str(count)}
    return house.client.post("/v1/chat/completions", json=document, headers=headers)


def statuses(*answers: TestResponse) -> list[int]:
    return [answer.status_code for answer in answers]


def spent_msat(house: House, key: str) -> int:
    left: int = house.wallet(key)["balance"]
    return CREDIT_MSAT - left


def test_the_same_request_sent_three_times_is_charged_once(house: House) -> None:
    key = house.key()

    first, second, third = (ask(house, key, count) for count in range(3))

    error = second.get_json()["error"]
    assert statuses(first, second, third) == [200, 409, 409]
    assert (error["code"], error["charged_msat"]) == ("request_repeated", COST_MSAT)
    assert second.headers["x-should-retry"] == "false"
    assert {second.headers["x-request-id"], third.headers["x-request-id"]} == {
        first.headers["x-request-id"]
    }
    assert spent_msat(house, key) == COST_MSAT
    assert len(house.upstream.requests) == 1


def test_a_repetition_of_what_never_arrived_is_served(house: House) -> None:
    key = house.key()

    assert statuses(ask(house, key, 1), ask(house, key, 2)) == [200, 409]
    assert spent_msat(house, key) == COST_MSAT


def test_what_was_not_served_is_served_when_it_is_repeated(house: House) -> None:
    key = house.key()
    house.upstream.behave(Behaviour(status=503))
    failed = [ask(house, key, count) for count in range(2)]
    house.upstream.behave(Behaviour())

    served, again = ask(house, key, 2), ask(house, key, 3)

    assert statuses(*failed, served, again) == [503, 503, 200, 409]
    assert spent_msat(house, key) == COST_MSAT


def test_another_request_is_no_repetition(house: House) -> None:
    key, other = house.key(), house.key()
    ask(house, key)

    answers = [
        ask(house, key, 1, max_tokens=49),
        ask(house, other, 1),
        house.ask(key),
        ask(house, key, "many"),
    ]

    assert statuses(*answers) == [200] * 4


def test_who_asks_the_same_twice_is_served_twice_and_so_are_repetitions_of_either(
    house: House,
) -> None:
    key = house.key()

    answers = [ask(house, key, count) for count in (0, 0, 0, 0, 1, 2)]

    assert statuses(*answers) == [200] * 6
    assert spent_msat(house, key) == 6 * COST_MSAT
    assert len({answer.headers["x-request-id"] for answer in answers}) == 6


def test_a_name_that_its_client_gave_goes_before_the_count(house: House) -> None:
    key = house.key()
    ask(house, key)
    document = {"model": "maker/plain", "messages": QUESTION, "max_tokens": 50}
    headers = {**bearer(key), "x-stainless-retry-count": "1", "Idempotency-Key": "a"}

    answer = house.client.post("/v1/chat/completions", json=document, headers=headers)

    assert answer.status_code == 200


def test_the_log_does_not_show_that_two_requests_were_equal(house: House) -> None:
    keys = [house.key(), house.key()]

    ids = [UUID(ask(house, key).headers["x-request-id"]) for key in keys]

    assert ids[0].bytes[8:] != ids[1].bytes[8:]
    holds = [house.store.history(each)[0].event for each in ids]
    assert [each.request_hash for each in holds if isinstance(each, Held)] == ["", ""]


class Counter:
    """Repeats with a clock to be set, before a ledger that is nothing but a list of ids."""

    def __init__(self) -> None:
        self.now_s = 10.0 * WINDOW_S
        self.served: list[UUID] = []
        self.repeats = Repeats(self._serve, lambda _: [], lambda: self.now_s, TWINS_MAX)

    def ask(self, body: bytes = b"{}") -> None:
        call = Call(uuid4(), UUID(int=1), "/p", "m", {}, body, {}, stream=False)
        with Flask("test").test_request_context(headers={"x-stainless-retry-count": "0"}):
            self.repeats.serve(call, "sk-1")

    def _serve(self, call: Call) -> Served:
        if call.request_id in self.served:
            raise RequestInProgressError(call.request_id)
        self.served.append(call.request_id)
        return Served(200, {}, b"")


@pytest.fixture
def counter() -> Counter:
    return Counter()


def test_names_sort_by_their_time_and_are_others_after_a_while(counter: Counter) -> None:
    counter.ask()
    counter.now_s += WINDOW_S
    counter.ask()

    first, second = counter.served
    assert first < second
    assert first.bytes[8:] != second.bytes[8:]


def test_only_the_newest_twins_are_remembered(counter: Counter) -> None:
    for place in range(TWINS_MAX + 2):
        for _ in range(3):
            counter.ask(str(place).encode())

    assert len(counter.repeats._twins) == TWINS_MAX
    assert len(counter.served) == 3 * (TWINS_MAX + 2)
