"""The log for operators: one JSON object a line, and nothing in it worth stealing."""

from __future__ import annotations

import json
import logging
import logging.config
import sys
from typing import TYPE_CHECKING, Any

import pytest

from app.logs import JsonFormatter, RequestLine, log_config, log_request, redact

if TYPE_CHECKING:
    from collections.abc import Iterator

TOKEN_V3 = "cashuAeyJ0b2tlbiI6W3sibWludCI6Imh0dHBzOi8v_-=="
TOKEN_V4 = "cashuBo2FteCJodHRwczovL21pbnQ"
KEY = "sk-4f3c2b1a"


class Lines(logging.Handler):
    """Keeps what was written, line by line, as a terminal would have shown it."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(JsonFormatter())
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))

    @property
    def last(self) -> dict[str, Any]:
        line: dict[str, Any] = json.loads(self.lines[-1])
        return line


@pytest.fixture
def lines() -> Lines:
    return Lines()


@pytest.fixture
def logger(lines: Lines) -> Iterator[logging.Logger]:
    logger = logging.getLogger("tests.house")
    logger.setLevel(logging.DEBUG)
    logger.addHandler(lines)
    yield logger
    logger.removeHandler(lines)


def test_a_line_is_a_json_object(logger: logging.Logger, lines: Lines) -> None:
    logger.warning("the mint %s is slow", "https://mint.example")

    time = lines.last.pop("time")
    assert lines.last | {"time": time} == {
        "time": time,
        "level": "warning",
        "logger": "tests.house",
        "message": "the mint https://mint.example is slow",
    }
    assert time.endswith("+00:00")


def test_a_message_of_many_lines_stays_one_line(logger: logging.Logger, lines: Lines) -> None:
    logger.info("first\nsecond")

    assert "\n" not in lines.lines[-1]


def test_a_traceback_is_kept_and_redacted(logger: logging.Logger, lines: Lines) -> None:
    try:
        int(KEY)
    except ValueError:
        logger.exception("not served")

    assert lines.last["traceback"].startswith("Traceback")
    assert lines.last["traceback"].endswith("base 10: '[key]'")


@pytest.mark.parametrize(
    ("said", "written"),
    [
        (f"token={TOKEN_V3}&x=1", "token=[token]&x=1"),
        (f"'{TOKEN_V4}'", "'[token]'"),
        (TOKEN_V4.upper(), "[token]"),
        (f"key {KEY}, refused", "key [key], refused"),
        ("pay creqApWF0gaNhdGVub3N0cmFheA now", "pay [payment request] now"),
        (f"Authorization: Bearer {KEY}", "Authorization: [credential]"),
        ("{'Authorization': 'bearer abc.def'}", "{'Authorization': '[credential]'}"),
        ("a task-list with risk-free items", "a task-list with risk-free items"),
        ("the Cashu mint answered", "the Cashu mint answered"),
    ],
)
def test_bearer_secrets_are_not_written(said: str, written: str) -> None:
    assert redact(said) == written


def test_a_secret_in_a_field_is_not_written(logger: logging.Logger, lines: Lines) -> None:
    logger.info("odd", extra={"fields": {"header": [f"Bearer {KEY}"], "token": TOKEN_V4}})

    assert lines.last["header"] == ["[credential]"]
    assert lines.last["token"] == "[token]"


def test_a_request_is_one_canonical_line(logger: logging.Logger, lines: Lines) -> None:
    line = RequestLine(
        request_id="r1",
        method="POST",
        route="/v1/chat/completions",
        status=200,
        duration_ms=812,
        account_id="a1",
        model="gpt-4o-mini",
        charged_msat=1234,
    )

    log_request(logger, line)

    assert len(lines.lines) == 1
    assert {name: lines.last[name] for name in ("message", "status", "charged_msat")} == {
        "message": "request",
        "status": 200,
        "charged_msat": 1234,
    }


def test_what_does_not_apply_to_a_request_is_left_out(
    logger: logging.Logger, lines: Lines
) -> None:
    log_request(
        logger,
        RequestLine(
            request_id="r2", method="GET", route="/v1/models", status=200, duration_ms=1
        ),
    )

    assert {"account_id", "model", "charged_msat"}.isdisjoint(lines.last)


def test_the_configuration_writes_to_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    config = log_config("WARNING")
    handler = config["handlers"]["stdout"]
    configurator = logging.config.DictConfigurator({})
    formatter = configurator.configure_formatter(config["formatters"]["json"])

    stream = configurator.convert(handler["stream"])

    assert isinstance(formatter, JsonFormatter)
    assert stream is sys.stdout
    assert config["root"] == {"level": "WARNING", "handlers": ["stdout"]}
