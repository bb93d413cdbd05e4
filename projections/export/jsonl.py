"""The log as JSON lines: every event exactly as it is stored, or the sums of each day."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from projections.chain import GENESIS, leaf, link, log_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from projections.export.record import Record


def jsonl(records: Iterable[Record], *, whole: bool = False) -> Iterator[str]:
    """Yield a line for each record; an event's line is that which the verifier reads.

    With `whole`, when nothing of the log was left out, each line has its link of the chain.
    """
    before = GENESIS
    for record in records:
        if record.origin is None:
            yield json.dumps(_sums(record), separators=(",", ":"), ensure_ascii=False) + "\n"
            continue
        stored = record.origin.stored
        if whole:
            before = link(before, leaf(stored))
        yield log_line(stored, before if whole else None) + "\n"


def _sums(record: Record) -> dict[str, object]:
    return {
        "day": record.day,
        "position": record.position,
        "events": record.events,
        "btc_usd": record.btc_usd,
        "postings": [arrow._asdict() for arrow in record.postings],
    }
