from __future__ import annotations

import msgspec
import pytest

from domain.deposit import Plan, Replan, Signed
from domain.errors import (
    KeysetTakenError,
    LedgerBrokenError,
    LedgerError,
    MovementEndedError,
    TokenTakenError,
    UnknownMovementError,
)
from domain.event import Entry
from domain.foreign import (
    ArriveForeign,
    CreditForeign,
    ForeignArrived,
    ForeignCredited,
    ForeignMelt,
    ForeignQuoted,
    ForeignRefused,
    QuoteForeign,
    RefuseForeign,
)
from domain.guards import FOREIGN, AccountRow, KeysetRow, MovementRow
from domain.posting import Posting, available, mint, postings
from tests.domain.given import (
    ALICE,
    AT,
    BOB,
    KEYSET,
    LATER,
    MINT,
    answers,
    claim,
    fold,
    made,
    name,
    signed,
)
from tests.domain.test_invoice import AMOUNTS, BILL, PLAN

FOREIGN_ID = name(400)
FOREIGN_MINT = "https://foreign.example"
FOREIGN_KEYSET = "00feedfeedfeed00"
BLANKS = Plan(keyset_id=FOREIGN_KEYSET, counter_from=0, amounts=(0, 0, 0))
MELT = ForeignMelt(quote="melt", amount=100, fee_reserve=4, input_fee=1, blanks=BLANKS)
CLAIM = claim(ALICE, 110, 1, FOREIGN_MINT)
QUOTED_EVENT = ForeignQuoted(at=AT, claim=CLAIM, bill=BILL, melt=MELT)
QUOTED = Entry(FOREIGN_ID, 1, QUOTED_EVENT)
ARRIVED_EVENT = ForeignArrived(
    at=AT, from_mint=FOREIGN_MINT, face_msat=110_000, bill=BILL, plan=PLAN
)
ARRIVED = Entry(FOREIGN_ID, 2, ARRIVED_EVENT)
REFUSED = Entry(
    FOREIGN_ID,
    2,
    ForeignRefused(at=AT, account_id=ALICE, mint=FOREIGN_MINT, reason="no", claims=False),
)
PROOFS = signed(PLAN)
CHANGE = (Signed(keyset_id=FOREIGN_KEYSET, counter=0, amount=8, c="c"),)


def quote(version: int = 0, account_id: object = ALICE) -> QuoteForeign:
    owned = msgspec.structs.replace(CLAIM, account_id=account_id)
    return QuoteForeign(FOREIGN_ID, version, owned, BILL, MELT)


def arrive(version: int = 1) -> ArriveForeign:
    return ArriveForeign(FOREIGN_ID, version, QUOTED_EVENT, KEYSET, AMOUNTS)


def credit(version: int = 2, change: tuple[Signed, ...] = CHANGE) -> CreditForeign:
    return CreditForeign(FOREIGN_ID, version, ARRIVED_EVENT, PROOFS, change, "sat")


def refuse(version: int = 1, *, claims: bool = False) -> RefuseForeign:
    return RefuseForeign(FOREIGN_ID, version, QUOTED_EVENT, "no" * 200, claims)


def credited() -> tuple[Entry, Entry, Entry]:
    return QUOTED, ARRIVED, made(credit(), fold(QUOTED, ARRIVED))


def test_a_quote_moves_no_money_and_touches_no_counters() -> None:
    """M7: a foreign mint that copies a keyset id of ours gets nowhere near our purse."""
    entry = made(quote(), fold())

    assert entry == Entry(FOREIGN_ID, 1, msgspec.structs.replace(QUOTED_EVENT, at=LATER))
    rows = fold(entry)
    assert rows.accounts.rows == {}
    assert rows.keysets.rows == {}
    assert rows.movements.get(FOREIGN_ID) == MovementRow(FOREIGN, 1, ALICE, MINT, LATER)
    assert QUOTED_EVENT.owner == ALICE
    assert MELT.most == 105


def test_a_token_is_quoted_once_and_for_one_account() -> None:
    assert made(quote(), fold(QUOTED), QUOTED) == QUOTED
    with pytest.raises(TokenTakenError):
        made(quote(account_id=BOB), fold(QUOTED), QUOTED)
    history = credited()
    assert made(quote(), fold(*history), *history) == history[-1]
    with pytest.raises(TokenTakenError):
        made(quote(account_id=BOB), fold(*history), *history)


def test_a_refused_token_may_begin_again_for_anybody() -> None:
    again = made(quote(2, BOB), fold(QUOTED, REFUSED), QUOTED, REFUSED)

    assert (again.version, type(again.event)) == (3, ForeignQuoted)
    assert REFUSED.event.may_begin_again  # type: ignore[attr-defined]
    assert REFUSED.event.owner is None  # type: ignore[attr-defined]


def test_a_refused_token_may_become_a_deposit_when_its_mint_is_trusted() -> None:
    command = Replan(FOREIGN_ID, 2, claim(), KEYSET, AMOUNTS)

    assert made(command, fold(QUOTED, REFUSED), QUOTED, REFUSED).version == 3


def test_what_arrived_is_minted_at_counters_nobody_has_used() -> None:
    rows = fold(QUOTED)
    rows.keysets.put(KEYSET, KeysetRow(MINT, "sat", 7))

    entry = made(arrive(), rows, QUOTED)

    arrived = entry.event
    assert isinstance(arrived, ForeignArrived)
    assert (entry.version, arrived.plan.counter_from, arrived.bill) == (2, 7, BILL)
    assert (arrived.from_mint, arrived.face_msat) == (FOREIGN_MINT, 110_000)
    assert arrived.owner == ALICE
    arrived.apply(rows, FOREIGN_ID, 2)
    assert rows.keysets.get(KEYSET) == KeysetRow(MINT, "sat", 10)
    assert rows.accounts.rows == {}


def test_what_arrives_late_is_honoured() -> None:
    entry = made(arrive(2), fold(QUOTED, REFUSED), QUOTED, REFUSED)

    assert (entry.version, type(entry.event)) == (3, ForeignArrived)


def test_the_keyset_of_another_mint_is_not_minted_in() -> None:
    rows = fold(QUOTED)
    rows.keysets.put(KEYSET, KeysetRow(FOREIGN_MINT, "sat", 0))

    with pytest.raises(KeysetTakenError):
        made(arrive(), rows, QUOTED)


def test_two_that_find_it_arrived_plan_once() -> None:
    assert made(arrive(), fold(QUOTED, ARRIVED), QUOTED, ARRIVED) == ARRIVED


def test_what_is_credited_is_what_arrived_and_the_fee_is_told() -> None:
    entry = credited()[-1]

    event = entry.event
    assert isinstance(event, ForeignCredited)
    assert (event.credited_msat, event.change_msat, event.fee_msat) == (100_000, 8_000, 2_000)
    assert event.owner == ALICE
    rows = fold(*credited())
    assert rows.accounts.get(ALICE) == AccountRow(100_000, 0, MINT, "sat")
    assert rows.movements.rows == {}
    assert sum(row.amount for row in rows.proofs.rows.values()) == 100
    assert postings(event) == [Posting(mint(MINT), available(ALICE), 100_000)]


def test_a_credit_is_made_once() -> None:
    history = credited()

    assert made(credit(), fold(*history), *history) == history[-1]
    with pytest.raises(MovementEndedError):
        made(refuse(2), fold(*history), *history)


def test_a_token_never_yields_more_than_it_was_worth() -> None:
    much = (msgspec.structs.replace(CHANGE[0], amount=16),)

    with pytest.raises(LedgerBrokenError):
        made(credit(change=much), fold(QUOTED, ARRIVED), QUOTED, ARRIVED)


def test_a_refusal_moves_no_money() -> None:
    entry = made(refuse(claims=True), fold(QUOTED), QUOTED)

    event = entry.event
    assert isinstance(event, ForeignRefused)
    assert (event.claims, len(event.reason)) == (True, 200)
    rows = fold(QUOTED, entry)
    assert rows.movements.rows == {}
    assert rows.accounts.rows == {}
    assert postings(event) == []


def test_a_refusal_is_made_once_and_not_after_it_arrived() -> None:
    assert made(refuse(), fold(QUOTED, REFUSED), QUOTED, REFUSED) == REFUSED
    with pytest.raises(MovementEndedError):
        made(refuse(), fold(QUOTED, ARRIVED), QUOTED, ARRIVED)


@pytest.mark.parametrize("command", [credit(), refuse()])
def test_what_was_never_quoted_has_no_end(command: CreditForeign | RefuseForeign) -> None:
    (answer,) = answers([command], fold())

    assert isinstance(answer, LedgerError)
    with pytest.raises(UnknownMovementError):
        made(command, fold())
