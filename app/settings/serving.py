"""How the house is reached, and how much it takes on."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network
from typing import Annotated

from pydantic import Field

from app.settings.kinds import Count, Group, Live, Seconds, Several, Url


class Serving(Group):
    """How the house is reached, and how much it takes on."""

    name: Live[str] = "Tallystick"
    """The name of this house, as /v1/info tells it."""

    description: Live[str] = (
        "An OpenAI-compatible API, paid request by request with Cashu ecash"
    )
    """What this house sells, in one sentence, as /v1/info tells it."""

    npub: (
        Annotated[str, Field(pattern="^npub1[023456789acdefghjklmnpqrstuvwxyz]{58}$")] | None
    ) = None
    """The operator's public key on Nostr, as /v1/info tells it."""

    http_url: Url | None = None
    """The address under which clients reach this house, as /v1/info tells it."""

    onion_url: Url | None = None
    """The same for Tor."""

    host: str = Field(default="127.0.0.1", min_length=1)
    """The address to listen on; 0.0.0.0 for all. TLS is the business of a proxy in front."""

    port: int = Field(default=8000, ge=1, le=65_535)
    """The port to listen on."""

    workers: int = Field(default=2, ge=1, le=64)
    """How many processes serve; one for each core is plenty."""

    body_bytes_max: int = Field(default=20 * 1024 * 1024, ge=1024, le=1024**3)
    """How many bytes the body of a request may have."""

    bodies_bytes_max: int = Field(default=512 * 1024 * 1024, ge=1024, le=1024**4)
    """How many bytes the bodies of all requests in progress may have, in each worker."""

    connections_max: int = Field(default=2000, ge=1, le=100_000)
    """How many connections each worker keeps. To more, 503 is answered at once."""

    requests_max: int = Field(default=1500, ge=1, le=100_000)
    """How many requests each worker has in progress. To more, 503 is answered at once."""

    late_max_ms: int = Field(default=200, ge=0, le=60_000)
    """How many milliseconds a worker's requests may wait for a turn, or for their hold to be
    written. While there are 32 or more and they wait longer, new ones get 503 at once; 0 lets
    all in."""

    head_timeout_s: Seconds = 10
    """How many seconds the head of a request may take, from the connection's first moment."""

    body_timeout_s: Seconds = 60
    """How many seconds the body of a request may take; one of less than 1 kB/s is cut off
    after 10."""

    send_timeout_s: Seconds = 60
    """After how many seconds a client that takes none of its answer has gone."""

    rate_limit_rpm: Live[Count] = 0
    """How many requests a minute each key may make of each worker; 0 for any number."""

    rate_limit_tpm: Live[Count] = 0
    """The same for tokens, read and written."""

    rate_limit_concurrent: Live[Count] = 0
    """How many requests each key may have in progress in each worker; 0 for any number."""

    rate_limit_create_rpm: Live[Count] = 0
    """How many accounts and invoices a minute each address may ask each worker for, without
    being known; 0 for any number."""

    trusted_proxies: Several[IPv4Network | IPv6Network] = ()
    """The addresses or networks of proxies in front, with commas between them: what they say
    in X-Forwarded-For is believed."""
