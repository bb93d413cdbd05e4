"""What the house has spent on mints' fees, so that its order costs no more than it may."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.posting import FEES_MINT, postings
from projections.chart import Source, told_upto
from projections.moments import day_of

if TYPE_CHECKING:
    from datetime import datetime


def spent_on_day_msat(source: Source, moment: datetime) -> int:
    """Return what mints have kept of the house's own proofs on the day of `moment`, in UTC.

    What the followers have not told yet is read from the log. Raises `NotToldError`.
    """
    head, day = source.head(), day_of(moment)
    with source.snapshot() as query:
        upto = told_upto(query)
        found = query(
            "SELECT out_msat FROM daily WHERE account = ? AND day = ?", [FEES_MINT, day]
        )
    spent_msat = int(found[0][0]) if found else 0
    for page in source.log(upto, max(head, upto)):
        for _, entry in page:
            if day_of(entry.event.at) == day:
                spent_msat += sum(
                    arrow.amount_msat
                    for arrow in postings(entry.event)
                    if arrow.source == FEES_MINT
                )
    return spent_msat
