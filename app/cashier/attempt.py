"""One attempt at one provider: what its answer says of it, and whether another is asked."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING

from app.cashier.documents import parsed

if TYPE_CHECKING:
    from datetime import datetime

    from app.gateways.breaker import Breaker
    from app.gateways.upstream import UpstreamAnswer

ERROR_BYTES_MAX = 256 * 1024
RETRY_AFTER_DEFAULT_S = 2.0
STATUSES = range(HTTPStatus.BAD_REQUEST, 600)
NUMBER = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")

# What a provider thinks of our key and our money there.
OUR_KEY = frozenset({401, 402, 407})
# It has no such model, or not this part of the API; another one may.
NOT_THERE = frozenset({404, 405, 501})
# It did not do what it might have done.
TRIED = frozenset({403, 408})
UNKNOWN_MODEL = re.compile(
    r"(?i)model[_ ]not[_ ](found|supported|available)|not a valid model|unknown model"
    r"|invalid[_ ]model|model\b.{0,120}\b(does not exist|not found|is not available)"
)
UNKNOWN_URL = "unknown_url"
UNKNOWN_ADDRESS = re.compile(
    r"(?is)((file|page|path|resource|route|endpoint) )?not found\.?"
    r"|(invalid|unknown) (request )?url\b.*|unexpected endpoint\b.*"
)
"""How a server says that it has not this part of the API, and nothing of the request."""
# What an answer has in it, in any dialect. One that has an error and none of these is none.
ANSWERS = ("choices", "content", "data", "output", "results", "text", "usage")


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a provider answered instead of serving; its client reads it if nobody serves."""

    status: int
    headers: dict[str, str]
    body: bytes

    @classmethod
    def read(cls, answer: UpstreamAnswer) -> Refusal:
        """Read an answer that is none; raises `UpstreamBrokenError`, `AnswerTooLongError`."""
        try:
            return cls(answer.status, answer.headers, answer.read_all(ERROR_BYTES_MAX))
        finally:
            answer.close()

    @classmethod
    def hidden_in(
        cls, document: object, headers: dict[str, str], body: bytes
    ) -> Refusal | None:
        """Return the refusal that was sent with a status of success, `None` if it is none.

        OpenRouter does so once it has begun to work, and LM Studio at every address that it
        does not have.
        """
        if not isinstance(document, Mapping) or not document.get("error"):
            return None
        if any(document.get(name) is not None for name in ANSWERS):
            return None
        error = _error_in(document)
        code, message = error.get("code"), error.get("message")
        if isinstance(message, str) and UNKNOWN_ADDRESS.fullmatch(message):
            return cls(HTTPStatus.NOT_FOUND, headers, body)
        known = code if isinstance(code, int) and code in STATUSES else HTTPStatus.BAD_GATEWAY
        return cls(known, headers, body)

    @property
    def is_of_the_provider(self) -> bool:
        """Tell whether another provider may serve what this one refused."""
        return (
            self.status < HTTPStatus.BAD_REQUEST
            or self.status in OUR_KEY | NOT_THERE | TRIED
            or self.status == HTTPStatus.TOO_MANY_REQUESTS
            or self.status >= HTTPStatus.INTERNAL_SERVER_ERROR
            or self._knows_no_such_model
        )

    def tell(self, breaker: Breaker, model: str, now: datetime) -> None:
        """Tell a provider's `breaker` what the answer, of `now`, says of it."""
        if self.status == HTTPStatus.TOO_MANY_REQUESTS:
            rest_s = retry_after_s(self.headers, now)
            breaker.exhausted(model, RETRY_AFTER_DEFAULT_S if rest_s is None else rest_s)
        elif self.status in OUR_KEY:
            breaker.failed(is_away=True)
        elif self.is_of_the_provider and not self._is_not_there:
            breaker.failed(is_away=False)
        else:
            breaker.succeeded()

    @property
    def is_of_the_address(self) -> bool:
        """Tell whether the provider has not this part of the API, whatever is asked."""
        return self.status in NOT_THERE and is_of_the_address(_error_of(self.body))

    @property
    def _is_not_there(self) -> bool:
        return self.status in NOT_THERE or self._knows_no_such_model

    @property
    def _knows_no_such_model(self) -> bool:
        if self.status != HTTPStatus.BAD_REQUEST:
            return False
        error = _error_of(self.body)
        return any(
            isinstance(error.get(name), str) and UNKNOWN_MODEL.search(str(error[name])[:2000])
            for name in ("code", "message", "type")
        )


def retry_after_s(headers: Mapping[str, str], now: datetime) -> float | None:
    """Return how long an answer asks to be left alone, in seconds (RFC 9110, 10.2.3).

    >>> from datetime import UTC, datetime
    >>> now = datetime(2026, 1, 2, tzinfo=UTC)
    >>> retry_after_s({"retry-after": "Fri, 02 Jan 2026 00:01:00 GMT"}, now)
    60.0
    >>> retry_after_s({"retry-after-ms": "1500"}, now), retry_after_s({}, now)
    (1.5, None)
    """
    milliseconds = headers.get("retry-after-ms", "")
    if NUMBER.fullmatch(milliseconds):
        return float(milliseconds) / 1000
    text = headers.get("retry-after", "")
    if NUMBER.fullmatch(text):
        return float(text)
    try:
        return (parsedate_to_datetime(text) - now).total_seconds()
    except (TypeError, ValueError):
        return None


def is_of_the_address(error: Mapping[str, object]) -> bool:
    """Tell whether an error that says "not there" means the address, and not the model."""
    message = error.get("message")
    if error.get("code") == UNKNOWN_URL or not isinstance(message, str):
        return True
    return not message or UNKNOWN_ADDRESS.fullmatch(message) is not None


def _error_of(body: bytes) -> Mapping[str, object]:
    document = parsed(body)
    return _error_in(document) if isinstance(document, dict) else {}


def _error_in(document: Mapping[str, object]) -> Mapping[str, object]:
    error = document.get("error")
    if isinstance(error, str):
        return {"message": error}
    return error if isinstance(error, dict) else {}
