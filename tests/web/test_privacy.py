"""Who the client is stays here, and who the upstream is, too."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from app.cashier.paths import PATHS
from tests.doubles.dialects import named
from tests.doubles.upstream import Behaviour
from tests.web.conftest import QUESTION, UPSTREAM_KEY, bearer

if TYPE_CHECKING:
    from tests.web.conftest import House

CHAT = "/v1/chat/completions"
ASKED = {"model": "maker/plain", "messages": QUESTION, "max_tokens": 50}
THEIRS = {
    "Connection": "x-secret",
    "Cookie": "session=secret",
    "Forwarded": "for=secret",
    "OpenAI-Organization": "org-secret",
    "OpenAI-Project": "proj-secret",
    "Origin": "https://secret.example",
    "Proxy-Authorization": "Basic secret",
    "Referer": "https://secret.example/",
    "TE": "trailers, secret",
    "Upgrade": "secret",
    "X-Cashu-Change": "secret",
    "X-Forwarded-For": "192.0.2.1, secret",
    "X-Real-IP": "secret",
    "X-Secret": "secret",
    "X-Stainless-Lang": "secret",
    "Idempotency-Key": "secret",
}
ANSWERED = {
    "Alt-Svc": "h3=secret",
    "CF-Ray": "secret",
    "CF-Cache-Status": "secret",
    "OpenAI-Organization": "secret",
    "OpenAI-Project": "secret",
    "OpenAI-Model": "secret",
    "OpenAI-Version": "secret",
    "OpenAI-Processing-Ms": "secret",
    "Anthropic-Organization-Id": "secret",
    "Request-Id": "secret",
    "Server": "secret",
    "Set-Cookie": "secret=1",
    "Strict-Transport-Security": "secret",
    "Via": "1.1 secret",
    "X-Amzn-RequestId": "secret",
    "X-Cashu": "secret",
    "X-Generation-Id": "secret",
    "X-Powered-By": "secret",
    "X-Request-Id": "secret",
    "X-Routstr-Cost-Msats": "secret",
    "X-Secret": "secret",
}
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
ORG = "org-AbCdEf123456"


@pytest.mark.parametrize("name", ["Authorization", "x-api-key"])
def test_nothing_of_the_client_reaches_the_upstream(house: House, name: str) -> None:
    key = house.key()
    value = f"Bearer {key}" if name == "Authorization" else key

    house.client.post(CHAT, json=ASKED, headers={**THEIRS, name: value})

    headers = house.upstream.requests[-1].headers
    assert headers["authorization"] == f"Bearer {UPSTREAM_KEY}"
    assert "secret" not in str({**headers, "authorization": ""})
    assert key not in str(headers)


def test_no_token_reaches_the_upstream(house: House) -> None:
    token = house.mint.fund(100)

    house.client.post(CHAT, json=ASKED, headers={"X-Cashu": token})

    seen = house.upstream.requests[-1]
    assert "x-cashu" not in seen.headers
    assert token not in str(seen.headers) + seen.body.decode()


def test_a_trace_goes_through(house: House) -> None:
    headers = {**bearer(house.key()), "traceparent": TRACE, "tracestate": "a=1"}

    house.client.post(CHAT, json=ASKED, headers=headers)

    seen = house.upstream.requests[-1].headers
    assert (seen["traceparent"], seen["tracestate"]) == (TRACE, "a=1")


@pytest.mark.parametrize("members", [{}, {"stream": True}])
@pytest.mark.parametrize("status", [None, 400, 500])
def test_nothing_of_the_upstream_reaches_the_client(
    house: House, members: dict[str, object], status: int | None
) -> None:
    house.upstream.behave(Behaviour(status=status, headers=ANSWERED))

    answer = house.ask(house.key(), **members)

    assert "secret" not in str(answer.headers)
    for name in ("Server", "Set-Cookie", "Via", "OpenAI-Organization", "CF-Ray", "X-Cashu"):
        assert name not in answer.headers


def test_an_error_names_no_organization(house: House) -> None:
    error = {"message": f"Limit for {ORG}, key sk-abcdef, user-xYz123456", "code": ORG}
    house.upstream.behave(
        Behaviour(status=400, body=json.dumps({"error": error, "org": ORG}).encode())
    )

    answer = house.ask(house.key())

    assert ORG not in answer.get_data(as_text=True)
    assert "sk-abcdef" not in answer.get_data(as_text=True)
    assert answer.get_json()["error"]["message"].startswith("Limit for [operator]")


def test_an_error_in_a_stream_names_none_either_and_is_settled(house: House) -> None:
    key = house.key()
    word = {"choices": [{"index": 0, "delta": {"content": "Hi"}}]}
    fault = {"error": {"message": f"overloaded: {ORG}", "code": 502}}
    chunks = [f"data: {json.dumps(each)}\n\n".encode() for each in (word, fault)]
    headers = {"content-type": "text/event-stream"}
    house.upstream.behave(Behaviour(status=200, headers=headers, chunks=chunks))

    answer = house.ask(key, stream=True)

    assert b'"message": "overloaded: [operator]"' in answer.data
    assert ORG.encode() not in answer.data
    assert house.open_holds() == 0
    assert house.wallet(key)["reserved"] == 0


def test_an_error_among_messages_names_none_either(house: House) -> None:
    error = {"type": "overloaded_error", "message": f"for {ORG}"}
    headers = {"content-type": "text/event-stream"}
    chunks = [named("error", error=error)]
    house.upstream.behave(Behaviour(status=200, headers=headers, chunks=chunks))

    answer = house.client.post(
        "/v1/messages", json={**ASKED, "stream": True}, headers=bearer(house.key())
    )

    assert answer.data.startswith(b"event: error\ndata: ")
    assert b"for [operator]" in answer.data


def test_text_that_is_no_error_is_not_touched(house: House) -> None:
    word = {"choices": [{"index": 0, "delta": {"content": f'"error" {ORG}'}}]}
    chunk = f"data: {json.dumps(word)}\n\n".encode()
    headers = {"content-type": "text/event-stream"}
    house.upstream.behave(Behaviour(status=200, headers=headers, chunks=[chunk]))

    answer = house.ask(house.key(), stream=True)

    assert answer.data.startswith(chunk)


@pytest.mark.parametrize("path", [*PATHS, "/models", "/receipts/1", "/wallet/info", "/nowhere"])
def test_browsers_may_do_what_the_sdks_do(house: House, path: str) -> None:
    wanted = (
        "authorization, content-type, x-api-key, x-cashu, x-cashu-change, idempotency-key,"
        " anthropic-version, anthropic-beta, x-stainless-lang, x-stainless-package-version,"
        " x-stainless-retry-count, x-stainless-timeout, traceparent"
    )

    answer = house.client.options(
        f"/v1{path}",
        headers={
            "Origin": "https://chat.example",
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": wanted,
        },
    )

    assert answer.status_code == 204
    assert answer.headers["Access-Control-Allow-Headers"] == wanted
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    exposed = answer.headers["Access-Control-Expose-Headers"].lower().split(", ")
    assert {"x-request-id", "x-cashu", "x-cashu-change", "x-routstr-cost-msats"} <= set(exposed)
    assert {"x-routstr-cost-usd", "retry-after", "x-should-retry"} <= set(exposed)


LIMITS = ("max_tokens", "max_completion_tokens", "max_output_tokens", "n")
SENSELESS = [0, -1, 1.5, "5", "many", True, 10**12, [], {}]
COUNTED = [path for path, how in PATHS.items() if how.kind in {"text", "verdict", "images"}]


@pytest.mark.parametrize("path", [path for path in COUNTED if not PATHS[path].files])
def test_a_senseless_limit_is_refused_before_money_moves(house: House, path: str) -> None:
    """Under-reservation by limits that nobody has checked (M22)."""
    key = house.key()
    head = house.store.head()
    document = {"model": "maker/plain", "messages": QUESTION, "input": "hi", "prompt": "hi"}

    for name in LIMITS:
        for value in SENSELESS:
            answer = house.client.post(
                f"/v1{path}", json={**document, name: value}, headers=bearer(key)
            )
            assert answer.status_code == 400, (name, value)
            assert answer.get_json()["error"]["param"] == name

    assert (house.store.head(), house.upstream.requests) == (head, [])


NOT_SOLD: list[tuple[str, dict[str, Any]]] = [
    *((path, {"model": "nobody/none"}) for path in PATHS if not PATHS[path].files),
    *((path, {"max_tokens": "x"}) for path in COUNTED if not PATHS[path].files),
    ("/chat/completions", {"model": None}),
    ("/audio/speech", {"input": 5}),
]


@pytest.mark.parametrize(("path", "bad"), NOT_SOLD)
def test_a_token_is_not_taken_for_what_is_not_sold(
    house: House, path: str, bad: dict[str, Any]
) -> None:
    """A request that cannot be served leaves the token its owner's, used as a key or not."""
    token = house.mint.fund(100)
    document = {"model": "maker/plain", "messages": QUESTION, "input": "hi", "prompt": "hi"}

    answers = [
        house.client.post(f"/v1{path}", json={**document, **bad}, headers=headers)
        for headers in (bearer(token), {"X-Cashu": token}, {"x-api-key": token})
    ]

    assert [answer.status_code for answer in answers] == [400] * 3
    assert house.store.head() == 0
    house.spend(token)
