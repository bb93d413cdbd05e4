"""The door to the exchanges: what one bitcoin costs in US dollars."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from decimal import Decimal, localcontext
from fractions import Fraction
from statistics import median
from typing import TYPE_CHECKING

import requests

from app.gateways.errors import GatewayError, RefusedError
from domain.exact import exact

if TYPE_CHECKING:
    from collections.abc import Sequence

ANSWER_BYTES_MAX = 64 * 1024
READ_BYTES = 8 * 1024
TIMEOUT_S = 5.0
SOURCES_MIN = 2
DIGITS_MAX = 200
SPREAD_MAX = Fraction(2, 100)


class RateUnavailableError(RefusedError):
    """Too few exchanges answered, or they differ too much; `failures` says which and how."""

    def __init__(self, failures: Sequence[str]) -> None:
        super().__init__(f"No rate of exchange: {'; '.join(failures)}.")
        self.failures = tuple(failures)


class _SourceError(GatewayError):
    """One exchange gave no usable answer."""


@dataclass(frozen=True, slots=True)
class Source:
    """One exchange: its name, its address, and where in its JSON the price stands."""

    name: str
    url: str
    path: tuple[str | int, ...]


SOURCES = (
    Source(
        "kraken",
        "https://api.kraken.com/0/public/Ticker?pair=XBTUSD",
        ("result", "XXBTZUSD", "c", 0),
    ),
    Source(
        "coinbase",
        "https://api.coinbase.com/v2/prices/BTC-USD/spot",
        ("data", "amount"),
    ),
    Source(
        "binance",
        "https://api.binance.com/api/v3/ticker/price?symbol=BTCUSDT",
        ("price",),
    ),
)


@dataclass(frozen=True, slots=True)
class Observation:
    """What one bitcoin cost when it was asked, in dollars, and who said so."""

    btc_usd: Fraction
    sources: tuple[str, ...]

    @property
    def btc_usd_text(self) -> str:
        """The price as a decimal text, nothing rounded: it is half a sum of decimals."""
        with localcontext(prec=DIGITS_MAX):
            return f"{Decimal(self.btc_usd.numerator) / self.btc_usd.denominator:f}"


class Exchange:
    """Asks several exchanges, and believes them only if they agree.

    The `session` is made to take nothing from the environment: no proxy and no netrc.
    """

    def __init__(
        self,
        session: requests.Session,
        sources: Sequence[Source] = SOURCES,
        *,
        sources_min: int = SOURCES_MIN,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        session.trust_env = False
        self._session = session
        self._sources = tuple(sources)
        self._sources_min = sources_min
        self._timeout_s = timeout_s

    def observe(self) -> Observation:
        """Return the median of the answers, or raise `RateUnavailableError`.

        At least `sources_min` must answer, and differ by less than two in a hundred: a
        single exchange that errs, or lies, must not set our prices.
        """
        prices: dict[str, Fraction] = {}
        failures: list[str] = []
        for source in self._sources:
            try:
                prices[source.name] = self._price(source)
            except _SourceError as error:
                failures.append(f"{source.name} {error}")
        if len(prices) < self._sources_min:
            raise RateUnavailableError(failures or ["there are too few sources"])
        if max(prices.values()) - min(prices.values()) >= SPREAD_MAX * min(prices.values()):
            shown = [f"{name} says {round(price)}" for name, price in prices.items()]
            raise RateUnavailableError([*shown, *failures])
        return Observation(median(prices.values()), tuple(prices))

    def _price(self, source: Source) -> Fraction:
        value: object = self._document(source)
        for step in source.path:
            try:
                value = value[step]  # type: ignore[index]  # what cannot be indexed is caught
            except (LookupError, TypeError) as error:
                raise _SourceError("answers without a price") from error
        try:
            price = exact(value)
        except ValueError as error:
            raise _SourceError("answers without a price") from error
        if price <= 0:
            raise _SourceError("answers a price that is not above zero")
        return price

    def _document(self, source: Source) -> object:
        """Return the parsed answer, its numbers still the text that they were sent as."""
        try:
            with self._session.get(
                source.url, stream=True, timeout=self._timeout_s, allow_redirects=False
            ) as answer:
                if answer.status_code != requests.codes.ok:
                    raise _SourceError(f"answers with status {answer.status_code}")
                return json.loads(self._body(answer), parse_float=str, parse_int=str)
        except requests.RequestException as error:
            raise _SourceError(f"fails with {type(error).__name__}") from error
        except (ValueError, RecursionError) as error:
            raise _SourceError("answers with something that is no JSON") from error

    def _body(self, answer: requests.Response) -> bytes:
        body = b""
        deadline_s = time.monotonic() + self._timeout_s
        for piece in answer.iter_content(READ_BYTES):
            body += piece
            if len(body) > ANSWER_BYTES_MAX:
                raise _SourceError("answers with too much")
            # The timeout of the session is for each read; one that drips would never end.
            if time.monotonic() > deadline_s:
                raise _SourceError("answers too slowly")
        return body
