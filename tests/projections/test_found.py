from __future__ import annotations

from typing import TYPE_CHECKING

from domain.keyset import AdvanceKeyset
from projections.found import Found, read_found
from tests.domain.given import KEYSET, LATER, MINT, deposited, fold, made
from tests.projections.conftest import follow
from tests.projections.story import put

if TYPE_CHECKING:
    from tests.store.places import Store


def test_what_was_found_is_told(store: Store) -> None:
    history = deposited()
    entry = made(AdvanceKeyset(MINT, "sat", KEYSET, 3, 9, 4, 21_000), fold(*history))
    put(store, [*history, entry])
    follow(store)

    with store.snapshot() as query:
        told = read_found(query)

    assert told == [Found(LATER, MINT, "sat", KEYSET, 3, 9, 4, 21_000)]
