from __future__ import annotations

from domain.guards import ReconciledRow
from domain.identity import reconciliation_of
from domain.posting import postings
from domain.reconcile import Compared, Reconcile
from tests.domain.given import LATER, MINT, fold, made

COMPARED = Compared(
    booked_msat=100_000,
    free_msat=60_000,
    in_flight_msat=20_000,
    stuck_msat=5_000,
    uncollected_msat=14_000,
)


def test_what_has_no_name_is_unexplained() -> None:
    entry = made(Reconcile(MINT, COMPARED), fold())
    rows = fold(entry)

    assert COMPARED.unexplained_msat == 1_000
    assert (entry.stream, entry.version) == (reconciliation_of(MINT), 1)
    assert rows.reconciled.rows == {MINT: ReconciledRow(1, 1_000, LATER)}
    assert postings(entry.event) == []


def test_a_later_comparison_follows_and_a_simultaneous_one_is_enough() -> None:
    first = made(Reconcile(MINT, COMPARED), fold())
    second = made(Reconcile(MINT, COMPARED), fold(first), first)

    assert second.version == 2
    assert made(Reconcile(MINT, COMPARED), fold(), first) == first
