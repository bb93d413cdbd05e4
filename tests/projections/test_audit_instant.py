from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from domain.event import Entry
from domain.instant import BatchReplanned
from projections.audit import Auditor
from tests.domain.given import ALICE, BOB, claim, fold, made, name
from tests.domain.test_instant import (
    BATCH_ID,
    BATCH_OF_TWO,
    CLAIM,
    CREDITED,
    DEPOSITS,
    OTHER,
    PLAN,
    PLANNED,
    lose,
    part,
    swap,
)

if TYPE_CHECKING:
    from domain.event import Event

ROWS = (CREDITED, OTHER, PLANNED)
SWAPPED = made(swap(), fold(*ROWS), PLANNED)
PARTED = made(part(), fold(*ROWS), PLANNED)
LOST = made(lose(), fold(*ROWS), CREDITED)
AGAIN = PLANNED._replace(stream=name(505))


def read(*entries: Entry) -> str | None:
    return Auditor().read(enumerate(entries, 1))


def falsified(entry: Entry, **fields: Any) -> Entry:
    event: Event = msgspec.structs.replace(entry.event, **fields)
    return entry._replace(event=event)


def batch(**fields: Any) -> Any:
    return msgspec.structs.replace(BATCH_OF_TWO, **fields)


def test_locked_tokens_that_went_their_way_are_believed() -> None:

    replanned = Entry(BATCH_ID, 2, BatchReplanned(at=PLANNED.event.at, batch=BATCH_OF_TWO))
    assert read(*ROWS, SWAPPED) is None
    assert read(*ROWS, replanned, SWAPPED._replace(version=3)) is None
    assert read(*ROWS, PARTED, AGAIN) is None
    assert read(*ROWS, LOST, PARTED) is None


@pytest.mark.parametrize(
    ("entries", "wrong"),
    [
        ((CREDITED._replace(version=2),), "is version 2 after 0"),
        ((CREDITED, CREDITED._replace(version=2)), "follows instant"),
        ((CREDITED, CREDITED._replace(stream=BOB)), "for the second time"),
        ((CREDITED, LOST), "follows instant"),
        ((SWAPPED,), "follows nothing"),
        ((CREDITED, PLANNED), "swaps what does not wait"),
        ((*ROWS, AGAIN), "swaps what does not wait"),
        ((*ROWS, SWAPPED, PARTED._replace(version=3)), "is version 3 after 0"),
    ],
)
def test_a_locked_token_goes_its_way_to_one_end(entries: tuple[Entry, ...], wrong: str) -> None:
    assert wrong in str(read(*entries)) or "follows nothing" in str(read(*entries))


@pytest.mark.parametrize(
    ("entries", "wrong"),
    [
        ((falsified(CREDITED, claim=claim(ALICE, 1, 1)),), "credits nothing"),
        (
            (falsified(CREDITED, claim=msgspec.structs.replace(CLAIM, unit="usd")),),
            "counted in usd",
        ),
        ((falsified(CREDITED, ys=()),), "credits no proof"),
        ((CREDITED, OTHER, falsified(PLANNED, batch=batch(unit="msat"))), "another token"),
        (
            (
                CREDITED,
                OTHER,
                falsified(
                    PLANNED,
                    batch=batch(
                        deposits=(msgspec.structs.replace(DEPOSITS[0], credited_msat=1),)
                    ),
                ),
            ),
            "another token",
        ),
        ((*ROWS, falsified(SWAPPED, batch=batch(deposits=DEPOSITS[:1]))), "another batch"),
        ((*ROWS, falsified(PARTED, batch=batch(deposits=DEPOSITS[:1]))), "another batch"),
        ((*ROWS, falsified(SWAPPED, proofs=())), "other amounts"),
        ((*ROWS, falsified(LOST, lost_msat=1)), "loses another token"),
    ],
)
def test_a_locked_token_that_was_falsified_is_noticed(
    entries: tuple[Entry, ...], wrong: str
) -> None:
    assert wrong in str(read(*entries))


def test_a_batch_that_changes_what_it_swaps_is_noticed() -> None:

    at = PLANNED.event.at
    for changed in (
        batch(deposits=DEPOSITS[:1]),
        batch(plan=msgspec.structs.replace(PLAN, amounts=(1,))),
    ):
        replanned = Entry(BATCH_ID, 2, BatchReplanned(at=at, batch=changed))
        assert "changes what it swaps" in str(read(*ROWS, replanned))
