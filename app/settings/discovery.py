"""How the house is found by others, and by which way it goes out: Nostr and Tor."""

from __future__ import annotations

import re
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationInfo, field_validator

from app.settings.kinds import Group, Several
from app.urls import is_loopback, is_onion, normalised_url

SOCKS = ("socks5h", "socks5")
NAMED_BEFORE = ("upstream_base_url", "cashu_mints", "relays")
RELAYS_MAX = 20
WEB_LIKE = {"ws": "http", "wss": "https"}
NSEC = re.compile(r"nsec1[02-9ac-hj-np-z]{58}|[0-9a-fA-F]{64}")


class Discovery(Group):
    """How the house is found by others, and by which way it goes out: Nostr and Tor."""

    relays: Several[str] = ()
    """The relays on Nostr that are asked for other providers, and told of this one, with commas
    between them, as in wss://relay.damus.io,wss://nos.lol. Without them Nostr is left alone."""

    nsec: SecretStr | None = None
    """The private key on Nostr (nsec1… or 64 hex digits) that this house's listing is signed
    with. Without it nothing is published; NPUB follows from it."""

    provider_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9._:-]{1,64}$")] | None = None
    """The name (d) of this house's listing under its key. Without it the one is kept under
    which a relay has the listing, else it is the beginning of the public key."""

    providers_refresh_interval_s: int = Field(default=3600, ge=0, le=86_400)
    """How often the relays are asked for other providers, which /v1/providers/ tells of, in
    seconds; 0 for never."""

    onion_hostname_file: str = "/var/lib/tor/*/hostname"
    """Where Tor keeps the name of this house's onion service; * is any folder. ONION_URL is
    taken from there if it is not set and one such file can be read."""

    tor_only_onion: bool = False
    """Whether TOR_PROXY_URL is for onion services alone. If not, everything on the internet is
    reached through it."""

    tor_proxy_url: Annotated[SecretStr | None, Field(validate_default=True)] = None
    """The SOCKS5 proxy through which upstreams, mints and all others are reached, as in
    socks5h://127.0.0.1:9050, which is Tor's. It looks names up, and this machine does not.
    Without it there is no way to onion services."""

    @field_validator("relays")
    @classmethod
    def _check_relays(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if len(value) > RELAYS_MAX:
            raise ValueError(f"must name at most {RELAYS_MAX} relays")
        return tuple(dict.fromkeys(map(_relay_url, value)))

    @field_validator("nsec")
    @classmethod
    def _check_nsec(cls, value: SecretStr | None) -> SecretStr | None:
        if value and NSEC.fullmatch(value.get_secret_value().strip()) is None:
            raise ValueError("must be a private key, nsec1… or 64 hex digits")
        return value

    @field_validator("tor_proxy_url")
    @classmethod
    def _check_proxy(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if value is None:
            _need_no_onion(info)
            return None
        try:
            parts = urlsplit(value.get_secret_value())
            is_whole = bool(parts.hostname and parts.port)
        except ValueError:
            is_whole = False
        if not is_whole or parts.scheme not in SOCKS or parts.path.strip("/"):
            raise ValueError("must be a URL as in socks5h://127.0.0.1:9050")
        return value


def _relay_url(text: str) -> str:
    scheme, colon, rest = text.partition(":")
    like = WEB_LIKE.get(scheme.lower())
    if like is None:
        raise ValueError("must be URLs that begin with wss://")
    url = normalised_url(f"{like}{colon}{rest}")
    if like == "http" and not (is_loopback(url) or is_onion(url)):
        raise ValueError("must be wss, but for a relay on this machine or on Tor")
    return "ws" + url.removeprefix("http")


def _need_no_onion(info: ValidationInfo) -> None:
    for name in NAMED_BEFORE:
        named = info.data.get(name) or ()
        for url in (named,) if isinstance(named, str) else named:
            if is_onion(url):
                raise ValueError(f"is missing, and {name.upper()} names an onion service")
