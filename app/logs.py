"""What operators read: JSON lines on stdout, with nothing in them that is worth stealing."""

from __future__ import annotations

import logging
import logging.config
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec

REDACTIONS = (
    # Case matters for tokens only in the letter of the version: `cashuA`, `cashuB`.
    (re.compile(r"(?i)\bbearer\s+[^\s\"'\\,;]+"), "[credential]"),
    (re.compile(r"(?i)cashu[AB][A-Za-z0-9_\-+/=%]+"), "[token]"),
    (re.compile(r"(?i)creq[AB][A-Za-z0-9_\-+/=%]+"), "[payment request]"),
    (re.compile(r"(?<![A-Za-z0-9])sk-[A-Za-z0-9_\-]+"), "[key]"),
)
"""Whatever is a key or money to whom reads it, and what is written in its place."""
SIGNS = ("bearer", "cashu", "creq", "sk-")
"""One of these, in small letters, is in all that is redacted."""


def redact(text: str) -> str:
    """`text` without tokens, payment requests, API keys and Authorization values.

    >>> redact("GET /v1/balance/create?initial_balance_token=cashuBo2Ftd2h0dHA failed")
    'GET /v1/balance/create?initial_balance_token=[token] failed'
    """
    small = text.lower()
    if not any(sign in small for sign in SIGNS):
        return text
    for pattern, instead in REDACTIONS:
        text = pattern.sub(instead, text)
    return text


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time (RFC 3339, UTC), level, logger, message, then the fields.

    The whole line is redacted, not its parts: a token in a traceback or in a field is as much
    worth as one in the message.
    """

    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created, UTC)
        line: dict[str, Any] = {
            "time": time.isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return redact(msgspec.json.encode(line, enc_hook=str).decode())


def log_config(level: str) -> dict[str, Any]:
    """Describe the logs of all our processes, as `logging.config` and gunicorn take it."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"json": {"()": JsonFormatter}},
        "handlers": {
            "stdout": {
                "class": "logging.StreamHandler",
                "stream": "ext://sys.stdout",
                "formatter": "json",
            },
        },
        "root": {"level": level, "handlers": ["stdout"]},
        "loggers": {
            "gunicorn.error": {"level": level, "handlers": ["stdout"], "propagate": False},
            "gunicorn.access": {"level": level, "handlers": [], "propagate": False},
            # It tells each job's start and end at INFO, every few seconds.
            "apscheduler": {"level": "WARNING"},
        },
    }


def set_up_logs(level: str) -> None:
    """Send every logger of this process to stdout as JSON lines, from `level` upwards."""
    # Where a line was written, in which thread and process, no line of ours tells: to find
    # it out takes as long as to write it ("Optimization" in Python's logging HOWTO).
    logging._srcfile = None  # noqa: SLF001
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging.config.dictConfig(log_config(level))


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestLine:
    """All that an operator is told about one request, once, when it has ended.

    The request id is the search key into the events, where the money is explained.
    """

    request_id: str
    method: str
    route: str
    status: int
    duration_ms: int
    first_chunk_ms: int | None = None
    account_id: str | None = None
    model: str | None = None
    charged_msat: int | None = None


FIELDS = tuple(RequestLine.__dataclass_fields__)


def log_request(logger: logging.Logger, line: RequestLine) -> None:
    """Write the canonical line of a request; what does not apply to it is left out."""
    found = ((name, getattr(line, name)) for name in FIELDS)
    fields = {name: value for name, value in found if value is not None}
    logger.info("request", extra={"fields": fields})
