"""Keys of strangers, and what they sign."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import msgspec

from app.gateways.nostr.key import NostrKey

if TYPE_CHECKING:
    from app.gateways.nostr.event import NostrEvent, Tags

ALICE, BOB, CAROL = (NostrKey(bytes([number]) * 32) for number in (1, 2, 3))
KIND = 38_421
NOW_S = 1_700_000_000
TAGS: Tags = (("d", "shop"), ("u", "https://shop.example.com"))
CONTENT = '{"name":"Shop","about":"Sells ✓ \\"words\\""}'


@cache  # two signatures of one event differ
def signed(
    key: NostrKey = ALICE,
    kind: int = KIND,
    tags: Tags = TAGS,
    content: str = CONTENT,
    at_s: int = NOW_S,
) -> NostrEvent:
    return key.signed(kind, tags, content, at_s)


def as_table(event: NostrEvent) -> dict[str, Any]:
    table: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(event))
    return table
