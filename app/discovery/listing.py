"""Our own listing on Nostr: what it says, and whether an event says the same (RIP-02)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from app.discovery.announcement import ANNOUNCEMENT

if TYPE_CHECKING:
    from app.gateways.nostr.event import NostrEvent, Tags

NAME_CHARS = 12


@dataclass(frozen=True, slots=True)
class Listing:
    """What the house says of itself; without an address in `urls` there is nothing to say."""

    name: str
    about: str
    urls: tuple[str, ...]
    mints: tuple[str, ...]
    version: str

    def tags(self, named: str) -> Tags:
        """Return the tags of the event; `named` is its `d`."""
        return (
            ("d", named),
            *(("u", url) for url in self.urls),
            *(("mint", url) for url in self.mints),
            ("version", self.version),
        )

    @property
    def content(self) -> str:
        said = {"name": self.name, "about": self.about}
        return json.dumps(said, ensure_ascii=False, separators=(",", ":"))

    def is_said_by(self, event: NostrEvent, named: str) -> bool:
        """Tell whether `event` says the same; the order of its tags says nothing."""
        return (
            event.kind == ANNOUNCEMENT
            and sorted(event.tags) == sorted(self.tags(named))
            and event.content == self.content
        )


@dataclass(frozen=True, slots=True)
class Draft:
    """What would be published, not signed; nothing is, without the `public` key or `relays`.

    `public` is the house's key on Nostr in hex, `named` the `d` that the operator has chosen.
    """

    listing: Listing
    public: str | None
    named: str | None = None
    relays: tuple[str, ...] = ()

    def event(self, last: NostrEvent | None = None) -> dict[str, Any]:
        """Return the event; one without a chosen name keeps that of the `last` published."""
        kept = (last and last.value("d")) or (default_name(self.public) if self.public else "")
        return {
            "pubkey": self.public,
            "kind": ANNOUNCEMENT,
            "tags": self.listing.tags(self.named or kept),
            "content": self.listing.content,
        }

    def changes(self, last: NostrEvent) -> list[Change]:
        """Return what it says otherwise than the `last` published; the order says nothing."""
        event = self.event(last)
        now = _said(event["pubkey"], event["tags"], event["content"])
        before = _said(last.pubkey, last.tags, last.content)
        return [
            Change(name, _less(before, now, name), _less(now, before, name))
            for name in dict.fromkeys((*now, *before))
            if sorted(before.get(name, ())) != sorted(now.get(name, ()))
        ]


class Change(NamedTuple):
    """What a part of the listing said before and no longer says, and what it says instead."""

    name: str
    gone: tuple[str, ...]
    new: tuple[str, ...]


Said = dict[str, tuple[str, ...]]


def _said(public: str | None, tags: Tags, content: str) -> Said:
    """Return the values by their names: of the author, the tags, and the content."""
    said: Said = {"pubkey": (public,) if public else ()}
    for name, *values in tags:
        said[name] = (*said.get(name, ()), *values)
    return said | {"content": (content,)}


def _less(these: Said, others: Said, name: str) -> tuple[str, ...]:
    return tuple(value for value in these.get(name, ()) if value not in others.get(name, ()))


def default_name(public: str) -> str:
    """Return the `d` of a house that has not chosen one: the beginning of its public key."""
    return public[:NAME_CHARS]
