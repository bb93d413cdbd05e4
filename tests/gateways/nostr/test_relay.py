"""Relays that keep to the protocol, and relays that keep to nothing."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING, Any

import pytest

from app.gateways.errors import RelayError
from app.gateways.nostr.relay import FRAME_BYTES_MAX, SUBSCRIPTION, Relay
from app.gateways.way_out import DIRECT, WayOut
from tests.doubles.relay import RelayDouble
from tests.doubles.socks import SocksDouble
from tests.gateways.authority import Authority
from tests.gateways.canned import CannedServer, answer
from tests.gateways.nostr.given import ALICE, BOB, KIND, as_table, signed
from tests.gateways.traps import Trap

if TYPE_CHECKING:
    from pathlib import Path

WANTED = {"kinds": [KIND], "limit": 10}
EOSE = json.dumps(["EOSE", SUBSCRIPTION])


def at(double: RelayDouble, timeout_s: float = 5.0, **limits: Any) -> Relay:
    return Relay(double.url, DIRECT, timeout_s=timeout_s, **limits)


def told(*events: object) -> list[str]:
    return [json.dumps(["EVENT", SUBSCRIPTION, event]) for event in events]


def test_what_was_published_is_fetched_again() -> None:
    event = signed()
    with RelayDouble() as double:
        relay = at(double)

        verdict = relay.publish(event)
        found = relay.fetch(WANTED)

    assert verdict == (True, "")
    assert found == [event]
    assert double.asked == [WANTED]


def test_a_refusal_is_told_in_the_relays_words() -> None:
    with RelayDouble(refusal="blocked: pay first") as double:
        assert at(double).publish(signed()) == (False, "blocked: pay first")


def test_what_is_not_signed_by_its_author_is_left_out() -> None:
    true = as_table(signed())
    false = [
        {**true, "content": "{}"},
        {**true, "sig": signed(BOB).sig},
        {**true, "id": "0" * 64},
        {**true, "tags": None},
        None,
    ]
    with RelayDouble(says=[*told(*false, true), EOSE]) as double:
        found = at(double).fetch(WANTED)

    assert found == [signed()]


def test_what_nobody_asked_for_is_left_out() -> None:
    others = [as_table(signed(BOB)), as_table(signed(ALICE, kind=1))]
    with RelayDouble(says=[*told(*others), EOSE]) as double:
        found = at(double).fetch({"kinds": [KIND], "authors": [ALICE.public]})

    assert found == []


GARBAGE: list[str | bytes] = [
    *("", "{}", "[]", "null", "[1,2]", '["EVENT"]', '["NOTICE","hm"]', '["AUTH","x"]'),
    *("[" * 9_999, '["EVENT","another",{}]', '["OK"]', '[["EOSE"]]', '"\\ud800"'),
    b"\xff\x00",
]


@pytest.mark.parametrize(
    "garbage",
    GARBAGE,
    ids=lambda garbage: repr(garbage[:12]),
)
def test_garbage_between_events_does_not_matter(garbage: str | bytes) -> None:
    with RelayDouble(says=[garbage, *told(as_table(signed())), EOSE]) as double:
        assert at(double).fetch(WANTED) == [signed()]


def test_a_relay_that_refuses_to_tell_is_an_error() -> None:
    closed = json.dumps(["CLOSED", SUBSCRIPTION, "auth-required: who are you"])
    with RelayDouble(says=[closed]) as double, pytest.raises(RelayError, match="who are you"):
        at(double).fetch(WANTED)


def test_frames_without_end_are_cut_off() -> None:
    with (
        RelayDouble(says=['["NOTICE","more"]'], forever=True) as double,
        pytest.raises(RelayError, match="too much"),
    ):
        at(double, timeout_s=60, frames_max=200).fetch(WANTED)


def test_bytes_without_end_are_cut_off() -> None:
    with (
        RelayDouble(says=[json.dumps(["NOTICE", "x" * 10_000])], forever=True) as double,
        pytest.raises(RelayError, match="too much"),
    ):
        at(double, timeout_s=10, bytes_max=100_000, frames_max=10**9).fetch(WANTED)


def test_a_huge_frame_is_not_read() -> None:
    huge = json.dumps(["NOTICE", "x" * FRAME_BYTES_MAX])
    with (
        RelayDouble(says=[huge, EOSE]) as double,
        pytest.raises(RelayError, match="ConnectionClosed"),
    ):
        at(double).fetch(WANTED)


def test_a_relay_that_never_answers_is_given_up() -> None:
    with RelayDouble(says=[]) as double, pytest.raises(RelayError):
        at(double, timeout_s=0.3).publish(signed())


def test_a_machine_that_takes_connections_and_says_nothing_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        with pytest.raises(RelayError):
            Relay(f"ws://127.0.0.1:{port}", DIRECT, timeout_s=0.3).fetch(WANTED)
        with pytest.raises(RelayError):
            Relay(f"wss://127.0.0.1:{port}", DIRECT, timeout_s=0.3).fetch(WANTED)


def test_a_handshake_that_drips_is_cut_off() -> None:
    drops = [b"HTTP/1.1 101 Switching Protocols\r\n", *[b"X-Drip: 1\r\n"] * 200]
    with CannedServer(*drops, pause_s=0.05) as server, pytest.raises(RelayError):
        Relay(f"ws{server.url.removeprefix('http')}", DIRECT, timeout_s=0.3).fetch(WANTED)


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "308 Permanent Redirect"])
def test_a_redirect_is_not_followed(status: str) -> None:
    with Trap() as trap:
        home = f"Location: ws://127.0.0.1:{trap.port}/"
        with CannedServer(answer(b"", status, home)) as server, pytest.raises(RelayError):
            Relay(f"ws{server.url.removeprefix('http')}", DIRECT, timeout_s=2).fetch(WANTED)

        assert trap.visitors == 0


def test_a_server_that_is_no_relay_is_an_error() -> None:
    with CannedServer(answer(b"hello")) as server, pytest.raises(RelayError, match="spoken to"):
        Relay(f"ws{server.url.removeprefix('http')}", DIRECT, timeout_s=2).fetch(WANTED)


def test_nobody_at_home_is_an_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

    with pytest.raises(RelayError, match="ConnectionRefused"):
        Relay(f"ws://127.0.0.1:{port}", DIRECT, timeout_s=2).fetch(WANTED)


def test_the_certificate_is_verified(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    with RelayDouble(context=authority.context("localhost")) as double:
        double.host = "localhost"
        trusting = at(double, ca_file=authority.file)

        assert trusting.publish(signed()).is_taken
        assert trusting.fetch(WANTED) == [signed()]
        with pytest.raises(RelayError, match="SSLCertVerificationError"):
            at(double).fetch(WANTED)
        double.host = "127.0.0.1"
        with pytest.raises(RelayError, match="SSLCertVerificationError"):
            at(double, ca_file=authority.file).fetch(WANTED)


def test_an_onion_relay_is_reached_through_the_proxy_by_its_name() -> None:
    onion = "x" * 55 + "d.onion"
    with RelayDouble() as double, SocksDouble(double.port) as proxy:
        relay = Relay(f"ws://{onion}", WayOut(proxy.url), timeout_s=5)

        assert relay.fetch(WANTED) == []

    assert proxy.asked == [(onion, 80)]


def test_a_proxy_of_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with Trap() as trap, RelayDouble() as double:
        for name in ("http_proxy", "https_proxy", "all_proxy", "ws_proxy", "socks_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{trap.port}")

        assert at(double).fetch(WANTED) == []
        assert trap.visitors == 0
