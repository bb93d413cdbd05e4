"""Providers that are left alone for a while, and clients who cannot pay for the dearer one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from app.cashier.sizing import TokenSizes
from app.cashier.ticket import Tickets
from app.gateways.breaker import FAILURES_MAX
from app.gateways.upstream import (
    UpstreamsExhaustedError,
    UpstreamsRestingError,
    UpstreamUnreachableError,
)
from tests.cashier.counter import chat
from tests.cashier.routes import NOWHERE
from tests.cashier.street import Street, route
from tests.doubles.upstream import Behaviour, UpstreamDouble

if TYPE_CHECKING:
    from tests.cashier.conftest import OpenCounter
    from tests.cashier.counter import Counter
    from tests.cashier.house import House, MoodyMint


def test_a_provider_that_cannot_be_reached_is_left_out_until_it_has_rested(
    open_counter: OpenCounter, dear: UpstreamDouble, caplog: Any
) -> None:
    counter = open_counter(routes=[route("main", 1, NOWHERE), route("dear", 3, dear.base_url)])
    with caplog.at_level("INFO"):
        for _ in range(FAILURES_MAX):
            counter.serve(chat())
    assert caplog.text.count("not served") == FAILURES_MAX
    caplog.clear()

    with caplog.at_level("INFO"):
        counter.serve(chat())

    assert "not served" not in caplog.text
    assert len(dear.requests) == FAILURES_MAX + 1


def test_a_house_whose_only_provider_is_gone_says_so_at_once(
    open_counter: OpenCounter, funded: House
) -> None:
    counter = open_counter(NOWHERE)
    for _ in range(FAILURES_MAX):
        with pytest.raises(UpstreamUnreachableError):
            counter.serve(chat())
    head = funded.store.head()

    with pytest.raises(UpstreamsRestingError) as refusal:
        counter.serve(chat())

    assert 0 < refusal.value.retry_after_s <= 5
    assert funded.store.head() == head


def test_requests_that_nobody_can_answer_shut_no_provider(
    counter: Counter, upstream: UpstreamDouble
) -> None:
    upstream.behave(Behaviour(status=500))
    for _ in range(3 * FAILURES_MAX):
        counter.serve(chat())
    upstream.behave(Behaviour())

    served = counter.serve(chat())

    assert served.status == 200


def test_a_provider_that_asks_for_it_is_left_alone(street: Street) -> None:
    limited = Behaviour(status=429, headers={"retry-after": "60"})
    street.cheap.behave(limited)
    street.serve()
    street.dear.behave(limited)
    street.serve()

    with pytest.raises(UpstreamsExhaustedError) as refusal:
        street.serve()

    assert 50 < refusal.value.retry_after_s <= 60
    assert (len(street.cheap.requests), len(street.dear.requests)) == (1, 2)


def test_senseless_times_to_come_back_are_no_times(street: Street) -> None:
    street.cheap.behave(Behaviour(status=429, headers={"retry-after": "soon"}))

    street.serve()

    assert street.counter.charged().terms.route == "dear"


def test_a_stranger_is_asked_for_what_the_dearer_needs_and_may_pay_for_the_cheaper(
    street: Street, house: House, mint: MoodyMint
) -> None:
    """A token that pays for one of them is served by that one, and has its change."""
    till = Tickets(
        house.deposits,
        street.counter.charges,
        house.refunds,
        street.counter.quotes,
        TokenSizes(house.mints),
        house.store,
    )
    call = chat(max_tokens=10_000)
    cheap_msat, dear_msat = street.ceilings_msat(call)
    wanted = till.payment_request(call.path, call.model, call.document, call.prompt_bytes)
    ticket = till.read(mint.fund(cheap_msat // 1_000 + 3))

    till.serve(
        ticket, replace(call, account_id=ticket.account_id, request_id=ticket.request_id)
    )

    assert wanted.amount is not None
    assert wanted.amount * 1_000 >= dear_msat > cheap_msat + 3_000
    assert street.counter.charged().terms.route == "main"
    assert street.counter.held().amount_msat == cheap_msat
