"""Our own listing on Nostr: what it says, and whether an event says the same (RIP-02)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

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


def default_name(public: str) -> str:
    """Return the `d` of a house that has not chosen one: the beginning of its public key."""
    return public[:NAME_CHARS]
