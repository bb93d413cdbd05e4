from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from domain.deposit import Plan
from domain.event import Entry
from domain.identity import OWNER, reconciliation_of
from domain.reconcile import Compared, Reconciled
from projections.audit import Auditor
from tests.domain.given import AT, BOB, KEYSET, MINT
from tests.domain.test_payout import (
    HISTORY,
    abandoned,
    cancelled,
    paid,
    payment_of,
    started,
)
from tests.domain.test_solvency import earned

if TYPE_CHECKING:
    from domain.event import Event

STARTED = started()
PAID = paid(STARTED, 8, 4, 1)
ABANDONED = abandoned(STARTED)
CANCELLED = cancelled(STARTED, ABANDONED)
PAYMENT = payment_of(STARTED)


def read(*entries: Entry) -> str | None:
    return Auditor().read(enumerate([*HISTORY, *entries], 1))


def falsified(entry: Entry, **fields: Any) -> Entry:
    event: Event = msgspec.structs.replace(entry.event, **fields)
    return entry._replace(event=event)


def other(**fields: Any) -> Any:
    return msgspec.structs.replace(PAYMENT, **fields)


def test_payouts_that_went_their_way_are_believed() -> None:
    assert read(STARTED, PAID) is None
    assert read(STARTED, ABANDONED, CANCELLED) is None
    assert read(STARTED, ABANDONED, PAID._replace(version=3)) is None
    assert read(STARTED, ABANDONED, ABANDONED._replace(version=3)) is None


@pytest.mark.parametrize(
    ("entries", "wrong"),
    [
        ((PAID,), "follows nothing"),
        ((STARTED, CANCELLED._replace(version=2)), "signed for other amounts"),
        ((STARTED, PAID, PAID._replace(version=3)), "follows nothing"),
        ((STARTED, PAID._replace(version=3)), "is version 3 after 1"),
        ((STARTED._replace(version=2),), "begins with version 2"),
        ((STARTED, STARTED._replace(stream=BOB)), "spends a proof that is reserved"),
    ],
)
def test_a_payout_goes_its_way_to_one_end(entries: tuple[Entry, ...], wrong: str) -> None:
    assert wrong in str(read(*entries))


@pytest.mark.parametrize(
    ("entries", "wrong"),
    [
        ((falsified(STARTED, payment=other(fee_reserve=-1)),), "pays less than 0"),
        ((falsified(STARTED, payment=other(unit="usd")),), "spends a proof that is not there"),
        ((falsified(STARTED, payment=other(amount=61)),), "takes more than it spends"),
        ((STARTED, falsified(PAID, payment=other(account_id=BOB))), "another payment"),
        ((STARTED, falsified(PAID, lightning_fee=0)), "another fee"),
        (
            (STARTED, falsified(PAID, lightning_fee=-13, proofs=PAID.event.proofs * 2)),  # type: ignore[attr-defined]
            "",
        ),
        (
            (
                STARTED,
                falsified(
                    ABANDONED, plan=Plan(keyset_id=KEYSET, counter_from=9, amounts=(8, 1))
                ),
            ),
            "takes another amount back",
        ),
        ((STARTED, ABANDONED, falsified(CANCELLED, proofs=())), "for other amounts"),
    ],
)
def test_what_a_payout_says_adds_up(entries: tuple[Entry, ...], wrong: str) -> None:
    found = read(*entries)

    assert found is not None
    assert wrong in found


def test_the_owner_has_taken_nothing_that_was_owed() -> None:
    drawn = falsified(STARTED, payment=other(account_id=OWNER))

    assert "draws 54000 msat where 0 are left" in str(read(drawn))
    served = earned(54_000)
    assert Auditor().read(enumerate([*served, drawn], 1)) is None
    served = earned(53_999)
    assert "draws 54000" in str(Auditor().read(enumerate([*served, drawn], 1)))


def test_comparisons_are_numbered() -> None:
    event = Reconciled(at=AT, mint=MINT, compared=Compared(booked_msat=0, free_msat=0))
    first = Entry(reconciliation_of(MINT), 1, event)

    assert read(first, first._replace(version=2)) is None
    assert "is version 2" in str(read(first._replace(version=2)))
    assert "is version 3" in str(read(first, first._replace(version=3)))
