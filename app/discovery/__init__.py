"""How houses like this one find each other: announcements on Nostr, read and made."""

from __future__ import annotations
