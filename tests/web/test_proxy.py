from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from werkzeug.datastructures import Headers
from werkzeug.test import EnvironBuilder

from domain.identity import account_of_key, hold_of_request
from tests.doubles.upstream import Behaviour
from tests.web.conftest import COST_MSAT, QUESTION, UPSTREAM_KEY, bearer

if TYPE_CHECKING:
    from werkzeug.test import TestResponse

    from tests.web.conftest import House

CREDIT_MSAT = 999_000
ASKED = {"model": "maker/plain", "messages": QUESTION, "max_tokens": 50}


def events(answer: TestResponse) -> list[dict[str, Any]]:
    """Return the JSON of every server-sent event but the last, which is [DONE]."""
    lines = answer.get_data(as_text=True).strip().split("\n\n")
    assert lines[-1] == "data: [DONE]"
    return [json.loads(line.removeprefix("data: ")) for line in lines[:-1]]


def wsgi_stream(house: House, api_key: str, **members: object) -> Any:
    """Return the very iterable that a WSGI server is handed for a stream."""
    builder = EnvironBuilder(
        "/v1/chat/completions",
        method="POST",
        json={**ASKED, "stream": True, **members},
        headers=Headers(bearer(api_key)),
    )
    return house.app(builder.get_environ(), lambda *_: lambda _: None)


def test_an_answer_is_handed_on_and_paid_to_the_msat(house: House) -> None:
    key = house.key()

    answer = house.ask(key)

    assert answer.status_code == 200
    assert answer.get_json()["choices"][0]["message"]["content"].endswith("how are you today?")
    assert answer.get_json()["usage"]["prompt_tokens"] == 4
    assert answer.get_json()["usage"]["completion_tokens"] == 15
    assert answer.get_json()["cost"]["total_msats"] == COST_MSAT
    assert answer.headers["x-routstr-cost-msats"] == str(COST_MSAT)
    assert answer.headers["x-routstr-cost-usd"] == "0.000034"
    assert answer.headers["content-type"] == "application/json"
    assert house.wallet(key)["balance"] == CREDIT_MSAT - COST_MSAT
    assert house.open_holds() == 0


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/chat/completions"])
def test_a_path_is_served_with_its_version_and_without(house: House, path: str) -> None:
    answer = house.client.post(path, json=ASKED, headers=bearer(house.key()))

    assert answer.status_code == 200
    assert house.upstream.requests[-1].path == "/v1/chat/completions"


@pytest.mark.parametrize(
    ("path", "members"),
    [("/v1/completions", {"prompt": "one two"}), ("/v1/embeddings", {"input": "one two"})],
)
def test_the_other_paid_routes_are_served_and_charged(
    house: House, path: str, members: dict[str, str]
) -> None:
    key = house.key()

    answer = house.client.post(
        path, json={"model": "maker/plain", "max_tokens": 50, **members}, headers=bearer(key)
    )

    assert answer.status_code == 200
    assert house.upstream.requests[-1].path == path
    paid_msat = int(answer.headers["x-routstr-cost-msats"])
    assert paid_msat > 0
    assert house.wallet(key)["balance"] == CREDIT_MSAT - paid_msat


def test_a_token_pays_as_it_is(house: House) -> None:
    token = house.mint.fund(1000)

    answer = house.ask(token)

    assert answer.status_code == 200
    assert house.wallet(token)["balance"] == CREDIT_MSAT - COST_MSAT


def test_members_nobody_here_knows_reach_the_upstream(house: House) -> None:
    house.ask(house.key(), store=True, prompt_cache_key="k", temperature=0.7, seed=2**63)

    sent = house.upstream.requests[-1].document
    assert sent == {
        **ASKED, "store": True, "prompt_cache_key": "k", "temperature": 0.7, "seed": 2**63,
    }  # fmt: skip


def test_no_credential_of_the_client_reaches_the_upstream(house: House) -> None:
    key = house.key()

    house.client.post(
        "/v1/chat/completions",
        json=ASKED,
        headers={**bearer(key), "Cookie": "a=b"},
    )

    headers = house.upstream.requests[-1].headers
    assert headers["authorization"] == f"Bearer {UPSTREAM_KEY}"
    assert "cookie" not in headers
    assert key not in str(headers)


def test_of_a_name_given_twice_the_upstream_reads_the_one_that_was_priced(
    house: House,
) -> None:
    body = json.dumps(ASKED).encode()
    twice = b'{"max_tokens": 90000, "model": "dear", ' + body[1:]

    house.client.post("/v1/chat/completions", data=twice, headers=bearer(house.key()))

    sent = house.upstream.requests[-1].body
    assert sent.count(b'"max_tokens"') == sent.count(b'"model"') == 1
    assert json.loads(sent) == ASKED


@pytest.mark.parametrize("name", ["Model", "MAX_TOKENS", "max_to\u212aens", "N"])
def test_a_second_spelling_of_what_is_priced_is_refused(house: House, name: str) -> None:
    answer = house.ask(house.key(), **{name: 1})

    assert answer.status_code == 400
    assert answer.get_json()["error"]["param"] == name
    assert house.upstream.requests == []


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"model": None}, "model"),
        ({"model": ""}, "model"),
        ({"model": 7}, "model"),
        ({"model": "m" * 201}, "model"),
        ({"stream": "yes"}, "stream"),
        ({"stream": 1}, "stream"),
        ({"max_tokens": "many"}, "max_tokens"),
        ({"max_completion_tokens": -1}, "max_completion_tokens"),
    ],
)
def test_what_cannot_be_priced_is_refused_by_its_name(
    house: House, members: dict[str, object], param: str
) -> None:
    answer = house.ask(house.key(), **members)

    assert answer.status_code == 400
    assert answer.get_json()["error"]["type"] == "invalid_request_error"
    assert answer.get_json()["error"]["param"] == param
    assert house.upstream.requests == []


@pytest.mark.parametrize("body", [b"", b"{", b"[]"])
def test_a_body_that_is_no_json_object_is_refused(house: House, body: bytes) -> None:
    answer = house.client.post("/v1/chat/completions", data=body, headers=bearer(house.key()))

    assert answer.status_code == 400
    assert answer.get_json()["error"]["code"] == "invalid_json"


def test_an_unknown_model_is_told_as_existing_clients_read_it(house: House) -> None:
    answer = house.ask(house.key(), model="nobody/none")

    assert answer.status_code == 400
    assert answer.get_json()["error"]["type"] == "invalid_model"
    assert answer.get_json()["error"]["message"] == "Model 'nobody/none' not found"


def test_who_has_too_little_is_told_how_much_is_needed(house: House) -> None:
    key = house.key(2)

    answer = house.ask(key, max_tokens=1000)

    assert answer.status_code == 402
    assert answer.get_json()["error"]["type"] == "insufficient_quota"
    assert answer.get_json()["error"]["code"] == "insufficient_balance"
    assert "1000 msat available" in answer.get_json()["error"]["message"]
    assert answer.headers["x-should-retry"] == "false"
    assert house.upstream.requests == []
    assert house.wallet(key) == {"api_key": key, "balance": 1000, "reserved": 0}


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"Authorization": "Bearer "}, "missing_api_key"),
        ({"Authorization": "Bearer sk-nobody"}, "invalid_api_key"),
        ({"Authorization": "Basic abc"}, "invalid_api_key"),
    ],
)
def test_strangers_are_not_served(house: House, headers: dict[str, str], code: str) -> None:
    answer = house.client.post("/v1/chat/completions", json=ASKED, headers=headers)

    assert answer.status_code == 401
    assert answer.get_json()["error"]["code"] == code
    assert house.upstream.requests == []


def test_a_request_that_was_named_has_the_id_of_its_name(house: House) -> None:
    key = house.key()

    answer = house.client.post(
        "/v1/chat/completions",
        json=ASKED,
        headers={**bearer(key), "Idempotency-Key": "once"},
    )

    expected = hold_of_request(account_of_key(key), "once")
    assert UUID(answer.headers["x-request-id"]) == expected


def test_a_named_request_is_paid_once(house: House) -> None:
    key = house.key()
    headers = {**bearer(key), "Idempotency-Key": "once"}

    first, second = (
        house.client.post("/v1/chat/completions", json=ASKED, headers=headers) for _ in range(2)
    )

    assert first.status_code == 200
    assert second.status_code == 409
    assert second.headers["x-should-retry"] == "false"
    assert second.get_json()["error"]["charged_msat"] == COST_MSAT
    assert house.wallet(key)["balance"] == CREDIT_MSAT - COST_MSAT


def test_a_named_request_that_is_still_running_asks_for_patience(house: House) -> None:
    headers = {**bearer(house.key()), "Idempotency-Key": "once"}
    house.upstream.behave(Behaviour(chunk_delay_s=0.1))
    running = house.client.post(
        "/v1/chat/completions", json={**ASKED, "stream": True}, headers=headers
    )

    second = house.client.post(
        "/v1/chat/completions", json={**ASKED, "stream": True}, headers=headers
    )
    running.close()

    assert second.status_code == 409
    assert second.get_json()["error"]["code"] == "request_in_progress"
    assert second.headers["Retry-After"] == "2"


@pytest.mark.parametrize("name", ["", "a" * 201, "a b", "\xe9"])
def test_a_name_that_is_none_is_refused(house: House, name: str) -> None:
    answer = house.client.post(
        "/v1/chat/completions",
        json=ASKED,
        headers={**bearer(house.key()), "Idempotency-Key": name},
    )

    assert answer.status_code == 400
    assert answer.get_json()["error"]["param"] == "Idempotency-Key"


def test_a_stream_is_handed_on_as_one(house: House) -> None:
    answer = house.ask(house.key(), stream=True)

    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.headers["x-accel-buffering"] == "no"
    assert "content-length" not in answer.headers
    chunks = events(answer)
    text = "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks)
    assert text.endswith("how are you today?")


def test_a_stream_is_paid_before_its_reader_sees_the_end(house: House) -> None:
    key = house.key()
    stream = iter(wsgi_stream(house, key))

    for chunk in stream:
        if b"[DONE]" in chunk:
            break

    assert house.wallet(key) == {
        "api_key": key, "balance": CREDIT_MSAT - COST_MSAT, "reserved": 0,
    }  # fmt: skip


def test_whoever_asks_for_usage_in_a_stream_is_told_the_cost_with_it(house: House) -> None:
    answer = house.ask(house.key(), stream=True, stream_options={"include_usage": True})

    last = events(answer)[-1]
    assert last["choices"] == []
    assert last["usage"]["cost"]["total_msats"] == COST_MSAT
    assert last["usage"]["cost"]["total_usd"] == COST_MSAT / 1_000_000
    assert last["usage"]["cost_sats"] == 1
    assert last["cost"]["output_tokens"] == 15


def test_whoever_does_not_ask_sees_no_chunk_without_choices(house: House) -> None:
    answer = house.ask(house.key(), stream=True)

    assert all(chunk["choices"] for chunk in events(answer))
    assert house.upstream.requests[-1].document["stream_options"] == {"include_usage": True}


def test_a_stream_closed_before_it_was_read_leaves_no_hold(house: House) -> None:
    key = house.key()
    stream = wsgi_stream(house, key)

    held = house.open_holds()
    stream.close()

    assert held == 1
    assert house.open_holds() == 0
    assert house.wallet(key)["reserved"] == 0


@pytest.mark.parametrize("chunks_read", [1, 2, 5])
def test_a_client_that_hangs_up_pays_what_was_used_and_leaves_no_hold(
    house: House, chunks_read: int
) -> None:
    key = house.key()
    house.upstream.behave(Behaviour(chunk_delay_s=0.005))
    stream = wsgi_stream(house, key)

    reader = iter(stream)
    for _ in range(chunks_read):
        next(reader)
    stream.close()

    assert house.open_holds() == 0
    assert house.wallet(key) == {
        "api_key": key, "balance": CREDIT_MSAT - COST_MSAT, "reserved": 0,
    }  # fmt: skip


def test_the_test_clients_close_reaches_the_stream_too(house: House) -> None:
    answer = house.ask(house.key(), stream=True)

    answer.close()

    assert house.open_holds() == 0


def test_a_stream_with_a_status_that_has_no_body_is_closed_at_once(house: House) -> None:
    house.upstream.behave(Behaviour(status=204, headers={"content-type": "text/event-stream"}))

    answer = house.ask(house.key(), stream=True)

    assert answer.data == b""
    assert house.open_holds() == 0
