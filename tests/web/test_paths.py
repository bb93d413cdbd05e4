"""Which of the API's addresses are there, and what is said of those that are not."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from app.cashier.paths import PATHS
from tests.doubles.upstream import Behaviour
from tests.web.conftest import bearer

if TYPE_CHECKING:
    from werkzeug.test import TestResponse

    from tests.web.conftest import House

USAGE = {"input_tokens": 4, "output_tokens": 15, "total_tokens": 19}
ANSWERS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "/responses": (
        {"input": "hi", "max_output_tokens": 50},
        {"output": [{"type": "message"}], "usage": USAGE},
    ),
    "/moderations": ({"input": "hi"}, {"results": [{"flagged": False}]}),
    "/images/generations": ({"prompt": "a cat"}, {"data": [{"url": "x"}], "usage": USAGE}),
}


def post(house: House, path: str, key: str, **members: Any) -> TestResponse:
    document = {"model": "maker/plain", **ANSWERS.get(path, ({}, {}))[0], **members}
    return house.client.post(f"/v1{path}", json=document, headers=bearer(key))


@pytest.mark.parametrize("prefix", ["", "/v1"])
@pytest.mark.parametrize("path", ANSWERS)
def test_each_path_is_served_and_charged(house: House, path: str, prefix: str) -> None:
    asked, answered = ANSWERS[path]
    house.upstream.behave(Behaviour(status=200, body=json.dumps(answered).encode()))
    key = house.key()

    answer = house.client.post(
        prefix + path, json={"model": "maker/plain", **asked}, headers=bearer(key)
    )

    paid_msat = int(answer.headers["x-routstr-cost-msats"])
    assert answer.status_code == 200
    assert house.upstream.requests[-1].path == f"/v1{path}"
    assert house.wallet(key)["balance"] == 999_000 - paid_msat < 999_000
    assert house.open_holds() == 0


@pytest.mark.parametrize("path", ANSWERS)
def test_a_stranger_is_told_the_price_of_each_path(house: House, path: str) -> None:
    asked, _ = ANSWERS[path]

    answer = house.client.post(f"/v1{path}", json={"model": "maker/plain", **asked})

    assert answer.status_code == 402
    assert answer.headers["X-Cashu"].startswith("creqA")


def test_a_token_pays_for_one_response(house: House) -> None:
    asked, answered = ANSWERS["/responses"]
    house.upstream.behave(Behaviour(status=200, body=json.dumps(answered).encode()))

    answer = house.client.post(
        "/v1/responses",
        json={"model": "maker/plain", **asked},
        headers={"X-Cashu": house.mint.fund(100)},
    )

    assert answer.status_code == 200
    assert answer.headers["X-Cashu"].startswith("cashuB")


def test_a_moderation_without_a_model_is_of_the_usual_one(house: House) -> None:
    answer = house.client.post(
        "/v1/moderations", json={"input": "hi"}, headers=bearer(house.key())
    )

    assert answer.get_json()["error"]["message"] == "Model 'omni-moderation-latest' not found"


@pytest.mark.parametrize(
    ("path", "members", "param"),
    [
        ("/images/generations", {"stream": True}, "stream"),
        ("/moderations", {"stream": True}, "stream"),
        ("/images/generations", {"n": 11}, "n"),
        ("/responses", {"background": True}, "background"),
        ("/chat/completions", {"models": ["maker/plain", "cached"]}, "models"),
        ("/chat/completions", {"fallbacks": ["cached"]}, "fallbacks"),
        ("/responses", {"tools": [{"type": "code_interpreter"}]}, "tools"),
        ("/responses", {"tools": [{"type": "function"}, {}]}, "tools"),
        ("/responses", {"tools": ["web_search"]}, "tools"),
        ("/responses", {"max_output_tokens": "many"}, "max_output_tokens"),
    ],
)
def test_what_nobody_here_can_count_is_refused(
    house: House, path: str, members: dict[str, Any], param: str
) -> None:
    answer = post(house, path, house.key(), **members)

    assert answer.status_code == 400
    assert answer.get_json()["error"]["param"] == param
    assert house.upstream.requests == []


def test_tools_that_have_a_price_or_cost_nothing_are_let_through(house: House) -> None:
    house.upstream.behave(
        Behaviour(status=200, body=json.dumps(ANSWERS["/responses"][1]).encode())
    )
    tools = [{"type": "function", "name": "f"}, {"type": "web_search_preview"}]

    answer = post(house, "/responses", house.key(), tools=tools)

    assert answer.status_code == 200
    assert house.upstream.requests[-1].document["tools"] == tools


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
@pytest.mark.parametrize(
    "path",
    [
        "/v1/audio/voices",
        "/v1/files",
        "/v1/batches/b1",
        "/v1/assistants",
        "/v1/images/upscale",
        "/v1/responses/resp_1",
        "/v1/chat/completions/c1",
    ],
)
def test_what_is_not_offered_is_told_with_what_is(house: House, path: str, method: str) -> None:
    answer = house.client.open(path, method=method, headers=bearer("sk-anybody"))

    error = answer.get_json()["error"]
    assert answer.status_code == 404
    assert (error["type"], error["code"]) == ("invalid_request_error", "not_found")
    assert all(f"/v1{there}" in error["message"] for there in PATHS)


@pytest.mark.parametrize("path", PATHS)
def test_other_methods_are_told_which_one_is_taken(house: House, path: str) -> None:
    got, head, options = (
        house.client.open(f"/v1{path}", method=method) for method in ("GET", "HEAD", "OPTIONS")
    )

    assert (got.status_code, head.status_code, options.status_code) == (405, 405, 204)
    assert got.get_json()["error"]["code"] == "method_not_allowed"
    assert "POST" in got.headers["Allow"]
    assert head.data == options.data == b""
    assert "POST" in options.headers["Access-Control-Allow-Methods"]
