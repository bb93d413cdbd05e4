"""A client may hang up whenever it likes: no hold stays, and what was used is charged."""

from __future__ import annotations

import json
import socket
import struct
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from tests.integration.client import Client, chat_body, open_account
from tests.integration.house import COST_MSAT, QUESTION

if TYPE_CHECKING:
    from tests.integration.mint import RealMint
    from tests.integration.service import Service

pytestmark = pytest.mark.integration

FUNDED_MSAT = 999_000
WAIT_MAX_S = 30.0
READ_BYTES = 4_096
# What a connection is cut off by: a reset (RST), or an orderly end (FIN) that nobody expects.
RESET = struct.pack("ii", 1, 0)
SLOW = "gpt-4o-mini+delay-30"
LATE = "gpt-4o-mini+slow-500"


@pytest.fixture
def client(service: Service, mint: RealMint) -> Client:
    return open_account(service.base_url, mint.fund(1_000))


def leave(
    client: Client, *, stream: bool, model: str, sends: float = 1.0, reads_until: bytes = b"",
    resets: bool = True,
) -> None:  # fmt: skip
    """Send a part of a request, read until something was said, and hang up."""
    body = json.dumps(chat_body(stream=stream, model=model, question=QUESTION)).encode()
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: house\r\n"
        f"Authorization: Bearer {client.bearer}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    port = int(client.base_url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), WAIT_MAX_S) as connection:
        connection.sendall(head.encode() + body[: int(len(body) * sends)])
        seen = b""
        while reads_until not in seen:
            data = connection.recv(READ_BYTES)
            assert data, seen
            seen += data
        if resets:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)


def settled_msat(client: Client, expected_msat: int) -> int:
    """Return what is available once nothing is held and the expected was charged."""
    deadline_s = time.monotonic() + WAIT_MAX_S
    while client.msat() != (expected_msat, 0) and time.monotonic() < deadline_s:
        time.sleep(0.05)
    available_msat, held_msat = client.msat()
    assert held_msat == 0
    return available_msat


BOTH_WAYS = pytest.mark.parametrize("resets", [True, False], ids=["by reset", "by an end"])
BOTH_KINDS = pytest.mark.parametrize("stream", [True, False], ids=["stream", "plain"])


@BOTH_WAYS
@BOTH_KINDS
def test_before_the_body_is_complete_nothing_is_held(
    *, stream: bool, resets: bool, client: Client
) -> None:
    leave(client, stream=stream, model=SLOW, sends=0.5, resets=resets)

    assert client.chat().status == 200
    assert settled_msat(client, FUNDED_MSAT - COST_MSAT) == FUNDED_MSAT - COST_MSAT


@BOTH_WAYS
@BOTH_KINDS
def test_before_the_head_the_answer_is_charged(
    *, stream: bool, resets: bool, client: Client
) -> None:
    leave(client, stream=stream, model=LATE, resets=resets)
    wait_until_held(client)

    assert settled_msat(client, FUNDED_MSAT - COST_MSAT) == FUNDED_MSAT - COST_MSAT


def wait_until_held(client: Client) -> None:
    """Wait until the request has been admitted, whether or not it has ended since."""
    deadline_s = time.monotonic() + WAIT_MAX_S
    while client.msat() == (FUNDED_MSAT, 0):
        assert time.monotonic() < deadline_s
        time.sleep(0.01)


STAGES = [
    pytest.param(b"\r\n\r\n", id="after the head"),
    pytest.param(b"This", id="after the first word"),
    pytest.param(b"model.", id="in the middle"),
    pytest.param(b'"finish_reason":"stop"', id="before the end"),
]


@BOTH_WAYS
@pytest.mark.parametrize("stage", STAGES)
def test_in_a_stream_what_the_upstream_used_is_charged(
    stage: bytes, client: Client, *, resets: bool
) -> None:
    leave(client, stream=True, model=SLOW, reads_until=stage, resets=resets)

    assert settled_msat(client, FUNDED_MSAT - COST_MSAT) == FUNDED_MSAT - COST_MSAT


def test_after_the_head_of_a_plain_answer_it_has_been_charged(client: Client) -> None:
    leave(client, stream=False, model="gpt-4o-mini", reads_until=b"\r\n\r\n")

    assert client.msat() == (FUNDED_MSAT - COST_MSAT, 0)


def test_an_upstream_that_fails_after_the_client_left_costs_nothing(client: Client) -> None:
    leave(client, stream=True, model=f"{LATE}+status-500")
    wait_until_held(client)

    assert settled_msat(client, FUNDED_MSAT) == FUNDED_MSAT


def test_thirty_clients_that_leave_at_once_are_each_charged_once(client: Client) -> None:
    stages = [b"\r\n\r\n", b"This", b"upstream,", b"said:", b'"finish_reason":"stop"'] * 6

    with ThreadPoolExecutor(len(stages)) as threads:
        for stage in stages:
            threads.submit(leave, client, stream=True, model=SLOW, reads_until=stage)

    expected_msat = FUNDED_MSAT - len(stages) * COST_MSAT
    assert settled_msat(client, expected_msat) == expected_msat
