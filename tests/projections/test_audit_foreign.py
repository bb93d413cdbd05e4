from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from projections.audit import Auditor
from tests.domain.given import BOB, KEYSET, MINT
from tests.domain.test_foreign import (
    ARRIVED,
    CLAIM,
    MELT,
    QUOTED,
    REFUSED,
    credited,
)
from tests.domain.test_invoice import BILL, PLAN

if TYPE_CHECKING:
    from domain.event import Entry, Event

CREDITED = credited()[-1]


def read(*entries: Entry) -> str | None:
    return Auditor().read(enumerate(entries, 1))


def falsified(entry: Entry, **fields: Any) -> Entry:
    event: Event = msgspec.structs.replace(entry.event, **fields)
    return entry._replace(event=event)


def other(struct: msgspec.Struct, **fields: Any) -> Any:
    return msgspec.structs.replace(struct, **fields)


def at(version: int, entry: Entry) -> Entry:
    return entry._replace(version=version)


def test_foreign_tokens_that_went_their_way_are_believed() -> None:
    assert read(QUOTED, ARRIVED, CREDITED) is None
    assert read(QUOTED, REFUSED, at(3, QUOTED), at(4, ARRIVED), at(5, CREDITED)) is None
    assert read(QUOTED, ARRIVED, at(3, ARRIVED), at(4, CREDITED)) is None


def test_what_arrived_late_is_believed() -> None:
    assert read(QUOTED, REFUSED, at(3, ARRIVED), at(4, CREDITED)) is None


@pytest.mark.parametrize(
    ("entries", "wrong"),
    [
        ((at(2, QUOTED),), "is version 2 after 0"),
        ((QUOTED, at(2, QUOTED)), "follows foreign"),
        ((ARRIVED,), "follows nothing"),
        ((QUOTED, at(2, CREDITED)), "credited before it has arrived"),
        ((QUOTED, ARRIVED, at(3, REFUSED)), "refused after it has arrived"),
        ((QUOTED, ARRIVED, CREDITED, at(4, QUOTED)), "is version 4 after 0"),
    ],
)
def test_a_foreign_token_goes_its_way_to_one_end(
    entries: tuple[Entry, ...], wrong: str
) -> None:

    assert wrong in str(read(*entries))


@pytest.mark.parametrize(
    ("entries", "wrong"),
    [
        ((falsified(QUOTED, melt=other(MELT, amount=106)),), "more than the token is worth"),
        ((falsified(QUOTED, claim=other(CLAIM, unit="usd")),), "counted in usd"),
        ((falsified(QUOTED, claim=other(CLAIM, account_id=BOB)),), "two accounts"),
        ((falsified(QUOTED, claim=other(CLAIM, mint=MINT)),), "melted at the mint"),
        ((QUOTED, falsified(ARRIVED, bill=other(BILL, amount=7))), "nobody asked"),
        ((QUOTED, falsified(ARRIVED, face_msat=1)), "nobody asked"),
        (
            (QUOTED, falsified(ARRIVED, plan=other(PLAN, amounts=(1,), keyset_id=KEYSET))),
            "another amount",
        ),
        ((QUOTED, ARRIVED, falsified(CREDITED, account_id=BOB)), "another token"),
        ((QUOTED, ARRIVED, falsified(CREDITED, proofs=())), "no proof is worth"),
        ((QUOTED, ARRIVED, falsified(CREDITED, fee_msat=3_000)), "do not add up"),
        (
            (QUOTED, ARRIVED, falsified(CREDITED, fee_msat=-1_000, change_msat=11_000)),
            "less than 0",
        ),
    ],
)
def test_a_foreign_token_that_was_falsified_is_noticed(
    entries: tuple[Entry, ...], wrong: str
) -> None:
    assert wrong in str(read(*entries))


def test_a_credit_over_another_amount_than_was_billed_is_noticed() -> None:
    event = CREDITED.event
    fewer = event.proofs[:-1]  # type: ignore[attr-defined]
    worth = sum(proof.amount for proof in fewer) * 1_000
    less = falsified(CREDITED, proofs=fewer, credited_msat=worth, fee_msat=102_000 - worth)

    assert "another amount" in str(read(QUOTED, ARRIVED, less))
