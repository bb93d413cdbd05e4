"""One event as others are told of it, while it happens: what moved from where to where."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from domain.hold import Charged, Held, Released
from domain.posting import postings

if TYPE_CHECKING:
    from domain.event import Entry


def telling(position: int, entry: Entry) -> dict[str, Any]:
    """Return what is told of an event; ids, amounts in msat and names of accounts only.

    `position` orders all there is to tell, and is told again by who repeats it.
    """
    stream, version, event = entry
    told: dict[str, Any] = {
        "position": position,
        "event": event.TOPIC,
        "movement": str(stream),
        "version": version,
        "at": event.at.isoformat(),
        "postings": [arrow._asdict() for arrow in postings(event)],
    }
    if isinstance(event, Held | Charged | Released):
        told["request_id"] = str(stream)
    if isinstance(event, Held | Charged):
        told["model"] = event.terms.model
    return told
