from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.purse import INPUTS_MAX, Spent, choose, split
from tests.domain.given import KEYSET


def spent(*amounts: int) -> list[Spent]:
    return [
        Spent(keyset_id=KEYSET, counter=counter, amount=amount)
        for counter, amount in enumerate(amounts)
    ]


@pytest.mark.parametrize(
    ("free", "wanted", "chosen"),
    [
        ([1, 2, 4, 8], 8, [8]),
        ([1, 2, 4, 8], 5, [8]),
        ([1, 2, 4, 8], 9, [8, 1]),
        ([1, 2, 4, 8], 14, [8, 4, 2]),
        ([4, 4, 4], 12, [4, 4, 4]),
        ([1, 2], 100, [2, 1]),
        ([1, 2], 0, []),
        ([], 5, []),
    ],
)
def test_few_proofs_are_chosen(free: list[int], wanted: int, chosen: list[int]) -> None:
    assert [proof.amount for proof in choose(spent(*free), wanted)] == chosen


def test_no_more_proofs_are_chosen_than_a_mint_takes_at_once() -> None:
    chosen = choose(spent(*[1] * (INPUTS_MAX + 5)), INPUTS_MAX + 5)

    assert len(chosen) == INPUTS_MAX


@given(st.lists(st.integers(1, 1 << 20), max_size=60), st.integers(0, 1 << 24))
def test_what_is_chosen_is_enough_or_all_there_is(amounts: list[int], wanted: int) -> None:
    free = spent(*amounts)

    chosen = choose(free, wanted)

    total = sum(proof.amount for proof in chosen)
    assert total >= min(wanted, sum(amounts))
    assert len({proof.key for proof in chosen}) == len(chosen)
    assert all(total - proof.amount < wanted for proof in chosen[-1:])


@given(st.integers(0, 1 << 40))
def test_split_adds_up(amount: int) -> None:
    parts = split(amount)

    assert sum(parts) == amount
    assert list(parts) == sorted(set(parts))
