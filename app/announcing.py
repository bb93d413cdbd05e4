"""How the house is found and finds others: the parts about Nostr, built from the settings."""

from __future__ import annotations

from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from app.changes import present
from app.discovery.directory import Directory
from app.discovery.listing import Draft, Listing
from app.discovery.publisher import Publisher, listed_in
from app.gateways.addresses import is_of_own_network
from app.gateways.guarded import Fetch
from app.gateways.nostr.relay import Relay
from app.house import guard_of, way_out
from app.public import key_of, onion_url_of
from app.store.nostr_rows import LISTED, NostrRows
from app.store.opening import open_store

if TYPE_CHECKING:
    from collections.abc import Iterator

    from app.gateways.nostr.event import NostrEvent
    from app.settings import Settings
    from app.store.opening import Store

HEALTH_BYTES_MAX = 2 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Announcing:
    """What the commands need: what would be published, and what was `listed` last.

    There is no `publisher` while the settings name no key or no relay.
    """

    draft: Draft
    listed: NostrEvent | None
    publisher: Publisher | None


def listing_of(settings: Settings) -> Listing:
    """Return what our listing says just now; an address that only we can reach is left out."""
    urls = (settings.http_url, onion_url_of(settings))
    return Listing(
        name=settings.name,
        about=settings.description,
        urls=tuple(url for url in urls if url and _is_for_others(url)),
        mints=tuple(url for url in settings.cashu_mints if _is_for_others(url)),
        version=version("tallystick"),
    )


def draft_of(settings: Settings) -> Draft:
    """Return what would be published just now; raises `SettingsError`."""
    key = key_of(settings)
    return Draft(
        listing_of(settings),
        key.public if key else None,
        settings.provider_id,
        settings.relays,
    )


def keeps_directory(settings: Settings) -> bool:
    """Tell whether relays are asked for providers."""
    return bool(settings.relays and settings.providers_refresh_interval_s)


def create_directory(settings: Settings, store: Store) -> Directory:
    """Return what asks the relays for providers; nothing is asked while it is built."""
    guard = guard_of(settings, way_out(settings))
    fetch = Fetch(guard, body_bytes_max=HEALTH_BYTES_MAX)
    return Directory(_relays(settings), fetch, NostrRows(store))


def create_publisher(settings: Settings, store: Store) -> Publisher | None:
    """Return what publishes our listing, `None` without a key or relays.

    Raises `SettingsError`.
    """
    key = key_of(settings)
    if key is None or not settings.relays:
        return None
    return Publisher(
        key,
        partial(listing_of, settings),
        _relays(settings),
        NostrRows(store),
        settings.provider_id,
    )


@contextmanager
def open_announcing(given: Settings) -> Iterator[Announcing]:
    """Build what the commands about Nostr need; raises `SettingsError`, `StoreError`."""
    with closing(open_store(given.database_url)[0]) as store:
        settings = present(given, store.settings())
        listed = listed_in(NostrRows(store).all(LISTED))
        yield Announcing(draft_of(settings), listed, create_publisher(settings, store))


def _relays(settings: Settings) -> tuple[Relay, ...]:
    way = way_out(settings)
    return tuple(Relay(url, way) for url in settings.relays)


def _is_for_others(url: str) -> bool:
    return not is_of_own_network(urlsplit(url).hostname or "")
