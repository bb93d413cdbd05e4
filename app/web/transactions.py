"""One transaction of an account, as its owner is told of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from domain.hold import Charged, Held, Released
from domain.reclaim import Swept
from domain.refund import Collected

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from app.web.admin.log import Told
    from projections.history import Change

OF_HOLDS = frozenset({Held.TOPIC, Charged.TOPIC, Released.TOPIC})
SOURCES = {
    "deposit": "cashu",
    "donation": "donation",
    "foreign": "cashu",
    "hold": "request",
    "invoice": "lightning",
    "payout": "lightning",
    "refund": "cashu",
}
"""What a movement is called by clients, by the first word of its events' topics."""


def transaction(change: Change, movement: Sequence[Told]) -> dict[str, Any]:
    """Return a change of an account as clients read it; amounts are msat.

    `movement` are the events of the movement it belongs to. `collected` and `swept` tell of
    a token that went out what became of it.
    """
    newest = movement[-1].event
    document: dict[str, Any] = {
        "id": f"{change.stream}.{change.position}",
        "type": "in" if change.change_msat > 0 else "out",
        "source": SOURCES.get(change.topic.partition(".")[0], "other"),
        "amount": abs(change.change_msat),
        "unit": "msat",
        "mint_url": change.mint or None,
        "created_at": int(change.at.timestamp()),
        "collected": isinstance(newest, Collected),
        "swept": isinstance(newest, Swept),
        "balance": change.balance_msat,
        "event": change.topic,
        "stream": str(change.stream),
    }
    if isinstance(newest, Charged):
        document["model"] = newest.terms.model
        key_id = key_of(movement)
        if key_id is not None:
            document["key"] = str(key_id)
    return document


def key_of(movement: Sequence[Told]) -> UUID | None:
    """Return the child key by which a request was made; `None` if it was the account's own."""
    held = movement[0].event
    if not isinstance(held, Held) or held.key_id == held.account_id:
        return None
    return held.key_id
