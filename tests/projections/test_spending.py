from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from domain.deposit import Plan
from domain.event import Entry
from domain.swap import SelfSwap, SwapDone
from projections.spending import spent_on_day_msat
from tests.domain.given import AT, KEYSET, MINT, credited, name, received
from tests.projections.conftest import follow
from tests.projections.story import put

if TYPE_CHECKING:
    from datetime import datetime

    from tests.store.places import Store

DAY = timedelta(days=1)


def done(number: int, at: datetime, fee_msat: int) -> Entry:
    plan = Plan(keyset_id=KEYSET, counter_from=0, amounts=())
    swap = SelfSwap(mint=MINT, unit="sat", inputs=(), plan=plan, fee_msat=fee_msat)
    return Entry(name(number), 1, SwapDone(at=at, swap=swap, proofs=()))


@pytest.mark.parametrize("told", [0, 2, 4])
def test_what_was_spent_on_a_day_is_known_whatever_the_followers_have_told(
    store: Store, told: int
) -> None:
    begun = received()
    entries = [
        begun,
        credited(begun),
        done(500, AT - DAY, 16_000),
        done(501, AT, 1_000),
        done(502, AT, 2_000),
        done(503, AT + DAY, 4_000),
    ]
    put(store, entries[:told])
    follow(store)
    put(store, entries[told:])

    spent = [spent_on_day_msat(store, AT + number * DAY) for number in (-2, -1, 0, 1)]

    assert spent == [0, 16_000, 3_000, 4_000]
