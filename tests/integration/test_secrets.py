"""Nothing that is worth stealing is ever written down: not in the books, not in the logs."""

from __future__ import annotations

import json
import re
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
import requests

from tests.doubles.upstream import Behaviour, UpstreamDouble
from tests.integration.client import Client, open_account
from tests.integration.haystack import files_below, needles, said, tables_of
from tests.integration.house import new_address
from tests.integration.service import Service

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.mint import RealMint
    from tests.store.places import Place

pytestmark = pytest.mark.integration

PROMPT, ANSWER = "zanzibar-prompt-canary", "quokka-answer-canary"
API_KEY = re.compile(rb"(?<![A-Za-z0-9])sk-[A-Za-z0-9]{6}")
UPSTREAM_KEY = "sk-upstream-5f2c9d81"
ADMIN_PASSWORD = "walrus-admin-password"
LONG = "gpt-4o-mini+delay-50"
WAIT_MAX_S = 30.0
EXPORTS = ("beancount", "hledger", "csv", "jsonl")


@pytest.fixture
def talkative() -> UpstreamDouble:
    """An upstream that says the answer's canary."""
    return UpstreamDouble()


def answers() -> tuple[Behaviour, Behaviour]:
    """Return a plain answer and a stream that both say the canary, with their usage."""
    usage = {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8}
    said = {"role": "assistant", "content": ANSWER}
    plain = {"object": "chat.completion", "choices": [{"message": said}], "usage": usage}
    chunk = {"object": "chat.completion.chunk", "choices": [{"delta": said}], "usage": usage}
    stream = b"data: %b\n\ndata: [DONE]\n\n" % json.dumps(chunk).encode()
    return (
        Behaviour(body=json.dumps(plain).encode()),
        Behaviour(chunks=[stream], headers={"content-type": "text/event-stream"}),
    )


def use_everything(service: Service, mint: RealMint, upstream: UpstreamDouble) -> list[str]:
    """Go through all doors, also where it hurts; return the secrets that were in play."""
    given = [mint.fund(100) for _ in range(4)]
    bearer = Client(service.base_url, given[0])
    keyed = open_account(service.base_url, given[1])
    assert keyed.topup(given[2]).status == 200
    plain, stream = answers()
    for client in (bearer, keyed):
        upstream.behave(plain)
        assert ANSWER in client.chat(question=PROMPT).body.decode()
        upstream.behave(stream)
        assert ANSWER in client.chat(question=PROMPT, stream=True).body.decode()
        upstream.behave(Behaviour())
        assert PROMPT in client.chat(question=PROMPT).body.decode()
    refunded = [client.refund().document["token"] for client in (bearer, keyed)]
    go_wrong(service, given, keyed)
    return [*given, *refunded, keyed.bearer]


def go_wrong(service: Service, given: list[str], keyed: Client) -> None:
    """Provoke every kind of error, with secrets in each place they can be."""
    unused = given[3]
    query = {"initial_balance_token": unused}
    spent = {"cashu_token": given[0]}
    assert Client(service.base_url, "sk-nobodyhasthiskey").chat().status == 401
    assert keyed.post("/v1/balance/topup", spent).is_clean_error
    assert keyed.post(f"/v1/{unused}", {"prompt": PROMPT}).status == 404
    assert Client(service.base_url, unused[:-9]).chat(question=PROMPT).is_clean_error
    assert keyed.chat(question=PROMPT).status == 402
    create = f"{service.base_url}/v1/balance/create"
    answer = requests.get(create, params=query, timeout=30.0)
    assert answer.status_code == 200
    client = Client(service.base_url, answer.json()["api_key"])
    assert client.chat(question=PROMPT, model="gpt-4o-mini+status-500").is_clean_error
    assert client.chat(question=PROMPT, model="gpt-4o-mini+hangup").is_clean_error
    client.chat(question=PROMPT, model="gpt-4o-mini+drop-2", stream=True)
    with socket.create_connection(("127.0.0.1", service.port), 10.0) as connection:
        connection.sendall(f"GET /{unused} HTTP/1.1\r\nBad {unused}: x\r\n\r\n".encode())
        assert b" 400 " in connection.recv(4_096)


def crash_in_a_stream(service: Service, mint: RealMint) -> list[str]:
    """Kill both workers while a prompt is being answered and a token taken in."""
    client = open_account(service.base_url, mint.fund(100))
    token = mint.fund(100)
    with ThreadPoolExecutor(2) as threads:
        threads.submit(client.chat, stream=True, model=LONG, question=PROMPT)
        deadline_s = time.monotonic() + WAIT_MAX_S
        while client.msat()[1] == 0 and time.monotonic() < deadline_s:
            time.sleep(0.01)
        threads.submit(client.topup, token)
        service.kill_worker()
        service.kill_worker()
        service.kill_back_office()
    service.wait_until_whole()
    return [client.bearer, token]


@pytest.mark.parametrize(
    "where",
    ["sqlite_place", pytest.param("postgres_place", marks=pytest.mark.postgres)],
    ids=["sqlite", "postgresql"],
)
def test_no_secret_is_ever_written_down(
    where: str,
    request: pytest.FixtureRequest,
    mint: RealMint,
    talkative: UpstreamDouble,
    tmp_path: Path,
) -> None:
    place: Place = request.getfixturevalue(where)
    url = f"sqlite:///{place.where}" if place.engine == "sqlite" else place.where
    settings = {
        "LOG_LEVEL": "DEBUG",
        "UPSTREAM_API_KEY": UPSTREAM_KEY,
        "ADMIN_PASSWORD": ADMIN_PASSWORD,
    }
    with talkative as upstream:
        address = new_address(url, mint.url, upstream.base_url)
        with Service(address, tmp_path / "home", settings) as service:
            secrets = use_everything(service, mint, upstream)
            secrets += crash_in_a_stream(service, mint)
            # While it runs, what is new is in the write-ahead log and not yet in the file.
            found = {f"running {name}": data for name, data in files_below(tmp_path).items()}
    found |= files_below(tmp_path)
    found |= tables_of(url) if place.engine == "postgresql" else {}
    found["verify"] = said(url, "verify")
    found |= {f"export {kind}": said(url, "export", "--format", kind) for kind in EXPORTS}

    looked_for = needles(
        address.seed_phrase, [*secrets, PROMPT, ANSWER, UPSTREAM_KEY, ADMIN_PASSWORD]
    )
    assert_readable(found, place.engine)
    assert {
        (name, needle)
        for name, data in found.items()
        for needle in looked_for
        if needle in data
    } == set()
    assert {name for name, data in found.items() if API_KEY.search(data)} == set()


def assert_readable(found: dict[str, bytes], engine: str) -> None:
    """Check that the search would find something: events and log lines are plain to see."""
    events = b"".join(data for name, data in found.items() if "log" not in name)
    assert events.count(b"deposit.credited") >= 5
    assert any(name.endswith(".db-wal") for name in found) or engine == "postgresql"
    assert b'"/v1/balance/refund"' in b"".join(found.values())
