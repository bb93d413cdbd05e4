"""A paid call: money is held, the upstream asked, its answer metered, the cost charged."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from app.cashier.bill import IMAGES, WORDLESS, Bill, Call, Policy, bounds_of
from app.cashier.costs import cost_document, cost_headers, told
from app.cashier.meter import StreamMeter, usage_of
from app.cashier.stream import MeteredStream
from domain.bounds import Usage

if TYPE_CHECKING:
    from app.cashier.quote import Quotes
    from app.gateways.upstream import Upstream, UpstreamAnswer
    from domain.ledger import Ledger

ANSWER_BYTES_MAX = 64 * 1024 * 1024
ERROR_BYTES_MAX = 256 * 1024
# Elsewhere streams tell their usage unasked, and an option they do not know is an error.
ASKED_FOR_USAGE = frozenset({"/chat/completions", "/completions"})


@dataclass(frozen=True, slots=True)
class Served:
    """The answer for the client; a stream is to be closed, whether or not it was read."""

    status: int
    headers: dict[str, str]
    body: bytes | MeteredStream


class Charges:
    """Serves paid calls at the price they were admitted at."""

    def __init__(
        self, ledger: Ledger, upstream: Upstream, quotes: Quotes, policy: Policy
    ) -> None:
        self._ledger = ledger
        self._upstream = upstream
        self._quotes = quotes
        self._policy = policy

    def serve(self, call: Call) -> Served:
        """Forward `call` at its account's cost; return the answer as it arrives.

        Raises `PricingError`, `NoRateError`, `UnknownAccountError`,
        `InsufficientFundsError`, `RequestInProgressError`, `RequestRepeatedError`,
        `RequestChangedError` before anything is held, `GatewayError` afterwards; then, and
        when the upstream answers with an error or with nothing, everything is given back.
        """
        quote = self._quotes.quote(call.model)
        bounds = bounds_of(call.path, call.document, len(call.body), quote.tariff.price)
        bill = Bill(self._ledger, call, quote, bounds, self._policy)
        bill.hold()
        try:
            return self._forward(call, bill)
        except BaseException as error:
            bill.release(f"not served: {type(error).__name__}")
            raise

    def _forward(self, call: Call, bill: Bill) -> Served:
        body = with_usage_asked(call) if call.stream else call.body
        answer = self._upstream.post(call.path, body, call.headers)
        kind = answer.headers.get("content-type", "")
        if answer.status >= HTTPStatus.MULTIPLE_CHOICES:
            return _failed(answer, bill)
        if call.stream and kind.startswith("text/event-stream"):
            meter = StreamMeter(usage_invited=usage_invited(call.document))
            stream = MeteredStream(answer, meter, bill, self._policy.drain_s)
            return Served(answer.status, answer.headers, stream)
        return _whole(answer, call.path, bill)


def _failed(answer: UpstreamAnswer, bill: Bill) -> Served:
    """Pass an upstream's error, or its redirect, on; nothing is charged for it."""
    try:
        body = answer.read_all(ERROR_BYTES_MAX)
    finally:
        answer.close()
    bill.release(f"upstream answered {answer.status}")
    return Served(answer.status, answer.headers, body)


def _whole(answer: UpstreamAnswer, path: str, bill: Bill) -> Served:
    try:
        body = answer.read_all(ANSWER_BYTES_MAX)
    finally:
        answer.close()
    document = parsed(body)
    usage = with_images(usage_of(document), document) if path == IMAGES else usage_of(document)
    if not body or says_nothing(document):
        bill.release("empty answer")
        return Served(answer.status, answer.headers, body)
    cost = bill.charge(usage, 0 if path in WORDLESS else len(body))
    if cost is None:
        return Served(answer.status, answer.headers, body)
    if isinstance(document, dict):
        body = told(document, cost_document(cost, usage, bill.rate))
    return Served(answer.status, {**answer.headers, **cost_headers(cost, bill.rate)}, body)


def with_images(usage: Usage | None, document: object) -> Usage | None:
    """Return the usage of an answer that is images: they count, whether or not it is told."""
    images = document.get("data") if isinstance(document, Mapping) else None
    if not isinstance(images, list):
        return usage
    return replace(usage or Usage(), images=len(images))


def parsed(body: bytes) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def says_nothing(document: object) -> bool:
    """Tell whether an answer has no choice, item or image with anything in it."""
    if not isinstance(document, Mapping):
        return False
    if not isinstance(document.get("choices"), list):
        return [] in (document.get("output"), document.get("data"))
    return not any(_said(choice) for choice in document["choices"])


def _said(choice: object) -> bool:
    if not isinstance(choice, Mapping):
        return False
    message = choice.get("message")
    parts = {
        name: value
        for name, value in (message if isinstance(message, Mapping) else choice).items()
        if name not in {"role", "index", "finish_reason", "logprobs"}
    }
    return any(parts.values())


def usage_invited(document: Mapping[str, Any]) -> bool:
    """Tell whether a client asked for the usage chunk of its stream."""
    options = document.get("stream_options")
    return isinstance(options, Mapping) and options.get("include_usage") is True


def with_usage_asked(call: Call) -> bytes:
    """Return the body that asks a chat's upstream for usage, as its client did or not."""
    if call.path not in ASKED_FOR_USAGE or usage_invited(call.document):
        return call.body
    options = call.document.get("stream_options")
    kept = dict(options) if isinstance(options, Mapping) else {}
    asked = {**call.document, "stream_options": {**kept, "include_usage": True}}
    return json.dumps(asked, ensure_ascii=False).encode()
