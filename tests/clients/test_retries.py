"""What SDKs try again by themselves is charged once, and what breaks off says so."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest

from domain.hold import Charged, Released
from tests.clients.books import COST_MSAT, MODEL, Customer, of
from tests.clients.sdks import SDKS, sdks
from tests.doubles.upstream import Behaviour

if TYPE_CHECKING:
    from tests.clients.upstream import ScriptedUpstream

pytestmark = [pytest.mark.clients, pytest.mark.timeout(180)]

NUMBERS = itertools.count(1)


@sdks()
@pytest.mark.parametrize("status", [429, 503])
def test_what_the_upstream_did_not_serve_is_tried_again_and_charged_once(
    status: int, customer: Customer, upstream: ScriptedUpstream
) -> None:
    upstream.next(Behaviour(status=status, headers={"retry-after": "1"}))

    with customer.spends(COST_MSAT, releases=1):
        said = customer.chat("plain")

    assert said["cost_msat"] == COST_MSAT


@sdks("waits")
@pytest.mark.parametrize("is_named", [True, False], ids=["named", "nameless"])
def test_an_answer_that_came_too_late_is_charged_once(
    customer: Customer, upstream: ScriptedUpstream, *, is_named: bool
) -> None:
    """The SDK hangs up and asks again, by a name of the request's or only by its bytes."""
    upstream.next(Behaviour(answer_delay_s=3.0))
    number = next(NUMBERS)
    name = {"Idempotency-Key": f"late-{number}"} if is_named else {}
    asked = len(upstream.requests)

    with customer.spends(COST_MSAT):
        raised = customer.do(
            "plain",
            model=MODEL,
            # Nobody has asked this before: it has as many words as the usual question.
            question=f"please count to {number}",
            headers=name,
            timeout_s=1.5,
            # On a slow machine more of them may come too late.
            retries=5,
        )["raised"]

    assert raised["class"] == SDKS[customer.name].repeated
    assert (raised["status"], raised["code"]) == (409, "request_repeated")
    assert len(upstream.requests) == asked + 1


@sdks()
def test_a_stream_that_breaks_off_is_an_error_and_no_more_than_was_held(
    customer: Customer, upstream: ScriptedUpstream
) -> None:
    upstream.next(Behaviour(drops_after_chunks=3))
    position, before = customer.books.head(), customer.msat()

    raised = customer.chat("stream", usage=True)["raised"]

    events = customer.books.since(position, customer.account_id)
    (charged,) = of(events, Charged)
    assert raised["class"] == SDKS[customer.name].broken
    assert "upstream" in raised["message"].lower()
    assert of(events, Released) == []
    assert charged.usage.estimated
    assert charged.cost_msat <= charged.held_msat
    assert customer.msat() == (before[0] - charged.cost_msat, 0)
