from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest

from app.cashier.errors import (
    ChangeCollectedError,
    DepositPendingError,
    NoChangeError,
    RefundPendingError,
    TokenSpentError,
)
from app.cashier.refund import CHANGE_TRIES, Refund, Refunds
from app.cashier.ticket import Standing
from app.cashier.turns import PAUSE_S
from app.gateways.mint.tokens import decode
from domain.errors import (
    TokenTakenError,
)
from domain.identity import change_of_request
from domain.refund import Started
from tests.cashier.counter import COST_MSAT
from tests.cashier.house import ALICE, BOB, at_once
from tests.cashier.kiosk import ALL_BACK_SAT, CHANGE_SAT, FACE_SAT, Kiosk
from tests.doubles.mint import Fault

if TYPE_CHECKING:
    from app.cashier.ticket import Ticket
    from tests.cashier.conftest import Build
    from tests.cashier.house import House, MoodyMint
    from tests.doubles.upstream import UpstreamDouble

IN_NO_MOOD = 10_000


def test_change_is_the_same_token_until_it_is_collected(
    kiosk: Kiosk, ticket: Ticket, stranger: House
) -> None:
    """M27, M30."""
    kiosk.serve(ticket)
    first, second = kiosk.change(ticket), kiosk.change(ticket)

    stranger.deposit(first.token)

    assert second == first
    for _ in range(2):
        with pytest.raises(ChangeCollectedError):
            kiosk.change(ticket)


def test_change_is_one_token_for_many_who_ask_at_once(
    build: Build, kiosk: Kiosk, ticket: Ticket, mint: MoodyMint, upstream: UpstreamDouble
) -> None:
    kiosk.serve(ticket)
    other = Kiosk(build(mint, owner="worker-2"), upstream.base_url)

    tokens = at_once([partial(each.change, ticket) for each in [kiosk, other] * 4])

    other.counter.upstream.close()
    assert len({change.token for change in tokens}) == 1
    assert sum(isinstance(event, Started) for event in kiosk.house.log()) == 1


def test_a_token_nobody_redeemed_has_no_change(
    kiosk: Kiosk, ticket: Ticket, mint: MoodyMint
) -> None:
    with pytest.raises(NoChangeError):
        kiosk.change(ticket)

    assert mint.swaps == []


def test_a_spent_token_is_nobodys_and_has_no_change(
    kiosk: Kiosk, ticket: Ticket, mint: MoodyMint, stranger: House
) -> None:
    """M29."""
    stranger.deposits.deposit(ticket.token, BOB)

    with pytest.raises(TokenSpentError):
        kiosk.serve(ticket)

    assert kiosk.tickets.standing(ticket) is Standing.NOBODYS
    with pytest.raises(NoChangeError):
        kiosk.change(ticket)


def test_a_token_in_another_account_is_nobodys_ticket(kiosk: Kiosk, ticket: Ticket) -> None:
    """M29."""
    kiosk.house.deposits.deposit(ticket.token, ALICE)

    with pytest.raises(TokenTakenError):
        kiosk.serve(ticket)

    assert kiosk.tickets.standing(ticket) is Standing.NOBODYS


def test_a_process_that_died_after_the_deposit_left_all_of_it_to_be_fetched(
    kiosk: Kiosk, ticket: Ticket
) -> None:
    """M25."""
    kiosk.house.deposits.deposit(ticket.token, ticket.account_id)

    assert kiosk.tickets.standing(ticket) is Standing.OURS
    assert kiosk.change(ticket).amount == ALL_BACK_SAT


def test_or_the_same_token_buys_its_request_after_all(kiosk: Kiosk, ticket: Ticket) -> None:
    kiosk.house.deposits.deposit(ticket.token, ticket.account_id)

    served = kiosk.serve(ticket)

    assert served.status == 200
    assert kiosk.change(ticket).amount == CHANGE_SAT


def test_a_deposit_without_an_answer_is_finished_when_its_change_is_asked_for(
    kiosk: Kiosk, ticket: Ticket, mint: MoodyMint
) -> None:
    """M25: pending while the mint is silent, and no longer."""
    mint.fault("swap", Fault.DROP_RESPONSE)
    mint.fault("restore", Fault.SERVER_ERROR, times=100)
    mint.fault("swap", Fault.SERVER_ERROR, times=100)
    with pytest.raises(DepositPendingError):
        kiosk.serve(ticket)
    standing = kiosk.tickets.standing(ticket)
    with pytest.raises(RefundPendingError):
        kiosk.change(ticket)

    mint._faults.clear()

    assert standing is Standing.IN_BETWEEN
    assert kiosk.change(ticket).amount == ALL_BACK_SAT


def test_a_deposit_that_turns_out_refused_has_no_change(
    kiosk: Kiosk, ticket: Ticket, mint: MoodyMint, stranger: House
) -> None:
    mint.fault("swap", Fault.SERVER_ERROR, times=100)
    with pytest.raises(DepositPendingError):
        kiosk.serve(ticket)
    mint._faults.clear()
    stranger.deposits.deposit(ticket.token, BOB)

    with pytest.raises(NoChangeError):
        kiosk.change(ticket)


def test_change_the_mint_refused_is_made_by_the_next_refund(
    kiosk: Kiosk, ticket: Ticket, mint: MoodyMint
) -> None:
    """M25: a cancelled refund is not the end of the change."""
    kiosk.serve(ticket)
    mint.refuse("swap", IN_NO_MOOD)
    with pytest.raises(RefundPendingError):
        kiosk.change(ticket)

    change = kiosk.change(ticket)

    first = change_of_request(ticket.request_id)
    topics = ["refund.started", "refund.recalled", "refund.cancelled"]
    assert kiosk.house.topics(first) == topics
    assert change.refund_id == change_of_request(first)
    assert change.amount == CHANGE_SAT


def test_money_that_came_after_the_change_is_the_next_change(
    kiosk: Kiosk, ticket: Ticket, mint: MoodyMint, stranger: House
) -> None:
    kiosk.serve(ticket)
    first = kiosk.change(ticket)
    kiosk.house.deposit(mint.fund(FACE_SAT), ticket.account_id)

    again = kiosk.change(ticket)
    stranger.deposit(first.token)
    second = kiosk.change(ticket)

    assert again == first
    assert second.refund_id == change_of_request(first.refund_id)
    assert decode(second.token).amount >= ALL_BACK_SAT


def test_change_is_made_where_the_money_came_from(
    build: Build, mint: MoodyMint, second_mint: MoodyMint, upstream: UpstreamDouble
) -> None:
    """M28: another mint, another unit, and the same purse full of larger proofs."""
    kiosk = Kiosk(build(mint, second_mint), upstream.base_url)
    for each in (mint, second_mint):
        kiosk.house.deposit(each.fund(1_000))
        kiosk.house.deposit(each.fund(1_000_000, "msat"))

    sold = []
    for token in (second_mint.fund(FACE_SAT), second_mint.fund(FACE_SAT * 1_000, "msat")):
        ticket = kiosk.ticket(token)
        kiosk.serve(ticket)
        sold.append(decode(kiosk.change(ticket).token))

    kiosk.counter.upstream.close()
    assert {token.mint for token in sold} == {second_mint.url}
    assert [(token.unit, token.amount) for token in sold] == [
        ("sat", CHANGE_SAT),
        ("msat", FACE_SAT * 1_000 - 1 - COST_MSAT - 1),
    ]


def test_of_two_tickets_neither_change_is_in_the_others_way(
    kiosk: Kiosk, mint: MoodyMint
) -> None:
    """Each is made of its own token's proofs, though one of the other's would be handier."""
    small, large = kiosk.ticket(mint.fund(34)), kiosk.ticket(mint.fund(65))
    for ticket in (small, large):
        kiosk.house.deposits.deposit(ticket.token, ticket.account_id)
    mint.fault("swap", Fault.SERVER_ERROR, times=100)
    with pytest.raises(RefundPendingError):
        kiosk.change(small)
    mint._faults.clear()

    change = kiosk.change(large)

    assert change.amount + change.fee == 64
    assert kiosk.house.pauses == []


@pytest.fixture
def short(kiosk: Kiosk, mint: MoodyMint) -> Ticket:
    """A ticket whose only proof Alice's refund, which is under way, has set aside."""
    ticket = kiosk.ticket(mint.fund(65))
    kiosk.house.deposits.deposit(ticket.token, ticket.account_id)
    kiosk.house.deposit(mint.fund(34))
    mint.fault("swap", Fault.SERVER_ERROR, times=100)
    with pytest.raises(RefundPendingError):
        kiosk.house.refunds.refund(ALICE)
    mint._faults.clear()
    return ticket


def test_change_waits_for_what_another_refund_has_set_aside(
    kiosk: Kiosk, short: Ticket, upstream: UpstreamDouble
) -> None:
    house = kiosk.house
    waited: list[Refund] = []
    refunds = Refunds(
        house.ledger,
        house.mints,
        house.store,
        lambda _: waited.append(house.refunds.refund(ALICE)),
    )
    patient = Kiosk(house, upstream.base_url, refunds)

    change = patient.change(short)

    patient.counter.upstream.close()
    assert len(waited) == 1
    assert change.amount + change.fee == 64


def test_when_the_purse_stays_short_a_part_is_given_and_the_rest_after_it(
    kiosk: Kiosk, short: Ticket, stranger: House
) -> None:
    part = kiosk.change(short)
    stranger.deposit(part.token)
    kiosk.house.refunds.refund(ALICE)
    rest = kiosk.change(short)

    assert kiosk.house.pauses == [PAUSE_S] * CHANGE_TRIES
    assert part.amount + part.fee == 33
    assert rest.amount + rest.fee == 64 - 33
