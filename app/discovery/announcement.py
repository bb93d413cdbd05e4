"""What providers announce of themselves on Nostr, read from events of strangers.

The kinds are Routstr's: 38421 (RIP-02), 31338 before it, and 38000 (NIP-87) by which others
recommend a provider. They are addressable (NIP-01): the newest of an author and a `d` holds.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from app.gateways.addresses import ONION, check_name, place_of
from app.gateways.errors import AddressBarredError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from app.gateways.nostr.event import NostrEvent

ANNOUNCEMENT, OLD_ANNOUNCEMENT, RECOMMENDATION = 38_421, 31_338, 38_000
KINDS: Final = (ANNOUNCEMENT, OLD_ANNOUNCEMENT)
URLS_MAX, MINTS_MAX, MODELS_MAX = 8, 32, 256
NAME_CHARS_MAX, TEXT_CHARS_MAX, WORD_CHARS_MAX = 100, 1_000, 200
AHEAD_MAX_S = 900.0
"""How far ahead of our clock an event may be dated: no other would ever be newer than it."""

UNNAMED = "Unknown Provider"


@dataclass(frozen=True, slots=True)
class Announcement:
    """A provider as it announces itself; the names are those `/v1/providers/` tells.

    `id` is its `d`, `event_id` the event's. `created_at` is in seconds. `recommended_by`
    counts the authors of recommendations, who may be one person under many names.
    """

    id: str
    pubkey: str
    created_at: int
    kind: int
    event_id: str
    endpoint_url: str
    endpoint_urls: tuple[str, ...]
    name: str
    description: str | None
    mint_urls: tuple[str, ...]
    version: str | None
    content: str
    contact: str | None = None
    pricing_url: str | None = None
    supported_models: tuple[str, ...] = ()
    recommended_by: int = 0

    @property
    def address(self) -> tuple[str, str]:
        """Whose announcement it is, and which one of theirs."""
        return self.pubkey, self.id

    def document(self) -> dict[str, Any]:
        """Return it as `/v1/providers/` tells it."""
        return {**asdict(self), "d_tag": self.id}


def announcements(events: Iterable[NostrEvent], now_s: float) -> list[Announcement]:
    """Return what `events` announce, of each author and `d` the newest; recommended counted.

    An event of another kind, without a `d` or without an address that could be reached by
    anybody announces nothing.
    """
    known = [event for event in events if event.created_at <= now_s + AHEAD_MAX_S]
    counted = _recommendations(known)
    found = []
    for event in newest(known, lambda each: each.value("d") if each.kind in KINDS else None):
        said = _read(event)
        if said is not None:
            count = len(counted.get(said.address, ()))
            found.append(replace(said, recommended_by=count))
    return found


def newest(
    events: Iterable[NostrEvent], name: Callable[[NostrEvent], str | None]
) -> list[NostrEvent]:
    """Return of each author and `name` the newest event; those named `None` are left out.

    Of two that are equally old the one with the lower id holds (NIP-01).
    """
    held: dict[tuple[str, str], NostrEvent] = {}
    for event in events:
        named = name(event)
        if not named:
            continue
        other = held.get((event.pubkey, named))
        if other is None or (-event.created_at, event.id) < (-other.created_at, other.id):
            held[event.pubkey, named] = event
    return list(held.values())


def _recommendations(events: Iterable[NostrEvent]) -> dict[tuple[str, str], set[str]]:
    """Return who recommends which announcement; nobody counts who recommends himself."""
    counted: dict[tuple[str, str], set[str]] = {}
    for event in events:
        if event.kind != RECOMMENDATION or event.value("k") != str(ANNOUNCEMENT):
            continue
        for address in event.values("a"):
            kind, _, rest = address.partition(":")
            pubkey, _, named = rest.partition(":")
            if kind == str(ANNOUNCEMENT) and pubkey != event.pubkey:
                counted.setdefault((pubkey, named), set()).add(event.pubkey)
    return counted


def _read(event: NostrEvent) -> Announcement | None:
    is_old = event.kind == OLD_ANNOUNCEMENT
    urls = tuple(filter(_is_reachable, event.values("endpoint" if is_old else "u")[:URLS_MAX]))
    if not urls:
        return None
    said = {} if is_old else _object(event.content)
    return Announcement(
        id=_short(event.value("d"), WORD_CHARS_MAX) or "",
        pubkey=event.pubkey,
        created_at=event.created_at,
        kind=event.kind,
        event_id=event.id,
        endpoint_url=urls[0],
        endpoint_urls=tuple(dict.fromkeys(urls)),
        name=_short(said.get("name") or event.value("name"), NAME_CHARS_MAX) or UNNAMED,
        description=_short(said.get("about") or event.value("description"), TEXT_CHARS_MAX),
        mint_urls=event.values("mint")[:MINTS_MAX],
        version=_short(event.value("version"), WORD_CHARS_MAX),
        content=event.content,
        contact=_short(event.value("contact"), WORD_CHARS_MAX),
        pricing_url=_short(event.value("pricing"), TEXT_CHARS_MAX),
        supported_models=event.values("model")[:MODELS_MAX],
    )


def _is_reachable(url: str) -> bool:
    """Tell whether anybody could reach `url`: nobody can reach a machine at another's home."""
    try:
        place = place_of(url)
        if not place.host.endswith(ONION):
            check_name(place.host)
    except AddressBarredError:
        return False
    return True


def _object(content: str) -> dict[str, Any]:
    try:
        said = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def _short(text: object, characters_max: int) -> str | None:
    """Return a text that pages and logs can show, `None` if there is none."""
    if not isinstance(text, str):
        return None
    kept = "".join(char if char.isprintable() else " " for char in text[:characters_max])
    return kept.strip() or None
