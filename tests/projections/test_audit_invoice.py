from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from domain.event import Entry
from projections.audit import Auditor
from tests.domain.given import BOB
from tests.domain.test_invoice import BILL, INVOICE_ID, LAPSED, OPENED, PLANNED, paid

if TYPE_CHECKING:
    from domain.event import Event

CREDITED = paid()[-1]


def read(*entries: Entry) -> str | None:
    return Auditor().read(enumerate(entries, 1))


def falsified(entry: Entry, **fields: Any) -> Entry:
    event: Event = msgspec.structs.replace(entry.event, **fields)
    return entry._replace(event=event)


def other_bill(**fields: Any) -> Any:
    return msgspec.structs.replace(BILL, **fields)


def test_invoices_that_went_their_way_are_believed() -> None:
    assert read(*paid()) is None
    assert read(OPENED, LAPSED) is None
    replanned = Entry(INVOICE_ID, 3, PLANNED.event)
    assert read(OPENED, PLANNED, replanned, CREDITED._replace(version=4)) is None


@pytest.mark.parametrize(
    ("entries", "wrong"),
    [
        ((PLANNED,), "follows nothing"),
        ((CREDITED,), "follows nothing"),
        ((OPENED._replace(version=2),), "begins with version 2"),
        ((OPENED, PLANNED._replace(version=3)), "is version 3 after 1"),
        ((*paid(), CREDITED._replace(version=4)), "follows nothing"),
        ((OPENED, LAPSED, PLANNED._replace(version=3)), "follows nothing"),
    ],
)
def test_an_invoice_goes_its_way_to_one_end(entries: tuple[Entry, ...], wrong: str) -> None:
    assert wrong in str(read(*entries))


@pytest.mark.parametrize(
    ("changed", "wrong"),
    [
        (falsified(PLANNED, bill=other_bill(account_id=BOB)), "changes what is to be paid"),
        (falsified(CREDITED, account_id=BOB), "ends another invoice"),
        (falsified(CREDITED, mint="https://other.example"), "ends another invoice"),
        (falsified(CREDITED, credited_msat=100_001), "credits what no proof is worth"),
    ],
)
def test_what_an_invoice_says_does_not_change(changed: Entry, wrong: str) -> None:
    entries = [changed if entry.version == changed.version else entry for entry in paid()]

    assert wrong in str(read(*entries))


def test_more_is_neither_minted_nor_credited_than_was_asked_for() -> None:
    bill = other_bill(amount=99)
    opened, planned = falsified(OPENED, bill=bill), falsified(PLANNED, bill=bill)
    assert "mints another amount" in str(read(opened, planned))

    assert "credits another amount" in str(read(opened, CREDITED._replace(version=2)))
