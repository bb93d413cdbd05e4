from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from domain.errors import NothingLostError
from domain.lost import LoseProofs, ProofsLost
from domain.purse import Spent
from domain.refund import Start
from projections.audit import Auditor
from tests.domain.given import ALICE, KEYSET, PURSE, deposited, fold, made, name

if TYPE_CHECKING:
    from domain.event import Entry

HISTORY = deposited()
"""It has made proofs of 4, 32 and 64 sat."""

SPENT = tuple(
    Spent(keyset_id=KEYSET, counter=counter, amount=amount)
    for counter, amount in ((0, 4), (2, 64), (9, 8))
)
LOSE = LoseProofs(name(600), PURSE, SPENT)


def read(*entries: Entry) -> str:
    return Auditor().read(enumerate(entries, 1)) or "all is well"


def test_what_is_spent_and_was_free_is_lost() -> None:
    rows = fold(*HISTORY)

    entry = made(LOSE, rows)

    assert isinstance(entry.event, ProofsLost)
    assert (entry.event.proofs, entry.event.lost_msat) == (SPENT[:2], 68_000)
    assert [row.amount for row in rows.proofs.rows.values()] == [32]
    assert made(LOSE, fold(*HISTORY), entry) == entry
    assert read(*HISTORY, entry) == "all is well"


def test_what_a_movement_has_set_aside_is_not_lost() -> None:
    begun = made(Start(name(300), ALICE, PURSE), fold(*HISTORY))

    with pytest.raises(NothingLostError):
        made(LOSE, fold(*HISTORY, begun))


def test_the_auditor_wants_it_to_have_been_free() -> None:
    entry = made(LOSE, fold(*HISTORY))
    begun = made(Start(name(300), ALICE, PURSE), fold(*HISTORY))

    assert "proof that is reserved" in read(*HISTORY, begun, entry)
    assert "begins with version 2" in read(*HISTORY, entry._replace(version=2))
