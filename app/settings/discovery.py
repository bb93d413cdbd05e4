"""How the house is found by others, and by which way it goes out: Nostr and Tor."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationInfo, field_validator

from app.settings.kinds import Group
from app.urls import is_onion

SOCKS = ("socks5h", "socks5")
NAMED_BEFORE = ("upstream_base_url", "cashu_mints")


class Discovery(Group):
    """How the house is found by others, and by which way it goes out: Nostr and Tor."""

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


def _need_no_onion(info: ValidationInfo) -> None:
    for name in NAMED_BEFORE:
        named = info.data.get(name) or ()
        for url in (named,) if isinstance(named, str) else named:
            if is_onion(url):
                raise ValueError(f"is missing, and {name.upper()} names an onion service")
