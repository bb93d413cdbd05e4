"""What the upstream answered, on its way to the client: metered and charged for."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from app.cashier.attempt import Refusal
from app.cashier.costs import PROVIDER_HEADER, cost_headers, told
from app.cashier.documents import parsed, written
from app.cashier.meter import SoundMeter, StreamMeter
from app.cashier.paths import MESSAGES, PATHS
from app.cashier.stream import MeteredStream
from app.cashier.usage import seconds_in, usage_of
from app.gateways.upstream import UpstreamBrokenError
from domain.bounds import Usage

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.cashier.bill import Bill, Call
    from app.cashier.stream import Meter
    from app.gateways.upstream import UpstreamAnswer
    from domain.bounds import Kind

ANSWER_BYTES_MAX = 64 * 1024 * 1024
PAGE = "text/html"


@dataclass(frozen=True, slots=True)
class Served:
    """The answer for the client; a stream is to be closed, whether or not it was read."""

    status: int
    headers: dict[str, str]
    body: bytes | MeteredStream


def answered(
    answer: UpstreamAnswer,
    call: Call,
    bill: Bill,
    drain_s: float,
    clock: Callable[[], float] = time.monotonic,
) -> Served | Refusal:
    """Return what the client is answered: a stream that settles its bill, or all at once.

    Waits until the answer has begun: until then another provider can be asked. Raises
    `UpstreamBrokenError` if it does not, or if it is for no program, `AnswerTooLongError`.
    """
    if answer.headers.get("content-type", "").startswith(PAGE):
        answer.close()
        raise UpstreamBrokenError("The upstream answered with a page for people.")
    meter = meter_of(answer, call)
    if meter is None:
        return _whole(answer, call, bill)
    try:
        answer.wait()
    except BaseException:
        answer.close()
        raise
    stream = MeteredStream(answer, meter, bill, drain_s, clock)
    return Served(answer.status, {**answer.headers, PROVIDER_HEADER: bill.provider}, stream)


def meter_of(answer: UpstreamAnswer, call: Call) -> Meter | None:
    """Return what meters the answer if it is a stream, None if it comes all at once."""
    kind = answer.headers.get("content-type", "")
    is_speech = PATHS[call.path].kind == "speech"
    if kind.startswith("text/event-stream") and (call.stream or is_speech):
        if call.translation is not None:
            return call.translation.meter()
        invited = usage_invited(call.document)
        return StreamMeter(usage_invited=invited, is_anthropic=call.path == MESSAGES)
    return SoundMeter() if is_speech and not kind.startswith("application/json") else None


def usage_invited(document: Mapping[str, Any]) -> bool:
    """Tell whether a client asked for the usage chunk of its stream."""
    options = document.get("stream_options")
    return isinstance(options, Mapping) and options.get("include_usage") is True


def _whole(answer: UpstreamAnswer, call: Call, bill: Bill) -> Served | Refusal:
    try:
        body = answer.read_all(ANSWER_BYTES_MAX)
    finally:
        answer.close()
    document = parsed(body)
    refusal = Refusal.hidden_in(document, answer.headers, body)
    if refusal is not None:
        return refusal
    usage = usage_in(document, PATHS[call.path].kind)
    shown = document
    if call.translation is not None:
        # Before it is charged: what cannot be said to the client was not served.
        shown = call.translation.answer(document, usage)
    body, more = settled(body, document, call.path, bill, shown=shown, usage=usage)
    headers = {**answer.headers, **more, PROVIDER_HEADER: bill.provider}
    return Served(answer.status, headers, body)


def settled(
    body: bytes,
    document: object,
    path: str,
    bill: Bill,
    *,
    shown: object,
    usage: Usage | None,
) -> tuple[bytes, dict[str, str]]:
    """Charge for the answer `body`, which says `document`, or release its hold if nothing.

    Return what is `shown` of it with its cost where it can be told there, and the headers
    that tell it.
    """
    if not body or says_nothing(document):
        bill.release("empty answer")
        return body if shown is document else written(shown), {}
    cost = bill.charge(usage, 0 if PATHS[path].is_wordless else len(body))
    if cost is None:
        return body if shown is document else written(shown), {}
    if isinstance(shown, dict):
        body = told(shown, bill.told(cost, usage))
    return body, cost_headers(cost, bill.rate)


def usage_in(document: object, kind: Kind) -> Usage | None:
    """Return the usage that an answer tells; to count tokens uses none."""
    if kind == "count":
        return Usage()
    usage = usage_of(document)
    if kind == "images":
        return with_images(usage, document)
    if kind == "recording" and usage is None and isinstance(document, Mapping):
        seconds = seconds_in(document.get("duration"))
        return None if seconds is None else Usage(seconds=seconds)
    return usage


def with_images(usage: Usage | None, document: object) -> Usage | None:
    """Return the usage of an answer that is images: they count, whether or not it is told."""
    images = document.get("data") if isinstance(document, Mapping) else None
    if not isinstance(images, list):
        return usage
    return replace(usage or Usage(), images=len(images))


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
