"""Several providers of one model: who is asked, what is held for it, and what is charged."""

from __future__ import annotations

import json
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from app.cashier.stream import MeteredStream
from app.gateways.upstream import (
    UpstreamBrokenError,
)
from domain.errors import InsufficientFundsError
from domain.hold import Held
from domain.key import Changes
from tests.cashier.counter import COST_MSAT, MAX_TOKENS, MODEL, answer, chat, usage
from tests.cashier.house import ALICE
from tests.cashier.routes import NOWHERE
from tests.cashier.street import READ_TIMEOUT_S, Street, book, route
from tests.doubles.upstream import Behaviour, UpstreamDouble

if TYPE_CHECKING:
    from tests.cashier.conftest import OpenCounter
    from tests.cashier.house import House

DEAR_COST_MSAT = 3 * COST_MSAT
UNKNOWN = {"error": {"message": "nope is not a valid model ID", "code": 400}}
HIDDEN = {"error": {"message": "Provider returned error", "code": 503}}
PAGE = "text/html; charset=utf-8"


def test_the_cheapest_is_asked_first_and_alone(street: Street) -> None:
    served = street.serve()

    assert served.headers["x-routstr-provider"] == "main"
    assert street.counter.charged().terms.route == "main"
    assert street.counter.charged().cost_msat == COST_MSAT
    assert street.dear.requests == []


FAILURES = {
    "it is down": Behaviour(status=503),
    "it fails": Behaviour(status=500),
    "it has too much to do": Behaviour(status=429),
    "it refuses our key": Behaviour(status=401),
    "our money there is used up": Behaviour(status=402),
    "it forbids": Behaviour(status=403),
    "it has moved": Behaviour(status=302),
    "it has no such path": Behaviour(status=404),
    "it knows no such model": Behaviour(status=400, body=json.dumps(UNKNOWN).encode()),
    "it fails behind a status of success": Behaviour(
        status=200, body=json.dumps(HIDDEN).encode()
    ),
    "it has a page for people": Behaviour(body=b"<html>", headers={"content-type": PAGE}),
    "it hangs up": Behaviour(hangs_up_unanswered=True),
    "it hangs": Behaviour(answer_delay_s=3 * READ_TIMEOUT_S),
}


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "streamed"])
@pytest.mark.parametrize("behaviour", FAILURES.values(), ids=FAILURES)
def test_another_one_serves_when_the_first_does_not(
    street: Street, funded: House, behaviour: Behaviour, *, stream: bool
) -> None:
    """M17, M45: held for the dearer, charged once, by the route that served."""
    street.cheap.behave(behaviour)
    call = chat(stream=stream)

    served = street.serve(call)
    if isinstance(served.body, MeteredStream):
        b"".join(served.body)
        served.body.close()

    assert served.status == 200
    assert served.headers["x-routstr-provider"] == "dear"
    charged = street.counter.charged()
    assert charged.terms.route == "dear"
    assert charged.terms.price_version == book(3).version
    assert charged.cost_msat == charged.from_hold_msat == DEAR_COST_MSAT
    assert charged.held_msat == max(street.ceilings_msat(call))
    assert len([event for event in funded.log() if isinstance(event, Held)]) == 1
    assert funded.available_msat() == 100_000 - DEAR_COST_MSAT
    assert (len(street.cheap.requests), len(street.dear.requests)) == (1, 1)


def test_another_one_serves_when_a_stream_breaks_before_its_first_byte(street: Street) -> None:
    street.cheap.behave(Behaviour(drops_after_chunks=0))

    stream = street.counter.stream()

    assert b"[DONE]" in b"".join(stream)
    assert street.counter.charged().terms.route == "dear"


def test_nobody_else_is_asked_once_the_client_has_read_a_byte(street: Street) -> None:
    """M45: what is delivered in part is charged in part, and not bought again."""
    street.cheap.behave(Behaviour(drops_after_chunks=3))

    told = b"".join(street.counter.stream())

    assert b"upstream_broken" in told
    assert street.counter.charged().terms.route == "main"
    assert street.dear.requests == []


def test_another_one_serves_when_a_plain_answer_breaks_off(street: Street) -> None:
    headers = {"content-length": "100000"}
    street.cheap.behave(Behaviour(body=answer(usage=usage(3, 14)), headers=headers))

    street.serve()

    assert street.counter.charged().terms.route == "dear"


@pytest.mark.parametrize("status", [400, 413, 422])
def test_what_is_wrong_with_the_request_is_told_at_once(street: Street, status: int) -> None:
    street.cheap.behave(Behaviour(status=status))

    served = street.serve()

    assert served.status == status
    assert street.counter.released().reason == f"upstream answered {status}"
    assert street.dear.requests == []


def test_when_nobody_serves_the_client_reads_the_last_refusal(
    street: Street, funded: House
) -> None:
    street.cheap.behave(Behaviour(status=500))
    street.dear.behave(Behaviour(status=503))

    served = street.serve()

    assert served.status == 503
    assert street.counter.released().reason == "upstream answered 503"
    assert funded.available_msat() == 100_000


def test_a_refusal_says_more_than_silence(street: Street) -> None:
    street.cheap.behave(Behaviour(status=503))
    street.dear.behave(Behaviour(hangs_up_unanswered=True))

    assert street.serve().status == 503


def test_when_nobody_answers_that_is_told(street: Street, funded: House) -> None:
    street.cheap.behave(Behaviour(hangs_up_unanswered=True))
    street.dear.behave(Behaviour(hangs_up_unanswered=True))

    with pytest.raises(UpstreamBrokenError):
        street.serve()

    assert street.counter.released().reason == "not served: UpstreamBrokenError"
    assert funded.available_msat() == 100_000


def test_who_cannot_pay_for_the_dearer_is_served_by_the_cheaper(
    street: Street, funded: House
) -> None:
    """What is not covered is not asked, also when the cheaper one fails."""
    call = chat(max_tokens=15_000)
    cheap_msat, dear_msat = street.ceilings_msat(call)
    assert cheap_msat < funded.available_msat() < dear_msat

    street.serve(call)
    street.cheap.behave(Behaviour(status=500))
    failed = street.serve(chat(max_tokens=15_000))

    assert street.counter.held().amount_msat == cheap_msat
    assert street.counter.charged().cost_msat == COST_MSAT
    assert failed.status == 500
    assert street.dear.requests == []


def test_a_key_whose_limit_is_below_the_dearer_is_served_by_the_cheaper(
    street: Street, funded: House
) -> None:
    call = chat()
    cheap_msat, dear_msat = street.ceilings_msat(call)
    limit_msat = (cheap_msat + dear_msat) // 2
    funded.ledger.set_key(ALICE, ALICE, Changes(limit_msat=limit_msat))

    street.serve(call)

    assert street.counter.held().amount_msat == cheap_msat
    assert street.counter.charged().terms.route == "main"


def test_who_can_pay_for_none_is_told_what_the_dearest_needs(street: Street) -> None:
    call = chat(max_tokens=100_000)

    with pytest.raises(InsufficientFundsError) as refusal:
        street.serve(call)

    assert refusal.value.required_msat == max(street.ceilings_msat(call))


def test_no_further_provider_is_asked_when_it_is_late(
    open_counter: OpenCounter, upstream: UpstreamDouble, dear: UpstreamDouble
) -> None:
    routes = [route("main", 1, upstream.base_url), route("dear", 3, dear.base_url)]
    counter = open_counter(routes=routes)
    now_s = iter((0.0, 31.0))
    counter.charges._clock = lambda: next(now_s)
    upstream.behave(Behaviour(status=500))

    served = counter.serve(chat())

    assert served.status == 500
    assert dear.requests == []


def test_only_so_many_are_asked(open_counter: OpenCounter, upstream: UpstreamDouble) -> None:
    with ExitStack() as stack:
        doubles = [stack.enter_context(UpstreamDouble()) for _ in range(3)]
        addresses = [double.base_url for double in (upstream, *doubles)]
        routes = [route(f"p{n}", n, address) for n, address in enumerate(addresses, 1)]
        counter = open_counter(routes=routes)
        for double in (upstream, *doubles):
            double.behave(Behaviour(status=500))
        call = chat()

        counter.serve(call)

        assert [len(double.requests) for double in doubles] == [1, 1, 0]
        # The third is the dearest that might have been asked; the fourth is not held for.
        assert counter.held().amount_msat == 3 * (counter.ceiling_msat(call) // 4)


def test_among_equals_the_lowest_priority_is_first(
    open_counter: OpenCounter, dear: UpstreamDouble
) -> None:
    routes = [route("main", 1, NOWHERE, priority=1), route("z", 1, dear.base_url)]
    counter = open_counter(routes=routes)

    counter.serve(chat())

    assert counter.charged().terms.route == "z"


def test_each_provider_is_asked_by_its_own_name_for_the_model(
    open_counter: OpenCounter, upstream: UpstreamDouble, dear: UpstreamDouble
) -> None:
    entry = {"id": MODEL, "forwarded_model_id": "vendor/4o-mini"}
    routes = [
        route("main", 1, upstream.base_url),
        route("dear", 3, dear.base_url, entry),
    ]
    counter = open_counter(routes=routes)
    upstream.behave(Behaviour(status=500))

    counter.serve(chat(model="mini"))

    assert upstream.requests[-1].document["model"] == "mini"
    assert dear.requests[-1].document["model"] == "vendor/4o-mini"
    assert dear.requests[-1].document["max_tokens"] == MAX_TOKENS
    assert counter.charged().terms.model == MODEL


@pytest.mark.parametrize("stream", [False, True])
def test_the_client_is_told_who_served_and_no_more(street: Street, *, stream: bool) -> None:
    said = json.loads(answer(usage=usage(3, 14)))
    street.cheap.behave(Behaviour(body=json.dumps({**said, "provider": "Secret Inc"}).encode()))
    if stream:
        street.cheap.behave(Behaviour())
    options: dict[str, Any] = {"stream": True, "stream_options": {"include_usage": True}}

    served = street.serve(chat(**options) if stream else chat())
    body = served.body if isinstance(served.body, bytes) else b"".join(served.body)

    assert served.headers["x-routstr-provider"] == "main"
    assert b'"provider":"main"' in body.replace(b": ", b":")
    assert b"Secret Inc" not in body
    assert b"127.0.0.1" not in body
