"""By what the house is known: its Nostr key and its onion address, by the settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.environment import SettingsError
from app.gateways.nostr.key import NostrKey, NostrKeyError
from app.gateways.onion import find_onion_url

if TYPE_CHECKING:
    from app.settings import Settings


def key_of(settings: Settings) -> NostrKey | None:
    """Return the key that our listing is signed with, if there is one.

    Raises `SettingsError` when it is none, or when NPUB names another.
    """
    if settings.nsec is None:
        return None
    try:
        key = NostrKey.read(settings.nsec.get_secret_value())
    except NostrKeyError as error:
        raise SettingsError(f"NSEC {error}. (Its checksum is wrong.)") from error
    if settings.npub not in {None, key.npub}:
        raise SettingsError("NPUB is not the public key of NSEC: leave one of them out.")
    return key


def npub_of(settings: Settings) -> str | None:
    """Return the operator's public key: what is set, or what follows from the private one."""
    key = key_of(settings)
    return key.npub if key else settings.npub


def onion_url_of(settings: Settings) -> str | None:
    """Return the address of our onion service: what is set, or what Tor has written."""
    return settings.onion_url or find_onion_url(settings.onion_hostname_file)
