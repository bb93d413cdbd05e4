"""What was credited at once becomes proofs of ours, or a loss that has a name."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

from app.cashier.batch import PROOFS_MAX
from app.gateways.mint.tokens import Proof, decode
from domain.deposit import Credited
from domain.guards import ExposureRow
from domain.instant import BatchSwapped, InstantCredited, InstantLost
from domain.msat import Msat
from domain.posting import LOST, instant
from tests.cashier.house import (
    ALICE,
    BOB,
    OTHER_SEED,
    House,
    MoodyMint,
    stream_of,
    ys_of,
)
from tests.cashier.locked import LIMIT, SWAP, balances, exposure, fund
from tests.doubles.mint import Fault

if TYPE_CHECKING:
    from tests.cashier.conftest import Build, OpenMint


@pytest.fixture
def house(build: Build, mint: MoodyMint) -> House:
    house = build(mint)
    house.instant._limit = LIMIT
    # The mint is known: from now on no deposit needs to ask it.
    house.deposit(fund(house, mint, 8), BOB)
    house.batches.sweep()
    mint.calls.clear()
    return house


def test_msat_tokens_are_swapped_apart_from_sat_tokens(house: House, mint: MoodyMint) -> None:
    house.deposit(fund(house, mint, 1_025, "msat"))
    house.deposit(fund(house, mint, 8))

    assert house.batches.sweep() == 2

    assert house.store.free(mint.url, "msat") == 1_024
    assert house.available_msat() == 1_024 + 7_000


def test_many_tokens_are_swapped_in_several_requests(house: House, mint: MoodyMint) -> None:
    for _ in range(PROOFS_MAX // 10 + 1):
        house.deposit(fund(house, mint, 0b1111111111 // 16))
    house.instant._limit = Msat(100_000_000)
    for _ in range(16):
        house.deposit(fund(house, mint, 0b1111111))

    house.batches.sweep()

    inputs = [len(body["inputs"]) for body in mint.swaps[1:]]
    assert len(inputs) > 1
    assert max(inputs) <= PROOFS_MAX
    assert house.store.open_movements() == []


@pytest.mark.parametrize("fault", [Fault.DROP_RESPONSE, Fault.DROP_REQUEST, Fault.GARBAGE])
def test_a_swap_whose_answer_was_lost_is_found(
    house: House, mint: MoodyMint, fault: Fault
) -> None:
    house.deposit(fund(house, mint, 100))
    mint.fault(SWAP, fault)
    assert house.batches.sweep() == 0
    assert exposure(house, mint) == ExposureRow(99_000, 0)

    assert house.batches.sweep() == 1

    assert house.store.free(mint.url, "sat") == 7 + 99


def test_a_mint_that_is_away_is_asked_again(house: House, mint: MoodyMint) -> None:
    house.deposit(fund(house, mint, 100))
    mint.go_away()
    assert house.batches.sweep() == 0
    mint.come_back()

    assert house.batches.sweep() == 1


def test_a_keyset_changed_meanwhile_is_planned_again(house: House, mint: MoodyMint) -> None:
    house.deposit(fund(house, mint, 100))
    mint.rotate("sat")

    assert house.batches.sweep() == 1

    (swapped,) = [event for event in house.log()[-1:] if isinstance(event, BatchSwapped)]
    assert swapped.proofs[0].keyset_id == mint.active("sat").id


def test_what_was_swapped_for_a_plan_given_up_is_found(house: House, mint: MoodyMint) -> None:
    """A copy of the request was on its way when the mint refused another."""
    token = fund(house, mint, 100)
    house.deposit(token)
    mint.refuse(SWAP, 12002)
    mint.refuse(SWAP, 0)
    assert house.batches.sweep() == 0
    first = next(event for event in reversed(house.log()) if event.TOPIC == "batch.planned")
    wallet = house.mints.get(mint.url)
    proofs = [house.opener.opened(proof) for proof in decode(token).proofs]
    wallet.swap(proofs, first.batch.plan)  # type: ignore[attr-defined]

    assert house.batches.sweep() == 1

    assert house.store.free(mint.url, "sat") == 7 + 99


def test_a_proof_its_mint_does_not_take_is_a_named_loss_and_an_alarm(
    house: House, mint: MoodyMint, caplog: pytest.LogCaptureFixture
) -> None:
    """A mint that breaks its lock: the client keeps the credit, the house bears the loss."""
    good, bad = fund(house, mint, 100), fund(house, mint, 50)
    house.deposit(good)
    house.deposit(bad, BOB)
    mint.spent |= set(list(ys_of(bad))[:1])

    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            house.batches.sweep()

    assert "ALARM" in caplog.text
    assert isinstance(house.events(stream_of(bad))[-1], InstantLost)
    assert house.store.free(mint.url, "sat") == 7 + 99
    assert (house.available_msat(), house.available_msat(BOB)) == (99_000, 7_000 + 49_000)
    assert balances(house)[LOST] == -49_000
    assert balances(house)[instant(mint.url)] == 0
    assert exposure(house, mint) == ExposureRow(0, 49_000)
    assert house.store.open_movements() == []
    assert isinstance(house.deposit(fund(house, mint, 8)), Credited)


def test_a_loss_recorded_by_a_process_that_died_is_not_recorded_again(
    house: House, mint: MoodyMint
) -> None:
    token = fund(house, mint, 100)
    house.deposit(token)
    mint.fault(SWAP, Fault.SERVER_ERROR)
    house.batches.sweep()
    (entry,) = house.store.history(stream_of(token))
    assert isinstance(entry.event, InstantCredited)
    house.ledger.lose_instant(entry, entry.event, "already spent")

    house.batches.sweep()

    assert house.store.open_movements() == []
    assert exposure(house, mint) == ExposureRow(0, 99_000)


def test_a_refusal_that_is_not_for_ever_is_tried_again_alone(
    house: House, mint: MoodyMint
) -> None:
    house.deposit(fund(house, mint, 100))
    house.deposit(fund(house, mint, 50))
    mint.refuse(SWAP, 11005, times=2)

    for _ in range(3):
        house.batches.sweep()

    assert house.store.open_movements() == []
    assert house.store.free(mint.url, "sat") == 7 + 99 + 49


def test_proofs_sealed_by_another_seed_stand_in_nobodys_way(
    build: Build, house: House, mint: MoodyMint
) -> None:
    house.deposit(fund(house, mint, 100))
    stranger = build(mint, seed=OTHER_SEED)

    assert stranger.batches.sweep() == 0
    assert house.batches.sweep() == 1


def test_a_mint_that_is_no_longer_ours_is_left_alone(house: House, mint: MoodyMint) -> None:
    assert house.batches.gather("https://other.example") == 0


def test_a_refund_does_not_wait_for_the_back_office(house: House, mint: MoodyMint) -> None:
    house.deposit(fund(house, mint, 500))

    refund = house.refunds.refund(ALICE)

    assert decode(refund.token).mint == mint.url
    assert decode(refund.token).amount >= 497
    assert house.available_msat() == 0


def test_change_of_a_locked_token_is_made_of_it(house: House, mint: MoodyMint) -> None:
    credited = house.deposit(fund(house, mint, 500))

    refund = house.refunds.change(stream_of(fund(house, mint, 1)), credited)

    assert decode(refund.token).amount >= 497


def test_the_parts_of_a_proof_that_is_opened_are_its_own(house: House) -> None:
    plain = Proof("00aa", 1, "plain", "02" + "11" * 32)

    assert house.opener.opened(plain) == plain
    assert house.opener.pubkey in repr(house.opener)


def test_a_second_mint_has_a_limit_of_its_own(
    build: Build, open_mint: OpenMint, mint: MoodyMint
) -> None:
    other = open_mint("other")
    house = build(mint, other)
    house.instant._limit = LIMIT

    for each in (mint, other):
        assert isinstance(house.deposit(fund(house, each, 900)), InstantCredited)
