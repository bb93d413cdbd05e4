"""The purse is kept in order: it costs no more than it may, and nothing is lost by it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest

from app.cashier.swap import Swaps, Tidiness
from app.gateways.errors import MintUnknownError, OutcomeUnknownError
from domain.guards import FREE, SWAP
from domain.identity import OWNER
from domain.posting import FEES_MINT
from domain.swap import CONSOLIDATION, ROTATION, SwapDone, SwapRedrafted, SwapStarted
from projections.books import Books
from tests.cashier.house import ALICE, ALWAYS, OTHER_SEED, at_once, v3
from tests.doubles.mint import FakeMint, Fault

if TYPE_CHECKING:
    from uuid import UUID

    from tests.cashier.conftest import Build
    from tests.cashier.house import House, MoodyMint

STARTED, REDRAFTED, DONE = SwapStarted.TOPIC, SwapRedrafted.TOPIC, SwapDone.TOPIC
UNBALANCED, INACTIVE, UNDECIDED = 11005, 12002, 0


@pytest.fixture
def untidy(house: House, mint: MoodyMint) -> House:
    """A house with ten proofs of 4 sat, and as many of 1 sat."""
    for _ in range(10):
        house.deposit(mint.fund(6))
    assert free(house) == [1] * 10 + [4] * 10
    return house


def free(house: House) -> list[int]:
    _, rows = house.store.kept()
    return sorted(row.amount for row in rows.proofs.rows.values() if row.state == FREE)


def swap_id(house: House) -> UUID:
    ((stream, _),) = house.store.movements_of(OWNER, SWAP)
    return stream


def fees_msat(house: House) -> int:
    books = Books()
    for event in house.log():
        books.post(event)
    return -books.balances_msat[FEES_MINT]


def begun(house: House, mint: MoodyMint) -> UUID:
    """Begin a swap that the mint gives no answer to; return its name."""
    mint.refuse("swap", UNDECIDED)
    assert house.swaps.tidy() == 0
    return swap_id(house)


def test_small_proofs_are_swapped_for_few(untidy: House) -> None:
    """M42: what is small and many would make refunds dear and slow."""
    assert untidy.swaps.tidy() == 1

    (started,) = (event for event in untidy.log() if isinstance(event, SwapStarted))
    assert started.purpose == CONSOLIDATION
    assert free(untidy) == [1, 1, 2, 4, 4, 4, 32]
    assert untidy.available_msat() == 50_000
    assert fees_msat(untidy) == 2_000
    assert untidy.swaps.tidy() == 0


def test_order_costs_no_more_a_day_than_it_may(untidy: House) -> None:
    thrifty = Swaps(untidy.ledger, untidy.mints, untidy.store, Tidiness(4, 1_000))

    assert thrifty.tidy() == 1
    assert fees_msat(untidy) == 1_000
    assert thrifty.tidy() == 0


def test_proofs_of_a_keyset_that_is_no_longer_in_use_are_swapped(
    untidy: House, mint: MoodyMint
) -> None:
    new_id = mint.rotate("sat")
    untidy.mints.get(mint.url).keysets.refresh()

    assert untidy.swaps.tidy() == 1

    (started,) = (event for event in untidy.log() if isinstance(event, SwapStarted))
    assert started.purpose == ROTATION
    assert free(untidy) == [16, 32]
    _, rows = untidy.store.kept()
    assert {key.keyset_id for key in rows.proofs.rows} == {new_id}


@pytest.mark.parametrize(
    "fault", [Fault.DROP_REQUEST, Fault.DROP_RESPONSE, Fault.SERVER_ERROR, Fault.GARBAGE]
)
def test_a_swap_that_went_wrong_is_finished_by_another_process(
    build: Build, untidy: House, mint: MoodyMint, fault: Fault
) -> None:
    mint.fault("swap", fault)
    assert untidy.swaps.tidy() == 0
    stream = swap_id(untidy)
    assert untidy.swaps.tidy() == 0

    other = build(mint, owner="worker-2")
    done = other.swaps.resume(untidy.store.history(stream)[-1])

    assert done == untidy.events(stream)[-1]
    assert untidy.topics(stream) == [STARTED, DONE]
    assert sum(free(untidy)) == 48


def test_outputs_that_were_refused_are_asked_of_another_keyset(
    untidy: House, mint: MoodyMint
) -> None:
    stream = begun(untidy, mint)
    new_id = mint.rotate("sat")

    done = untidy.swaps.resume(untidy.store.history(stream)[-1])

    assert untidy.topics(stream) == [STARTED, REDRAFTED, DONE]
    assert {proof.keyset_id for proof in done.proofs} == {new_id}


def test_a_first_plan_that_was_carried_out_late_is_the_one_that_counts(
    untidy: House, mint: MoodyMint
) -> None:
    mint.refuse("swap", INACTIVE)
    mint.refuse("swap", UNDECIDED)
    untidy.swaps.tidy()
    stream = swap_id(untidy)
    assert untidy.topics(stream) == [STARTED, REDRAFTED]
    assert FakeMint.answer(mint, "POST", "swap", mint.swaps[-2])[0] == 200

    done = untidy.swaps.resume(untidy.store.history(stream)[-1])

    (started, *_) = untidy.events(stream)
    assert isinstance(started, SwapStarted)
    assert done.swap == started.swap


def test_a_mint_that_refuses_for_no_reason_of_ours_is_asked_again_later(
    untidy: House, mint: MoodyMint
) -> None:
    mint.refuse("swap", UNBALANCED, times=ALWAYS)
    assert untidy.swaps.tidy() == 0
    stream = swap_id(untidy)
    with pytest.raises(MintUnknownError):
        untidy.swaps.resume(untidy.store.history(stream)[-1])
    assert untidy.topics(stream) == [STARTED]

    mint.relent()

    untidy.swaps.resume(untidy.store.history(stream)[-1])


def test_outputs_refused_for_ever_are_given_up_on_for_now(
    untidy: House, mint: MoodyMint
) -> None:
    mint.refuse("swap", INACTIVE, times=ALWAYS)

    assert untidy.swaps.tidy() == 0

    assert untidy.topics(swap_id(untidy)) == [STARTED] + 6 * [REDRAFTED]
    mint.relent()


def test_inputs_that_somebody_else_has_spent_are_for_people_to_look_into(
    build: Build, untidy: House, mint: MoodyMint
) -> None:
    stream = begun(untidy, mint)
    twin = build(mint, anew=True, seed=OTHER_SEED)
    twin.deposit(v3(mint.url, mint.swaps[-1]["inputs"]))

    with pytest.raises(OutcomeUnknownError):
        untidy.swaps.resume(untidy.store.history(stream)[-1])

    assert untidy.topics(stream) == [STARTED]


def test_a_process_that_lags_behind_is_told_the_end(untidy: House, mint: MoodyMint) -> None:
    stream = begun(untidy, mint)
    (stale,) = untidy.store.history(stream)
    done = untidy.swaps.resume(stale)
    calls = mint.calls["swap"]

    assert untidy.swaps.resume(stale) == done
    assert mint.calls["swap"] == calls


def test_two_processes_at_once_swap_once(build: Build, untidy: House, mint: MoodyMint) -> None:
    stream = begun(untidy, mint)
    (stale,) = untidy.store.history(stream)
    other = build(mint, owner="worker-2")

    first, second = at_once([partial(each.swaps.resume, stale) for each in (untidy, other)])

    assert first == second
    assert untidy.topics(stream) == [STARTED, DONE]


def test_while_proofs_are_being_swapped_refunds_are_made_of_the_others(
    untidy: House, mint: MoodyMint
) -> None:
    begun(untidy, mint)

    refund = untidy.refunds.refund(ALICE)

    # Four proofs of 4 sat and 1 sat each are not set aside, and refunds cost a fee.
    assert refund.amount == 9


def test_a_swap_begun_is_another_thing_than_a_deposit(untidy: House, mint: MoodyMint) -> None:
    entry = next(placed.entry for page in untidy.store.log() for placed in page)

    with pytest.raises(TypeError):
        untidy.swaps.resume(entry)


def test_a_mint_that_is_away_is_left_for_later(untidy: House, mint: MoodyMint) -> None:
    mint.refuse("swap", UNDECIDED, times=ALWAYS)

    assert untidy.swaps.tidy() == 0

    assert untidy.available_msat() == 50_000
    mint.relent()
    untidy.swaps.resume(untidy.store.history(swap_id(untidy))[-1])
