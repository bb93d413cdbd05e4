"""What tests of foreign tokens ask of a house."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.foreign import ForeignCredited, ForeignQuoted
from tests.cashier.house import ALICE, House, stream_of

if TYPE_CHECKING:
    from uuid import UUID

FACE_SAT = 200
MELT, MELT_QUOTE = "melt/bolt11", "melt/quote/bolt11"


def credited(house: House, token: str, account_id: UUID = ALICE) -> ForeignCredited:
    end = house.deposit(token, account_id)
    assert isinstance(end, ForeignCredited)
    return end


def bill_of(house: House, token: str) -> str:
    quoted = house.events(stream_of(token))[0]
    assert isinstance(quoted, ForeignQuoted)
    return quoted.bill.quote
