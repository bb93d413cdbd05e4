from __future__ import annotations

import json
import threading
import time
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest
import requests

from app.gateways.exchange import (
    ANSWER_BYTES_MAX,
    SOURCES,
    Exchange,
    Observation,
    RateUnavailableError,
    Source,
)
from domain.exact import exact

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ANSWERS: dict[str, tuple[int, bytes]] = {
    "/100000": (200, b'{"price":"100000.10"}'),
    "/100500": (200, b'{"price":100500.123456789012345678}'),
    "/101000": (200, b'{"price":101000}'),
    "/102000.10": (200, b'{"price":102000.1020000}'),
    "/zero": (200, b'{"price":"0"}'),
    "/negative": (200, b'{"price":"-5"}'),
    "/nan": (200, b'{"price":NaN}'),
    "/true": (200, b'{"price":true}'),
    "/exponent": (200, b'{"price":1e999999999}'),
    "/missing": (200, b'{"error":[]}'),
    "/list": (200, b"[1]"),
    "/html": (200, b"<html>"),
    "/deep": (200, b"[" * 50_000),
    "/huge": (200, b'{"price":"' + b"1" * ANSWER_BYTES_MAX + b'"}'),
    "/down": (503, b'{"price":"100000"}'),
    "/redirect": (302, b""),
}


class Answering(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        status, body = ANSWERS.get(self.path, (200, b""))
        self.send_response(status)
        self.send_header("location", "/100000")
        self.send_header("content-length", str(len(body) or 100))
        self.end_headers()
        try:
            self.wfile.write(body)
            for _ in range(1_000 if self.path == "/drip" else 0):
                self.wfile.write(b" ")
                time.sleep(0.02)
        except OSError:
            return  # the client has lost its patience, as it should

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # its name there
        """Say nothing."""


@pytest.fixture(scope="module")
def host() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Answering) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def observe(host: str) -> Iterator[Callable[..., Observation]]:
    with requests.Session() as session:

        def observe(*paths: str) -> Observation:
            sources = [Source(path, f"{host}/{path}", ("price",)) for path in paths]
            return Exchange(session, sources, timeout_s=2.0).observe()

        yield observe


def test_the_median_of_three_exchanges_is_believed(
    observe: Callable[..., Observation],
) -> None:
    observation = observe("100000", "101000", "100500")

    assert observation.btc_usd == Fraction("100500.123456789012345678")
    assert observation.sources == ("100000", "101000", "100500")


def test_of_two_exchanges_the_middle_is_believed(observe: Callable[..., Observation]) -> None:
    observation = observe("100000", "101000", "down")

    assert observation.btc_usd == Fraction("100500.05")
    assert observation.sources == ("100000", "101000")
    assert observation.btc_usd_text == "100500.05"


def test_the_text_of_a_price_loses_nothing(observe: Callable[..., Observation]) -> None:
    observation = observe("100000", "101000", "100500")

    assert exact(observation.btc_usd_text) == observation.btc_usd


def test_exchanges_that_differ_are_not_believed(observe: Callable[..., Observation]) -> None:
    with pytest.raises(RateUnavailableError, match=r"100000 says 100000; 102000\.10 says"):
        observe("100000", "102000.10")


def test_one_exchange_is_not_enough(observe: Callable[..., Observation]) -> None:
    with pytest.raises(RateUnavailableError, match="down answers with status 503"):
        observe("100000", "down")
    with pytest.raises(RateUnavailableError, match="too few sources"):
        observe("100000")


@pytest.mark.parametrize(
    "path",
    [
        "zero",
        "negative",
        "nan",
        "true",
        "exponent",
        "missing",
        "list",
        "html",
        "deep",
        "huge",
        "down",
        "redirect",
        "drip",
    ],
)
def test_an_exchange_without_a_usable_price_is_named(
    observe: Callable[..., Observation], path: str
) -> None:
    with pytest.raises(RateUnavailableError) as raised:
        observe(path, "100000")

    assert [failure.split()[0] for failure in raised.value.failures] == [path]


def test_an_exchange_that_is_not_there_is_named() -> None:
    gone = Source("gone", "http://127.0.0.1:1/", ("price",))

    with requests.Session() as session, pytest.raises(RateUnavailableError, match="gone fails"):
        Exchange(session, [gone, gone]).observe()


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("kraken", {"error": [], "result": {"XXBTZUSD": {"c": ["97000.1", "0.1"]}}}),
        ("coinbase", {"data": {"amount": "97000.1", "base": "BTC", "currency": "USD"}}),
        ("binance", {"symbol": "BTCUSDT", "price": "97000.1"}),
    ],
)
def test_the_answer_of_each_exchange_is_understood(
    host: str, name: str, answer: object
) -> None:
    ANSWERS[f"/{name}"] = (200, json.dumps(answer).encode())
    path = next(source.path for source in SOURCES if source.name == name)
    source = Source(name, f"{host}/{name}", path)

    with requests.Session() as session:
        observation = Exchange(session, [source], sources_min=1).observe()

    assert observation.btc_usd == Fraction("97000.1")
