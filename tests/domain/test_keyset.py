from __future__ import annotations

import msgspec
import pytest

from domain.errors import CountersMovedError, KeysetTakenError
from domain.event import Entry
from domain.guards import GuardRows, KeysetRow
from domain.identity import advance_of_keyset
from domain.keyset import AdvanceKeyset, KeysetAdvanced
from projections.audit import Auditor
from tests.domain.given import KEYSET, MINT, deposited, fold, made

HISTORY = deposited()
"""It has used the counters 0, 1 and 2."""


def found(counter_from: int = 3, counter_to: int = 9, mint: str = MINT) -> AdvanceKeyset:
    return AdvanceKeyset(mint, "sat", KEYSET, counter_from, counter_to, 4, 21_000)


def read(*entries: Entry) -> str:
    return Auditor().read(enumerate(entries, 1)) or "all is well"


def test_counters_the_log_did_not_know_are_passed_over() -> None:
    rows = fold(*HISTORY)

    entry = made(found(), rows)

    assert isinstance(entry.event, KeysetAdvanced)
    assert entry.stream == advance_of_keyset(KEYSET, 3)
    assert rows.keysets.get(KEYSET) == KeysetRow(MINT, "sat", 9)
    assert rows.accounts.rows == fold(*HISTORY).accounts.rows
    assert rows.proofs.rows == fold(*HISTORY).proofs.rows


def test_a_keyset_the_log_has_never_seen_begins_with_0() -> None:
    rows = GuardRows()

    made(found(0, 9), rows)

    assert rows.keysets.get(KEYSET) == KeysetRow(MINT, "sat", 9)


def test_what_was_found_where_counters_are_in_use_by_now_is_looked_for_anew() -> None:
    for counter_from in (0, 2, 4):
        with pytest.raises(CountersMovedError):
            made(found(counter_from), fold(*HISTORY))


def test_a_mint_gains_nothing_by_a_keyset_of_another() -> None:
    with pytest.raises(KeysetTakenError):
        made(found(mint="https://evil.example"), fold(*HISTORY))


def test_counters_are_passed_over_once() -> None:
    entry = made(found(), fold(*HISTORY))

    assert made(found(), fold(*HISTORY), entry) == entry
    with pytest.raises(CountersMovedError):
        made(found(), fold(*HISTORY, entry), entry)


def test_the_auditor_wants_them_to_lie_behind_what_is_known() -> None:
    entry = made(found(), fold(*HISTORY))
    first = made(found(0, 9), GuardRows())
    assert isinstance(entry.event, KeysetAdvanced)
    nothing = msgspec.structs.replace(entry.event, counter_to=3)

    assert read(*HISTORY, entry) == read(first) == "all is well"
    assert "other counters" in read(*HISTORY, first)
    assert "begins with version 2" in read(*HISTORY, entry._replace(version=2))
    assert "passes over nothing" in read(*HISTORY, Entry(entry.stream, 1, nothing))
