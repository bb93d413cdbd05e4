"""URLs, written in one way."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit

PORT_OF_SCHEME = {"http": 80, "https": 443}


def normalised_url(text: str) -> str:
    """Write a URL in one way: lower case, no default port, no slash at the end.

    Raises `ValueError` if it is not plain http or https. Its message does not repeat the URL.

    >>> normalised_url("HTTPS://Mint.Example:443/Bitcoin/")
    'https://mint.example/Bitcoin'
    """
    try:
        parts = urlsplit(text.strip())
        port = parts.port
    except ValueError:
        raise ValueError("must be a URL") from None
    if parts.scheme not in PORT_OF_SCHEME or not parts.hostname:
        raise ValueError("must be a URL that begins with https:// or http://")
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise ValueError("must be a URL without user, query and fragment")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    if port not in {None, PORT_OF_SCHEME[parts.scheme]}:
        host = f"{host}:{port}"
    return f"{parts.scheme}://{host}{parts.path.rstrip('/')}"


def is_loopback(url: str) -> bool:
    """Tell whether `url` names this very machine: `localhost` or a loopback address.

    >>> is_loopback("http://127.0.0.1:3338"), is_loopback("http://10.0.0.1:3338")
    (True, False)
    """
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def is_onion(url: str) -> bool:
    """Tell whether `url` names an onion service, whose name proves who answers.

    >>> is_onion("http://abc.onion/v1"), is_onion("https://onion.example")
    (True, False)
    """
    return (urlsplit(url).hostname or "").endswith(".onion")
