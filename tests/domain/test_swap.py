from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from domain.deposit import Plan, Signed, keep
from domain.errors import (
    FeeTooHighError,
    KeysetTakenError,
    MovementEndedError,
    NothingToSwapError,
    UnknownMovementError,
)
from domain.guards import FREE, RESERVED, SWAP, GuardRows, MovementRow, ProofKey
from domain.identity import OWNER
from domain.posting import FEES_MINT, Posting, postings
from domain.purse import INPUTS_MAX, Purse
from domain.swap import (
    CONSOLIDATION,
    ROTATION,
    FinishSwap,
    Order,
    RedraftSwap,
    SelfSwap,
    StartSwap,
    SwapDone,
    SwapRedrafted,
    SwapStarted,
)
from tests.domain.given import KEYSET, LATER, MINT, fold, made, name, signed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from domain.command import Command
    from domain.event import Entry

SWAP_ID = name(500)
OLD_KEYSET = "00ffffffffffffff"
PURSE = Purse(MINT, "sat", KEYSET, {KEYSET: 100, OLD_KEYSET: 100})
ORDER = Order(active=frozenset({KEYSET}), alike_max=10, fee_max=50)


def purse_of(*amounts: int, keyset_id: str = KEYSET) -> GuardRows:
    """Return rows in which these proofs are free."""
    rows = GuardRows()
    fill(rows, amounts, keyset_id)
    return rows


def fill(rows: GuardRows, amounts: Sequence[int], keyset_id: str = KEYSET) -> None:
    proofs = [
        Signed(keyset_id=keyset_id, counter=counter, amount=amount, c="c")
        for counter, amount in enumerate(amounts)
    ]
    keep(rows, MINT, "sat", proofs)
    rows.use_counters(keyset_id, MINT, "sat", 0, len(amounts))


def start(order: Order = ORDER) -> StartSwap:
    return StartSwap(SWAP_ID, PURSE, order)


def swap_of(entry: Entry) -> SelfSwap:
    assert isinstance(entry.event, SwapStarted | SwapRedrafted)
    return entry.event.swap


def finish(begun: Entry) -> FinishSwap:
    swap = swap_of(begun)
    return FinishSwap(begun.stream, begun.version, swap, signed(swap.plan))


def free(rows: GuardRows) -> list[int]:
    return sorted(row.amount for row in rows.proofs.rows.values() if row.state == FREE)


def test_of_too_many_proofs_of_one_amount_all_but_half_are_swapped() -> None:
    rows = purse_of(*[1] * 11, 64)

    entry = made(start(), rows)

    swap = swap_of(entry)
    assert isinstance(entry.event, SwapStarted)
    assert entry.event.purpose == CONSOLIDATION
    assert [spent.amount for spent in swap.inputs] == [1] * 6
    assert (swap.plan.amounts, swap.fee_msat) == ((1, 4), 1_000)
    assert swap.plan.counter_from == 12
    assert free(rows) == [1] * 5 + [64]
    assert rows.movements.get(SWAP_ID) == MovementRow(SWAP, 1, OWNER, MINT, LATER)


def test_a_purse_in_order_is_left_alone() -> None:
    for amounts in ([], [1] * 10, [1, 2, 4, 8]):
        with pytest.raises(NothingToSwapError):
            made(start(), purse_of(*amounts))


def test_no_number_is_too_many_if_none_is_said() -> None:
    order = msgspec.structs.replace(ORDER, alike_max=0)

    with pytest.raises(NothingToSwapError):
        made(start(order), purse_of(*[1] * 100))


def test_proofs_of_a_keyset_no_longer_in_use_go_first_the_largest_before_all() -> None:
    rows = purse_of(*[1] * 20)
    fill(rows, [2, 64, 8], OLD_KEYSET)

    entry = made(start(), rows)

    assert isinstance(entry.event, SwapStarted)
    assert entry.event.purpose == ROTATION
    assert [spent.amount for spent in swap_of(entry).inputs] == [64, 8, 2]
    assert swap_of(entry).plan == Plan(keyset_id=KEYSET, counter_from=20, amounts=(1, 8, 64))


def test_a_swap_costs_no_more_than_is_allowed() -> None:
    order = msgspec.structs.replace(ORDER, fee_max=1)

    swap = swap_of(made(start(order), purse_of(*[1] * 60)))

    assert (len(swap.inputs), swap.fee_msat) == (10, 1_000)
    free_of_charge = msgspec.structs.replace(ORDER, fee_max=0)
    with pytest.raises(NothingToSwapError):
        made(start(free_of_charge), purse_of(*[1] * 60))


def test_a_swap_has_no_more_inputs_than_a_mint_takes() -> None:
    assert len(swap_of(made(start(), purse_of(*[1] * 300))).inputs) == INPUTS_MAX


def test_what_the_fee_would_eat_stays_where_it_is() -> None:
    rows = GuardRows()
    fill(rows, [1], OLD_KEYSET)

    with pytest.raises(NothingToSwapError):
        made(start(), rows)


def test_a_swap_that_makes_no_fewer_proofs_is_not_begun() -> None:
    """Two of an amount at no fee would be one; at a fee of one unit they would be many."""
    order = msgspec.structs.replace(ORDER, alike_max=1)

    with pytest.raises(NothingToSwapError):
        made(start(order), purse_of(1024, 1024))


def test_refused_outputs_are_asked_of_another_keyset_at_its_fee() -> None:
    begun = made(start(), purse_of(*[1] * 21))
    rows = fold(begun)
    dearer = Purse(MINT, "sat", OLD_KEYSET, {KEYSET: 200})

    entry = made(RedraftSwap(SWAP_ID, 1, swap_of(begun), dearer), rows, begun)

    assert isinstance(entry.event, SwapRedrafted)
    assert swap_of(entry).inputs == swap_of(begun).inputs
    assert swap_of(entry).plan.keyset_id == OLD_KEYSET
    assert swap_of(entry).fee_msat == 4_000
    assert rows.movements.get(SWAP_ID) == MovementRow(SWAP, 2, OWNER, MINT, LATER)


def test_a_redraft_gains_nothing_from_a_keyset_of_another_mint_or_a_fee_that_eats_all() -> None:
    begun = made(start(), purse_of(*[1] * 11))
    rows = fold(begun)
    rows.use_counters(OLD_KEYSET, "https://evil.example", "sat", 0, 1)
    taken = Purse(MINT, "sat", OLD_KEYSET, {})
    dear = Purse(MINT, "sat", KEYSET, {KEYSET: 1_000})

    with pytest.raises(KeysetTakenError):
        made(RedraftSwap(SWAP_ID, 1, swap_of(begun), taken), rows, begun)
    with pytest.raises(FeeTooHighError):
        made(RedraftSwap(SWAP_ID, 1, swap_of(begun), dear), rows, begun)


def test_what_is_swapped_stands_in_the_place_of_what_was_there() -> None:
    rows = purse_of(*[1] * 11, 64)
    begun = made(start(), rows)

    done = made(finish(begun), rows, begun)

    assert isinstance(done.event, SwapDone)
    assert free(rows) == [1] * 6 + [4, 64]
    assert RESERVED not in {row.state for row in rows.proofs.rows.values()}
    assert rows.movements.get(SWAP_ID) is None
    assert postings(done.event) == [Posting(FEES_MINT, f"mint:{MINT}", 1_000)]


def test_proofs_that_are_gone_are_not_set_aside() -> None:
    rows = purse_of(*[1] * 11)
    begun = made(start(), rows)
    without = purse_of(*[1] * 11)
    without.proofs.drop(ProofKey(KEYSET, 10))

    begun.event.apply(without, SWAP_ID, 1)

    assert len(without.proofs.rows) == 10


def test_each_step_is_recorded_once_and_then_repeated() -> None:
    rows = purse_of(*[1] * 11)
    begun = made(start(), rows)
    done = made(finish(begun), rows, begun)
    late = RedraftSwap(SWAP_ID, 1, swap_of(begun), PURSE)

    assert made(start(), fold(begun), begun) == begun
    assert made(finish(begun), fold(begun, done), begun, done) == done
    assert made(late, fold(begun, done), begun, done) == done
    redrafted = made(late, fold(begun), begun)
    with pytest.raises(MovementEndedError):
        made(finish(begun), fold(begun, redrafted), begun, redrafted)


def test_what_was_never_begun_cannot_go_on() -> None:
    begun = made(start(), purse_of(*[1] * 11))
    commands: list[Command] = [finish(begun), RedraftSwap(SWAP_ID, 1, swap_of(begun), PURSE)]

    for command in commands:
        with pytest.raises(UnknownMovementError):
            made(command, GuardRows())
