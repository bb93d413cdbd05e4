"""The journal: every arrow of money there ever was, one line each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.posting import postings
from projections.rates import named_in
from projections.sheet import Line, Sheet

if TYPE_CHECKING:
    from collections.abc import Sequence

    from domain.event import Entry


def lines(position: int, entry: Entry) -> Sequence[Line]:
    """Return the journal's lines for the entry at `position`, in the order of the columns."""
    stream, _, event = entry
    btc_usd = named_in(event)
    return [
        (position, line, event.at, stream, event.TOPIC, *arrow, btc_usd)
        for line, arrow in enumerate(postings(event))
    ]


JOURNAL = Sheet(
    name="journal",
    columns=(
        ("position", "int"),
        ("line", "int"),
        ("at", "time"),
        ("stream", "uuid"),
        ("topic", "text"),
        ("source", "text"),
        ("destination", "text"),
        ("amount_msat", "int"),
        ("btc_usd", "text"),
    ),
    key_count=2,
    indexes=(
        ("journal_source", "(source, position)"),
        ("journal_destination", "(destination, position)"),
        ("journal_stream", "(stream)"),
    ),
    lines=lines,
)
