from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from app.cashier.errors import (
    RefundPendingError,
    TokenTooSmallError,
)
from app.cashier.sizing import TokenSizes
from app.cashier.stream import MeteredStream
from app.cashier.ticket import Standing, Tickets
from app.gateways.mint.paymentrequest import Lock
from app.gateways.mint.paymentrequest import decode as decode_request
from domain.errors import (
    RequestInProgressError,
    RequestRepeatedError,
    UnknownModelError,
)
from domain.identity import change_of_request
from domain.msat import Msat
from tests.cashier.counter import COST_MSAT, MODEL
from tests.cashier.house import at_once
from tests.cashier.kiosk import CHANGE_SAT, Kiosk

if TYPE_CHECKING:
    from app.cashier.ticket import Ticket
    from tests.cashier.house import House, MoodyMint
    from tests.doubles.upstream import UpstreamDouble


def test_a_request_is_served_for_a_token_and_the_rest_given_back(
    kiosk: Kiosk, ticket: Ticket
) -> None:
    served = kiosk.serve(ticket)
    change = kiosk.change(ticket)

    assert served.status == 200
    assert (change.amount, change.fee, change.unit) == (CHANGE_SAT, 1, "sat")
    assert change.refund_id == change_of_request(ticket.request_id)
    assert kiosk.counter.charged().cost_msat == COST_MSAT
    # Less than a sat stays, and is the account's.
    assert kiosk.house.available_msat(ticket.account_id) == 1_000 - COST_MSAT


def test_the_same_proofs_are_the_same_ticket(kiosk: Kiosk, ticket: Ticket) -> None:
    assert ticket.account_id == kiosk.house.deposits.account_of(ticket.token)
    assert "secret" not in repr(ticket)


def test_a_token_that_is_too_small_is_not_shown_to_its_mint(
    kiosk: Kiosk, mint: MoodyMint
) -> None:
    ticket = kiosk.ticket(mint.fund(2))

    with pytest.raises(TokenTooSmallError) as refusal:
        kiosk.serve(ticket, max_tokens=1_000)

    assert refusal.value.required_msat == 6_000
    assert refusal.value.model == MODEL
    assert mint.swaps == []
    assert kiosk.tickets.standing(ticket) is Standing.ITS_OWNERS
    assert kiosk.serve(kiosk.ticket(mint.fund(6)), max_tokens=1_000).status == 200


def test_a_request_that_cannot_be_priced_leaves_the_token_alone(
    kiosk: Kiosk, ticket: Ticket, mint: MoodyMint
) -> None:
    with pytest.raises(UnknownModelError):
        kiosk.serve(ticket, model="none")

    assert mint.swaps == []
    assert kiosk.house.log() == []


def test_a_ticket_is_used_once(kiosk: Kiosk, ticket: Ticket) -> None:
    kiosk.serve(ticket)

    with pytest.raises(RequestRepeatedError):
        kiosk.serve(ticket)
    kiosk.change(ticket)
    with pytest.raises(RequestRepeatedError):
        kiosk.serve(ticket)


def test_a_ticket_is_used_once_by_many_at_once(
    kiosk: Kiosk, ticket: Ticket, upstream: UpstreamDouble
) -> None:
    def use() -> str:
        try:
            kiosk.serve(ticket)
        except (RequestInProgressError, RequestRepeatedError):
            return "refused"
        return kiosk.change(ticket).token

    told = at_once([use] * 8)

    assert told.count("refused") == 7
    assert len(upstream.requests) == 1
    assert kiosk.change(ticket).token in told


def test_while_a_request_runs_there_is_no_change(kiosk: Kiosk, ticket: Ticket) -> None:
    stream = kiosk.serve(ticket, stream=True).body
    assert isinstance(stream, MeteredStream)

    with pytest.raises(RefundPendingError):
        kiosk.change(ticket)
    with pytest.raises(RequestInProgressError):
        kiosk.serve(ticket)
    stream.close()

    assert kiosk.change(ticket).amount == CHANGE_SAT


def test_a_payment_request_is_for_the_very_request(kiosk: Kiosk, mint: MoodyMint) -> None:
    document = dict(kiosk.call(kiosk.ticket(mint.fund(8))).document)

    wanted = [
        kiosk.tickets.payment_request(
            "/chat/completions", MODEL, {**document, "max_tokens": n}, 100
        )
        for n in (1, 1_000)
    ]

    assert [request.amount for request in wanted] == [3, 6]
    assert {(request.unit, request.mints) for request in wanted} == {("sat", (mint.url,))}
    assert kiosk.house.log() == []


def test_a_payment_request_pays_for_the_ceiling(kiosk: Kiosk, mint: MoodyMint) -> None:
    call = kiosk.call(kiosk.ticket(mint.fund(8)))
    wanted = kiosk.tickets.payment_request(
        "/chat/completions", MODEL, call.document, len(call.body)
    )
    assert wanted.amount is not None

    worth = kiosk.house.deposits.worth(kiosk.ticket(mint.fund(wanted.amount)).token)

    assert worth >= Msat(kiosk.counter.ceiling_msat(call))


def test_a_price_can_ask_for_a_lock(house: House, kiosk: Kiosk) -> None:
    tickets = Tickets(
        house.deposits,
        kiosk.counter.charges,
        house.refunds,
        kiosk.counter.quotes,
        TokenSizes(house.mints),
        house.store,
        house.opener.lock,
    )
    document = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}]}

    wanted = tickets.payment_request("/chat/completions", "gpt-4o-mini", document, 100)

    assert wanted.lock == Lock("P2PK", house.opener.pubkey)
    assert decode_request(wanted.encode_a()).lock == wanted.lock
