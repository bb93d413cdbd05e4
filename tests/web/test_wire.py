from __future__ import annotations

import json
import logging

import pytest
from gunicorn.http import errors as http

from app.web.refusals import CrowdedError, HeadLateError
from app.web.wire import FAULTS, INTERNAL, told

SECRET = "sk-" + "5" * 40


def every_fault() -> list[Exception]:
    """Return each error of a request that gunicorn knows, with a credential in its data."""
    with_size = {http.LimitRequestLine, http.InvalidHTTPVersion}
    kinds = (
        kind
        for kind in vars(http).values()
        if isinstance(kind, type) and issubclass(kind, http.ParseException)
    )
    return [
        kind(9, 9) if kind is http.LimitRequestLine
        else kind((9, 9)) if kind in with_size
        else kind() if kind is http.InvalidSchemeHeaders
        else kind(SECRET)
        for kind in kinds
        if kind is not http.InvalidH2CPreface and FAULTS.get(kind) is not INTERNAL
    ]  # fmt: skip


@pytest.mark.parametrize("error", every_fault(), ids=lambda error: type(error).__name__)
def test_no_answer_and_no_log_line_repeats_what_was_sent(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        head, _, body = told(error).partition(b"\r\n\r\n")

    document = json.loads(body)
    assert f"Content-Length: {len(body)}\r\n".encode() in head + b"\r\n"
    assert document["error"] == document["detail"]["error"]
    assert document["request_id"].encode() in head
    assert SECRET.encode() not in head + body
    assert len(caplog.records) == 1
    assert SECRET not in str(vars(caplog.records[0]))


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (http.LimitRequestLine(9, 9), b"HTTP/1.1 414 Request-URI Too Long"),
        (http.LimitRequestHeaders(""), b"HTTP/1.1 431 Request Header Fields Too Large"),
        (HeadLateError(), b"HTTP/1.1 408 Request Timeout"),
        (CrowdedError(), b"HTTP/1.1 503 Service Unavailable"),
        (http.InvalidResponseHeader(""), b"HTTP/1.1 500 Internal Server Error"),
        (ZeroDivisionError(), b"HTTP/1.1 500 Internal Server Error"),
    ],
)
def test_each_has_its_status(error: Exception, line: bytes) -> None:
    assert told(error).split(b"\r\n")[0] == line


def test_who_is_sent_away_for_the_crowd_is_told_when_to_come_back() -> None:
    assert b"\r\nRetry-After: 2\r\n" in told(CrowdedError())
