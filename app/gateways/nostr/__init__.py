"""The doors to Nostr: events that are verified, keys that sign them, relays that keep them."""

from __future__ import annotations
