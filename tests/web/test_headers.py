from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING
from uuid import UUID

import pytest

from app.logs import JsonFormatter
from tests.web.conftest import bearer

if TYPE_CHECKING:
    from tests.web.conftest import House

ANY_PATHS = ["/v1/models", "/v1/wallet/info", "/nowhere", "/v1/chat/completions", "/"]


@pytest.mark.parametrize("path", ANY_PATHS)
def test_every_answer_carries_its_id_twice_errors_too(house: House, path: str) -> None:
    answer = house.client.get(path)

    assert UUID(answer.headers["x-request-id"]).version == 7
    assert answer.headers["x-routstr-request-id"] == answer.headers["x-request-id"]


def test_the_id_in_an_error_is_the_one_in_its_headers(house: House) -> None:
    answer = house.client.get("/nowhere")

    assert answer.get_json()["request_id"] == answer.headers["x-request-id"]


def test_two_requests_have_two_ids(house: House) -> None:
    first, second = (house.client.get("/v1/info") for _ in range(2))

    assert first.headers["x-request-id"] != second.headers["x-request-id"]


@pytest.mark.parametrize("path", ANY_PATHS)
def test_a_preflight_is_answered_on_every_path(house: House, path: str) -> None:
    answer = house.client.options(
        path,
        headers={
            "Origin": "https://chat.example",
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization, x-cashu",
        },
    )

    assert answer.status_code == 204
    assert answer.data == b""
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert answer.headers["Access-Control-Allow-Headers"] == "authorization, x-cashu"
    assert "POST" in answer.headers["Access-Control-Allow-Methods"]


def test_a_preflight_names_no_header_that_cannot_be_one(house: House) -> None:
    answer = house.client.options(
        "/v1/models", headers={"Access-Control-Request-Headers": "<script>"}
    )

    assert "Access-Control-Allow-Headers" not in answer.headers


def test_browsers_may_read_what_clients_need_but_send_no_cookies(house: House) -> None:
    answer = house.client.get("/v1/models", headers={"Origin": "https://chat.example"})

    exposed = answer.headers["Access-Control-Expose-Headers"].split(", ")
    assert {"x-request-id", "x-routstr-request-id", "x-cashu", "retry-after"} <= set(exposed)
    assert {"x-routstr-cost-msats", "x-ratelimit-remaining-tokens"} <= set(exposed)
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert "Access-Control-Allow-Credentials" not in answer.headers


def test_the_auditors_view_is_open_to_no_other_origin(house: House) -> None:
    plain, preflight = house.client.get("/admin/"), house.client.options("/admin/")

    assert "Access-Control-Allow-Origin" not in plain.headers
    assert "Access-Control-Allow-Origin" not in preflight.headers
    assert "Access-Control-Allow-Methods" not in preflight.headers


def test_a_request_is_one_line_in_the_log(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    key = house.key()
    caplog.clear()

    with caplog.at_level(logging.INFO):
        answer = house.ask(key)

    [record] = [record for record in caplog.records if record.getMessage() == "request"]
    line = json.loads(JsonFormatter().format(record))
    assert line["request_id"] == answer.headers["x-request-id"]
    assert line["route"] == "/v1/chat/completions"
    assert line["status"] == 200
    assert line["model"] == "maker/plain"
    assert line["charged_msat"] == int(answer.headers["x-routstr-cost-msats"])


def test_a_stream_is_written_down_when_it_has_ended(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    key = house.key()
    caplog.clear()

    with caplog.at_level(logging.INFO):
        answer = house.ask(key, stream=True)
        before = len(caplog.records)
        answer.get_data()
        answer.close()

    assert before == 0
    assert [record.getMessage() for record in caplog.records] == ["request"]


def test_no_line_holds_what_was_in_an_address(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    token = house.mint.fund(8)

    with caplog.at_level(logging.DEBUG, logger="app"):
        house.client.get("/v1/wallet/create", query_string={"initial_balance_token": token})
        house.client.get(f"/v1/wallet/{token}")
        house.client.get("/v1/wallet/info", headers=bearer(token))

    lines = [JsonFormatter().format(record) for record in caplog.records]
    assert lines
    assert not any("cashu" in line for line in lines)
