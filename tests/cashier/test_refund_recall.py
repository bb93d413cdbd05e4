"""A refused refund is given up only when no copy of its request can be carried out any more."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest

from app.cashier.errors import RefundPendingError
from app.gateways.mint.keysets import REFRESH_PAUSE_S
from domain.guards import REFUND
from domain.posting import FEES_MINT
from domain.reclaim import Recalled
from domain.refund import Cancelled, Issued, Redrafted, Started
from projections.books import Books
from tests.cashier.house import ALICE, ALWAYS, OTHER_SEED, at_once, v3
from tests.doubles.mint import FakeMint, Fault

if TYPE_CHECKING:
    from uuid import UUID

    from domain.event import Entry
    from tests.cashier.conftest import Build
    from tests.cashier.house import House, MoodyMint

UNBALANCED, INACTIVE, UNDECIDED = 11005, 12002, 0


def fail(house: House) -> None:
    with pytest.raises(RefundPendingError):
        house.refunds.refund(ALICE)


def begun(house: House) -> UUID:
    """Return the one refund that is not finished."""
    ((stream, _),) = house.store.movements_of(ALICE, REFUND)
    return stream


def recalled(house: House, mint: MoodyMint) -> Entry:
    """Have a process die when a refund was refused, and its recall is recorded."""
    mint.refuse("swap", UNBALANCED)
    mint.refuse("checkstate", 10000, after=1)
    fail(house)
    (entry,) = house.store.history(begun(house))
    assert isinstance(entry.event, Started)
    draft = entry.event.draft
    purse = house.mints.get(mint.url).purse("sat")
    return house.ledger.recall_refund(entry, draft, purse, "in no mood")


def land(mint: MoodyMint, place: int = 1) -> int:
    """Let a late copy of a swap arrive at the mint; return the status it answers with.

    The first swap was the deposit's, the second is the refund's.
    """
    return FakeMint.answer(mint, "POST", "swap", mint.swaps[place])[0]


def fees_msat(house: House) -> int:
    books = Books()
    for event in house.log():
        books.post(event)
    assert books.total_msat == 0
    return -books.balances_msat[FEES_MINT]


def test_after_a_refund_was_given_up_no_late_copy_of_it_is_carried_out(
    funded: House, mint: MoodyMint
) -> None:
    """M34: the refused swap lands later, and finds its inputs spent."""
    mint.refuse("swap", UNBALANCED)
    fail(funded)

    assert land(mint) == 400

    assert isinstance(funded.log()[-1], Cancelled)
    assert funded.available_msat() == 100_000
    assert fees_msat(funded) == 1_000


def test_a_copy_that_lands_before_the_inputs_are_taken_back_makes_the_token(
    build: Build, funded: House, mint: MoodyMint
) -> None:
    """M32: the amount left the account once, and the token exists once."""
    entry = recalled(funded, mint)
    assert land(mint) == 200

    refund = build(mint, owner="worker-2").refunds.refund(ALICE)

    assert (refund.refund_id, refund.amount) == (entry.stream, 99)
    assert funded.topics(entry.stream)[-1] == Issued.TOPIC
    assert (funded.available_msat(), fees_msat(funded)) == (0, 0)
    stranger = build(mint, anew=True, seed=OTHER_SEED)
    assert stranger.deposit(refund.token).credited_msat == 98_000


def test_a_copy_that_lands_before_other_outputs_are_asked_for_makes_the_token(
    funded: House, mint: MoodyMint
) -> None:
    """There is a second draft by then: the first one counts."""
    mint.refuse("swap", INACTIVE)
    mint.refuse("swap", UNDECIDED)
    fail(funded)
    refund_id = begun(funded)
    assert funded.topics(refund_id) == [Started.TOPIC, Redrafted.TOPIC]
    assert land(mint) == 200

    refund = funded.refunds.refund(ALICE)

    started, _, issued = funded.events(refund_id)
    assert isinstance(started, Started)
    assert isinstance(issued, Issued)
    assert (issued.draft, refund.amount) == (started.draft, 99)


@pytest.mark.parametrize(
    "fault", [Fault.DROP_REQUEST, Fault.DROP_RESPONSE, Fault.SERVER_ERROR, Fault.GARBAGE]
)
def test_taking_back_that_went_wrong_is_done_by_whoever_asks_next(
    build: Build, funded: House, mint: MoodyMint, fault: Fault
) -> None:
    entry = recalled(funded, mint)
    mint.fault("swap", fault)
    fail(funded)

    fail(build(mint, owner="worker-2"))

    assert funded.topics(entry.stream)[1:] == [Recalled.TOPIC, Cancelled.TOPIC]
    assert funded.available_msat() == 100_000
    assert funded.store.free(mint.url, "sat") == 99


def test_taking_back_goes_on_with_a_keyset_that_is_in_use(
    funded: House, mint: MoodyMint
) -> None:
    entry = recalled(funded, mint)
    mint.rotate("sat")

    fail(funded)

    topics = funded.topics(entry.stream)
    assert topics == [Started.TOPIC, Recalled.TOPIC, Recalled.TOPIC, Cancelled.TOPIC]
    assert funded.available_msat() == 100_000


def test_a_first_try_to_take_back_that_lands_late_is_the_one_that_counts(
    funded: House, mint: MoodyMint
) -> None:
    entry = recalled(funded, mint)
    mint.refuse("swap", INACTIVE)
    mint.refuse("swap", UNDECIDED)
    fail(funded)
    assert funded.topics(entry.stream)[1:] == [Recalled.TOPIC, Recalled.TOPIC]
    assert land(mint, 2) == 200

    fail(funded)

    end = funded.events(entry.stream)[-1]
    first = funded.events(entry.stream)[1]
    assert isinstance(end, Cancelled)
    assert isinstance(first, Recalled)
    assert end.proofs[0].counter == first.swap.plan.counter_from
    assert funded.available_msat() == 100_000


def test_a_mint_that_refuses_everything_is_asked_again_later_and_nothing_is_given_up(
    funded: House, mint: MoodyMint
) -> None:
    mint.refuse("swap", UNBALANCED, times=ALWAYS)

    fail(funded)
    fail(funded)

    assert funded.topics(begun(funded)) == [Started.TOPIC, Recalled.TOPIC]
    assert funded.available_msat() == 0
    mint.relent()
    fail(funded)
    assert funded.available_msat() == 100_000


def test_inputs_that_somebody_else_has_spent_are_not_given_back(
    build: Build, funded: House, mint: MoodyMint
) -> None:
    """Another house with the same seed is at our proofs: that is for people to look into."""
    entry = recalled(funded, mint)
    twin = build(mint, anew=True, seed=OTHER_SEED)
    stolen = [{"id": p["id"], **p} for p in mint.swaps[1]["inputs"]]
    assert twin.deposit(v3(mint.url, stolen)).credited_msat == 99_000

    fail(funded)

    assert funded.topics(entry.stream) == [Started.TOPIC, Recalled.TOPIC]
    assert funded.available_msat() == 0


def test_a_process_that_lags_behind_a_recall_is_told_the_end(
    funded: House, mint: MoodyMint
) -> None:
    entry = recalled(funded, mint)
    fail(funded)
    calls = mint.calls["swap"]

    with pytest.raises(RefundPendingError):
        funded.refunds.resume(entry)

    assert mint.calls["swap"] == calls
    assert funded.topics(entry.stream)[-1] == Cancelled.TOPIC


def test_two_processes_that_take_back_at_once_take_back_once(
    build: Build, funded: House, mint: MoodyMint
) -> None:
    entry = recalled(funded, mint)
    other = build(mint, owner="worker-2")

    at_once([partial(fail, funded), partial(fail, other)])

    assert funded.topics(entry.stream)[1:] == [Recalled.TOPIC, Cancelled.TOPIC]
    assert funded.available_msat() == 100_000


def test_a_keyset_that_another_process_has_heard_of_costs_what_its_mint_takes(
    house: House, build: Build, mint: MoodyMint
) -> None:
    """Else the refund would be drafted without the fee, refused, and recalled at our cost."""
    house.mints.get(mint.url).purse("sat")
    mint.rotate("sat")
    build(mint, owner="worker-2").deposit(mint.fund(101))
    house.passed_s = REFRESH_PAUSE_S

    refund = house.refunds.refund(ALICE)

    assert (refund.amount, refund.fee) == (99, 1)
    assert [type(event) for event in house.log()][-2:] == [Started, Issued]
    assert fees_msat(house) == 0
