"""What curl sees is what is on the wire."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from tests.clients.books import (
    COST_MSAT,
    EMBEDDING_MODEL,
    FUNDS_SAT,
    MODEL,
    QUESTION,
    Account,
    buy_key,
    cost_msat,
)
from tests.clients.commands import Command, curl
from tests.doubles.upstream import Behaviour

if TYPE_CHECKING:
    from tests.clients.books import Books
    from tests.clients.upstream import ScriptedUpstream
    from tests.integration.mint import RealMint
    from tests.integration.service import Service

pytestmark = [pytest.mark.clients, pytest.mark.timeout(180)]

TIMED_OUT = 28
SETTLED_TIMEOUT_S = 20.0


@dataclass(frozen=True)
class Seen:
    """An answer as curl shows it with `--include`."""

    code: int
    status: int
    headers: dict[str, str]
    body: str

    @property
    def document(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> dict[str, Any]:
        """The error, which has all that OpenAI's errors have."""
        error: dict[str, Any] = self.document["error"]
        assert {"message", "type", "param", "code"} <= error.keys()
        return error


@dataclass(frozen=True)
class Caller(Account):
    """Somebody with a funded key and curl."""

    curl: Command

    def ask(self, path: str, *arguments: str, key: str | None = None) -> Seen:
        bearer = f"Authorization: Bearer {self.key if key is None else key}"
        url = f"{self.base_url}{path}"
        done = self.curl.run("--include", "-H", bearer, *arguments, url)
        head, _, body = done.out.partition("\n\n")
        while " 100 " in head.partition("\n")[0]:
            head, _, body = body.partition("\n\n")
        first, *lines = head.splitlines() or ["- 0"]
        fields = (line.split(": ", 1) for line in lines)
        headers = {name.lower(): value for name, value in fields}
        return Seen(done.code, int(first.split()[1]), headers, body)


@pytest.fixture(scope="module")
def caller(
    service: Service, mint: RealMint, books: Books, tmp_path_factory: pytest.TempPathFactory
) -> Caller:
    key = buy_key(service, mint, FUNDS_SAT)
    return Caller(service.base_url, key, books, curl(tmp_path_factory.mktemp("curl")))


def chat(caller: Caller, *arguments: str, stream: bool = False, **more: Any) -> Seen:
    document = {
        "model": MODEL,
        "messages": [{"role": "user", "content": QUESTION}],
        "max_tokens": 64,
        "stream": stream,
    }
    sent = ("-H", "Content-Type: application/json", "-d", json.dumps(document))
    return caller.ask("/v1/chat/completions", *sent, *arguments, **more)


@pytest.mark.parametrize(
    "way",
    [(), ("--http1.0",), ("--compressed",), ("-H", "Expect: 100-continue"),
     ("-H", "Transfer-Encoding: chunked")],
    ids=["as it is", "HTTP/1.0", "compressed", "100-continue", "chunked"],
)  # fmt: skip
def test_a_plain_chat(way: tuple[str, ...], caller: Caller) -> None:
    with caller.spends(COST_MSAT):
        seen = chat(caller, *way)

    assert (seen.status, seen.code) == (200, 0)
    assert seen.headers["content-type"] == "application/json"
    assert seen.headers["x-routstr-cost-msats"] == str(COST_MSAT)
    assert seen.headers["x-request-id"] == seen.headers["x-routstr-request-id"]
    assert seen.document["usage"]["cost"]["total_msats"] == COST_MSAT
    assert seen.document["choices"][0]["message"]["content"].endswith(QUESTION)


def test_a_streamed_chat(caller: Caller) -> None:
    with caller.spends(COST_MSAT):
        seen = chat(caller, "--no-buffer", stream=True)

    lines = [line for line in seen.body.splitlines() if line]
    assert seen.headers["content-type"].startswith("text/event-stream")
    assert all(line.startswith("data: ") for line in lines)
    assert lines[-1] == "data: [DONE]"


def test_who_hangs_up_pays_what_was_said(caller: Caller, upstream: ScriptedUpstream) -> None:
    """M: a hold is never left open by a client that went away."""
    upstream.next(Behaviour(chunk_delay_s=0.1))

    with caller.spends(COST_MSAT):
        seen = chat(caller, "--no-buffer", "--max-time", "0.7", stream=True)
        settled(caller)

    assert seen.code == TIMED_OUT


def test_embeddings_and_the_legacy_completion(caller: Caller) -> None:
    embedding = json.dumps({"model": EMBEDDING_MODEL, "input": "one two three"})
    completion = json.dumps({"model": MODEL, "prompt": QUESTION, "max_tokens": 64})

    with caller.spends(cost_msat(3, 0), COST_MSAT):
        vectors = caller.ask("/v1/embeddings", "-d", embedding)
        text = caller.ask("/v1/completions", "-d", completion)

    assert len(vectors.document["data"][0]["embedding"]) == 8
    assert text.document["choices"][0]["text"].endswith(QUESTION)


@pytest.mark.parametrize(
    ("path", "arguments", "status", "code"),
    [
        ("/v1/chat/completions", ("-d", "{"), 400, "invalid_json"),
        ("/v1/chat/completions", ("-d", "{}"), 400, "invalid_value"),
        ("/v1/chat/completions", (), 405, "method_not_allowed"),
        ("/v1/nothing", (), 404, "not_found"),
        ("/v1/models/nothing", (), 404, "model_not_found"),
        ("/v1/wallet/topup", ("-d", "{}"), 400, "missing_token"),
        ("/v1/wallet/topup", ("-d", '{"cashu_token":"cashuBno"}'), 400, "invalid_cashu_token"),
    ],
)
def test_what_is_asked_wrongly_costs_nothing_and_is_told_as_openai_would(
    path: str, arguments: tuple[str, ...], status: int, code: str, caller: Caller
) -> None:
    with caller.spends():
        seen = caller.ask(path, *arguments)

    assert (seen.status, seen.error["code"]) == (status, code)


@pytest.mark.parametrize(
    ("key", "code"),
    [("", "missing_api_key"), ("sk-unknown", "invalid_api_key"), ("no", "invalid_api_key")],
)
def test_without_a_key_that_is_known_nothing_is_served(
    key: str, code: str, caller: Caller
) -> None:
    seen = chat(caller, key=key)

    assert (seen.status, seen.error["code"]) == (401, code)
    assert seen.headers["www-authenticate"] == "Bearer"


def test_too_little_money_says_what_is_missing(
    caller: Caller, service: Service, mint: RealMint
) -> None:
    seen = chat(caller, key=buy_key(service, mint, 2))

    assert seen.status == 402
    assert (seen.error["type"], seen.error["code"]) == (
        "insufficient_quota",
        "insufficient_balance",
    )
    assert seen.headers["x-should-retry"] == "false"


def settled(account: Account) -> None:
    """Wait until no request of the account's is open any more."""
    deadline_s = time.monotonic() + SETTLED_TIMEOUT_S
    while account.msat()[1] and time.monotonic() < deadline_s:
        time.sleep(0.05)
