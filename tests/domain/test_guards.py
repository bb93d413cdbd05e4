from __future__ import annotations

import pytest

from domain.errors import LedgerBrokenError
from domain.guards import AccountRow, GuardRows, KeysetRow
from tests.domain.given import ALICE, KEYSET, MINT


def test_what_an_account_has_is_added_up() -> None:
    rows = GuardRows()

    rows.add(ALICE, 100)
    rows.add(ALICE, -30, 30)

    assert rows.accounts.get(ALICE) == AccountRow(70, 30, "", "")
    assert rows.accounts.changed == {ALICE}


@pytest.mark.parametrize(("available_msat", "held_msat"), [(-11, 0), (0, -1), (-11, 11)])
def test_nothing_falls_below_zero(available_msat: int, held_msat: int) -> None:
    rows = GuardRows()
    rows.add(ALICE, 10)

    with pytest.raises(LedgerBrokenError, match=str(ALICE)):
        rows.add(ALICE, available_msat, held_msat)

    assert rows.accounts.get(ALICE) == AccountRow(10, 0, "", "")


def test_the_home_of_an_account_is_where_its_newest_deposit_came_from() -> None:
    rows = GuardRows()

    rows.set_home(ALICE, MINT, "sat")
    rows.add(ALICE, 5)
    rows.set_home(ALICE, "https://other.example", "msat")

    assert rows.accounts.get(ALICE) == AccountRow(5, 0, "https://other.example", "msat")


def test_counters_only_go_up() -> None:
    rows = GuardRows()

    rows.use_counters(KEYSET, MINT, "sat", 0, 5)
    rows.use_counters(KEYSET, MINT, "sat", 1, 2)

    assert rows.keysets.get(KEYSET) == KeysetRow(MINT, "sat", 5)


def test_a_row_that_is_dropped_is_known_to_be_changed() -> None:
    rows = GuardRows()
    rows.use_counters(KEYSET, MINT, "sat", 0, 5)
    rows.keysets.changed.clear()

    rows.keysets.drop(KEYSET)
    rows.keysets.drop("never there")

    assert rows.keysets.get(KEYSET) is None
    assert rows.keysets.changed == {KEYSET, "never there"}
