"""Rate limits: how many requests and tokens a minute each key may have, and each address.

They are counted in each worker by itself. A client that keeps its connections stays with one
worker and finds the limits as they are set; one that opens many may find as many times as
much as there are workers. They keep one client from taking all; they are no budget.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING, Any

from flask import request

from app.web.buckets import Buckets
from app.web.refusals import (
    AddressRateError,
    CrowdOfOneError,
    RequestRateError,
    RequestTooBigError,
    TokenRateError,
)
from app.web.visit import Admitted, current_visit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from uuid import UUID
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from flask import Flask

    from app.web.plain import A

    Network = IPv4Network | IPv6Network

BYTES_A_TOKEN = 4
BOUNDS = ("max_completion_tokens", "max_tokens", "max_output_tokens")
FORWARDED_MAX = 20
# What makes us ask a mint, or write into the log, for whoever comes by.
OPEN_TO_STRANGERS = frozenset({"ask", "create", "donate", "invoice", "recover"})
# Of an IPv6 address the first half is a household; the other one changes at will.
HOUSEHOLD_BITS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What is allowed; 0 allows everything.

    `creations_per_minute`: accounts and invoices that strangers ask for, an address.
    """

    requests_per_minute: int = 0
    tokens_per_minute: int = 0
    at_once: int = 0
    creations_per_minute: int = 0


class RateLimits:
    """Lets requests in, or tells them when to come back; no money has moved by then."""

    def __init__(self, limits: Limits, buckets: Callable[[int], Buckets] = Buckets) -> None:
        self._requests = buckets(limits.requests_per_minute)
        self._tokens = buckets(limits.tokens_per_minute)
        self._creations = buckets(limits.creations_per_minute)
        self._at_once_max = limits.at_once
        self._at_once: Counter[UUID] = Counter()

    def change(self, limits: Limits) -> None:
        """Allow what `limits` say from now on; what was counted, counts for them too."""
        self._requests.hold(limits.requests_per_minute)
        self._tokens.hold(limits.tokens_per_minute)
        self._creations.hold(limits.creations_per_minute)
        self._at_once_max = limits.at_once

    def attach(self, app: Flask) -> None:
        """Tell what is left with every answer, note when it has ended, count strangers."""
        app.before_request(self._look_at_strangers)
        app.after_request(self.mark)

    def admit(self, key: UUID) -> None:
        """Let in the current request of `key`.

        Raises `CrowdOfOneError` or `RequestRateError`.
        """
        if self._at_once_max and self._at_once[key] >= self._at_once_max:
            raise CrowdOfOneError(self._at_once_max)
        if self._requests.per_minute:
            wait_s = self._requests.take(key, 1)
            if wait_s:
                current_visit().refused_key = key
                raise RequestRateError(self._requests.per_minute, wait_s)
        self._at_once[key] += 1
        current_visit().admitted = Admitted(key)

    def weigh(self, document: Mapping[str, Any], prompt_bytes: int) -> None:
        """Count what the current request may use, as its key's provider would.

        That is its text and the most that it asks for; what it has really used is counted in
        its place when it has ended. Raises `TokenRateError` or `RequestTooBigError`.
        """
        admitted = current_visit().admitted
        if not self._tokens.per_minute or admitted is None:
            return
        tokens = max(1, prompt_bytes // BYTES_A_TOKEN + asked_for(document))
        wait_s = self._tokens.take(admitted.key, tokens)
        if math.isinf(wait_s):
            raise RequestTooBigError(self._tokens.per_minute, tokens)
        if wait_s:
            raise TokenRateError(self._tokens.per_minute, tokens, wait_s)
        admitted.tokens = tokens

    def _look_at_strangers(self) -> None:
        name = (request.endpoint or "").rpartition(".")[2]
        if not self._creations.per_minute or name not in OPEN_TO_STRANGERS:
            return
        wait_s = self._creations.take(household(request.remote_addr or ""), 1)
        if wait_s:
            raise AddressRateError(self._creations.per_minute, wait_s)

    def mark(self, answer: A) -> A:
        """Tell with `answer` what is left of the current request's limits."""
        visit = current_visit()
        admitted = visit.admitted
        key = visit.refused_key if admitted is None else admitted.key
        if key is None:
            return answer
        for what, buckets in (("requests", self._requests), ("tokens", self._tokens)):
            if buckets.per_minute:
                answer.headers[f"x-ratelimit-limit-{what}"] = str(buckets.per_minute)
                answer.headers[f"x-ratelimit-remaining-{what}"] = str(buckets.left(key))
                answer.headers[f"x-ratelimit-reset-{what}"] = spell(buckets.full_in_s(key))
        if admitted is not None:
            visit.at_end.append(lambda: self._ended(admitted, visit.used_tokens))
        return answer

    def _ended(self, admitted: Admitted, used: int) -> None:
        self._at_once[admitted.key] -= 1
        if self._at_once[admitted.key] <= 0:
            del self._at_once[admitted.key]
        if admitted.tokens:
            self._tokens.correct(admitted.key, admitted.tokens - used)


class RealAddress:
    """A WSGI application that sees the address of its client, not that of a proxy in front.

    Only a proxy in one of the `trusted` networks is believed, and of what it has forwarded
    only as much as was added by such proxies: the rest can be written by anybody.
    """

    def __init__(self, app: WSGIApplication, trusted: Sequence[Network]) -> None:
        self._app = app
        self._trusted = trusted

    def __call__(
        self, environ: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes]:
        chain = environ.get("HTTP_X_FORWARDED_FOR", "").rsplit(",", FORWARDED_MAX)
        address = environ.get("REMOTE_ADDR", "")
        while chain and self._is_trusted(address):
            address = chain.pop().strip()
        if self._is_address(address):
            environ["REMOTE_ADDR"] = address
        return self._app(environ, start_response)

    def _is_trusted(self, text: str) -> bool:
        if not self._is_address(text):
            return False
        address = ip_address(text)
        return any(address in network for network in self._trusted)

    @staticmethod
    def _is_address(text: str) -> bool:
        try:
            ip_address(text)
        except ValueError:
            return False
        return True


def asked_for(document: Mapping[str, Any]) -> int:
    """Return how many tokens a request asks to be written; what is no number comes later."""
    most = max((_number(document.get(name)) for name in BOUNDS), default=0)
    return most * max(1, _number(document.get("n")))


def _number(value: object) -> int:
    return value if isinstance(value, int) and value > 0 else 0


def household(address: str) -> str:
    """Return what an address is counted as.

    >>> household("203.0.113.7"), household("2001:db8:1:2:3:4:5:6")
    ('203.0.113.7', '2001:db8:1:2::/64')
    """
    try:
        found = ip_address(address)
    except ValueError:
        return address
    if not isinstance(found, IPv6Address):
        return address
    return str(ip_network((found, HOUSEHOLD_BITS), strict=False))


def spell(seconds: float) -> str:
    """Write a duration as OpenAI's clients read it.

    >>> spell(0), spell(0.0201), spell(1.5), spell(360)
    ('0s', '21ms', '1.5s', '6m0s')
    """
    if not seconds:
        return "0s"
    if seconds < 1:
        return f"{math.ceil(seconds * 1000)}ms"
    minutes, rest = divmod(math.ceil(seconds * 1000) / 1000, 60)
    return f"{int(minutes)}m{rest:g}s" if minutes else f"{rest:g}s"
