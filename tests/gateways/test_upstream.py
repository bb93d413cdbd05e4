from __future__ import annotations

import json
import socket
import time
import zlib
from typing import TYPE_CHECKING

import pytest

from app.gateways.errors import OutcomeUnknownError, RefusedError
from app.gateways.upstream import (
    AnswerTooLongError,
    Upstream,
    UpstreamBrokenError,
    UpstreamPathError,
    UpstreamUnreachableError,
)
from tests.doubles.upstream import Behaviour, UpstreamDouble

if TYPE_CHECKING:
    from collections.abc import Iterator

API_KEY = "the operator's key"
CHAT = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}]}


@pytest.fixture
def double() -> Iterator[UpstreamDouble]:
    with UpstreamDouble() as double:
        yield double


@pytest.fixture
def upstream(double: UpstreamDouble) -> Iterator[Upstream]:
    upstream = door_to(double.base_url)
    yield upstream
    upstream.close()


def door_to(base_url: str, connections_max: int = 4, api_key: str = API_KEY) -> Upstream:
    return Upstream(
        base_url,
        api_key,
        connect_timeout_s=0.5,
        read_timeout_s=0.5,
        connections_max=connections_max,
    )


def chat(**members: object) -> bytes:
    return json.dumps({**CHAT, **members}).encode()


def ask(upstream: Upstream, headers: dict[str, str] | None = None, **members: object) -> bytes:
    answer = upstream.post("/chat/completions", chat(**members), headers or {})
    try:
        return answer.read_all(1_000_000)
    finally:
        answer.close()


def test_the_answer_comes_with_status_and_body(upstream: Upstream) -> None:
    answer = upstream.post("/chat/completions", chat(), {"content-type": "application/json"})

    assert answer.status == 200
    assert answer.headers == {"content-type": "application/json"}
    assert json.loads(answer.read_all(10_000))["usage"]["prompt_tokens"] == 1


def test_the_models_can_be_asked_for(upstream: Upstream, double: UpstreamDouble) -> None:
    answer = upstream.get("/models")

    assert answer.status == 200
    assert b"gpt-4o-mini" in answer.read_all(10_000)
    assert double.requests[0].path == "/v1/models"


def test_only_harmless_headers_go_along(upstream: Upstream, double: UpstreamDouble) -> None:
    harmless = {
        "Content-Type": "application/json",
        "Accept": "text/event-stream",
        "User-Agent": "client/1",
        "traceparent": "00-a",
        "OpenAI-Beta": "x",
        "anthropic-version": "2023-06-01",
    }
    secret = {
        "Authorization": "Bearer cashuBsecret",
        "X-Cashu": "cashuBsecret",
        "Cookie": "secret",
        "X-Api-Key": "secret",
        "Connection": "close",
        "Transfer-Encoding": "chunked",
        "X-Forwarded-For": "secret",
        "Host": "secret",
        "Accept-Encoding": "br",
        "Content-Length": "1",
    }

    ask(upstream, {**harmless, **secret})

    seen = double.requests[0]
    assert {
        name.lower(): value for name, value in harmless.items()
    }.items() <= seen.headers.items()
    assert seen.headers["authorization"] == f"Bearer {API_KEY}"
    assert seen.headers["accept-encoding"] == "identity"
    assert seen.headers["content-length"] == str(len(seen.body))
    assert "secret" not in str(seen.headers)
    assert seen.headers.keys() <= {
        *map(str.lower, harmless), "authorization", "accept-encoding", "content-length", "host",
    }  # fmt: skip


@pytest.mark.parametrize("value", ["a\r\nx-evil: 1", "a\nb", "a\x00b", "é", "x" * 5000])
def test_a_header_that_could_become_two_does_not_go_along(
    upstream: Upstream, double: UpstreamDouble, value: str
) -> None:
    ask(upstream, {"user-agent": value})

    assert double.requests[0].headers["user-agent"] == "tallystick"
    assert "x-evil" not in double.requests[0].headers


def test_without_a_key_none_is_sent(double: UpstreamDouble) -> None:
    upstream = door_to(double.base_url, api_key="")

    ask(upstream, {"authorization": "Bearer x"})
    upstream.close()

    assert "authorization" not in double.requests[0].headers


@pytest.mark.parametrize(
    ("base_url", "path", "header"),
    [
        ("https://api.anthropic.com/v1", "/messages", "x-api-key"),
        ("https://api.anthropic.com/v1", "/messages/count_tokens", "x-api-key"),
        ("https://api.anthropic.com/v1", "/chat/completions", "authorization"),
        ("https://openrouter.ai/api/v1", "/messages", "authorization"),
        ("https://anthropic.com.example/v1", "/messages", "authorization"),
        ("https://notanthropic.com/v1", "/messages", "authorization"),
    ],
)
def test_anthropic_finds_our_key_where_it_looks_for_it(
    base_url: str, path: str, header: str
) -> None:
    upstream = door_to(base_url, api_key="sk-ours")

    headers = upstream._request_headers(path, {"authorization": "Bearer x", "x-api-key": "y"})
    upstream.close()

    keys = {name: headers[name] for name in ("authorization", "x-api-key") if name in headers}
    assert keys == {header: "sk-ours" if header == "x-api-key" else "Bearer sk-ours"}


def test_of_the_answers_headers_none_tells_who_the_operator_is(
    upstream: Upstream, double: UpstreamDouble
) -> None:
    kept = {
        "cache-control": "no-store",
        "retry-after": "3",
        "x-ratelimit-remaining-tokens": "7",
    }
    dropped = {
        "openai-processing-ms": "5",
        "openai-organization": "the operator",
        "openai-project": "the operator",
        "set-cookie": "x=1",
        "x-request-id": "r",
        "x-cashu": "cashuB",
    }
    double.behave(Behaviour(headers={**kept, **dropped}))

    answer = upstream.post("/chat/completions", chat(), {})
    answer.close()

    assert answer.headers == {"content-type": "application/json", **kept}


def test_chunks_are_handed_on_as_they_arrive(
    upstream: Upstream, double: UpstreamDouble
) -> None:
    double.behave(Behaviour(chunks=[b"a", b"b" * 100_000, b"c"], chunk_delay_s=0.1))
    started = time.monotonic()

    answer = upstream.post("/chat/completions", chat(stream=True), {})
    first = answer.read_some()
    first_after_s = time.monotonic() - started
    rest = answer.read_all(1_000_000)

    assert (first, rest) == (b"a", b"b" * 100_000 + b"c")
    assert first_after_s < 0.1
    assert answer.read_some() == b""


def test_a_body_of_known_length_does_not_wait_to_be_full(
    upstream: Upstream, double: UpstreamDouble
) -> None:
    double.behave(Behaviour(answer_delay_s=0.1, chunk_delay_s=0.1))

    answer = upstream.get("/models")

    assert len(answer.read_all(10_000)) > 0
    assert answer.read_some() == b""


def test_an_error_answer_is_an_answer(upstream: Upstream) -> None:
    answer = upstream.post("/chat/completions", chat(model="m+status-429"), {})

    assert answer.status == 429
    assert b"told to fail" in answer.read_all(1000)


def test_a_redirect_is_not_followed(upstream: Upstream, double: UpstreamDouble) -> None:
    double.behave(Behaviour(status=307, headers={"location": "/v1/models"}))

    answer = upstream.post("/chat/completions", chat(), {})
    answer.close()

    assert answer.status == 307
    assert len(double.requests) == 1


def test_a_compressed_stream_comes_out_plain(
    upstream: Upstream, double: UpstreamDouble
) -> None:
    plain = ask(upstream, stream=True)
    double.behave(Behaviour(gzips=True))

    assert ask(upstream, stream=True) == plain


def test_a_bomb_is_never_unpacked_whole(upstream: Upstream, double: UpstreamDouble) -> None:
    packer = zlib.compressobj(9, wbits=31)
    bomb = b"".join(packer.compress(b"\0" * 1_000_000) for _ in range(100)) + packer.flush()
    double.behave(Behaviour(body=bomb, headers={"content-encoding": "gzip"}))

    answer = upstream.get("/models")

    assert 0 < len(answer.read_some()) <= 64 * 1024
    with pytest.raises(AnswerTooLongError):
        answer.read_all(1_000_000)


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip, gzip"])
def test_an_encoding_nobody_asked_for_is_refused(
    upstream: Upstream, double: UpstreamDouble, encoding: str
) -> None:
    double.behave(Behaviour(headers={"content-encoding": encoding}))

    with pytest.raises(UpstreamBrokenError):
        upstream.get("/models")


def test_a_damaged_compressed_body_is_a_broken_answer(
    upstream: Upstream, double: UpstreamDouble
) -> None:
    double.behave(Behaviour(body=b"not gzip", headers={"content-encoding": "gzip"}))

    with pytest.raises(UpstreamBrokenError):
        upstream.get("/models").read_all(1000)


def test_an_answer_longer_than_allowed_is_refused(upstream: Upstream) -> None:
    answer = upstream.get("/models")

    with pytest.raises(AnswerTooLongError):
        answer.read_all(10)


def test_nobody_there_means_nothing_was_sent() -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    upstream = door_to(f"http://127.0.0.1:{port}")

    with pytest.raises(UpstreamUnreachableError) as raised:
        upstream.get("/models")

    assert isinstance(raised.value, RefusedError)
    assert str(port) not in str(raised.value)


def test_no_free_connection_means_nothing_was_sent(double: UpstreamDouble) -> None:
    upstream = door_to(double.base_url, connections_max=1)
    kept = upstream.get("/models")

    with pytest.raises(UpstreamUnreachableError):
        upstream.get("/models")

    kept.close()
    assert upstream.get("/models").read_all(10_000)
    upstream.close()


@pytest.mark.parametrize("model", ["m+hangup", "m+slow-2000"])
def test_no_answer_means_that_nobody_knows(upstream: Upstream, model: str) -> None:
    with pytest.raises(UpstreamBrokenError) as raised:
        ask(upstream, model=model)

    assert isinstance(raised.value, OutcomeUnknownError)


@pytest.mark.parametrize(
    "cut",
    [
        Behaviour(chunks=[b"x", b"y"], drops_after_chunks=1),
        Behaviour(body=b"x", headers={"content-length": "2", "connection": "close"}),
    ],
    ids=["in chunks", "of known length"],
)
def test_an_answer_cut_short_is_not_taken_for_its_end(
    upstream: Upstream, double: UpstreamDouble, cut: Behaviour
) -> None:
    double.behave(cut)

    answer = upstream.get("/models")

    with pytest.raises(UpstreamBrokenError):
        answer.read_all(1000)


def test_silence_in_the_middle_is_a_broken_answer(
    upstream: Upstream, double: UpstreamDouble
) -> None:
    double.behave(Behaviour(chunks=[b"a", b"b"], chunk_delay_s=2))

    answer = upstream.get("/models")

    assert answer.read_some() == b"a"
    with pytest.raises(UpstreamBrokenError):
        answer.read_some()


def test_closing_early_tells_the_upstream_to_stop(
    upstream: Upstream, double: UpstreamDouble
) -> None:
    double.behave(Behaviour(chunks=[b"x" * 1000] * 1000, chunk_delay_s=0.005))

    answer = upstream.get("/models")
    answer.read_some()
    answer.close()
    answer.close()

    deadline_s = time.monotonic() + 5
    while not double.cut_streams and time.monotonic() < deadline_s:
        time.sleep(0.01)
    assert double.cut_streams == 1


def test_a_connection_read_to_its_end_serves_again(double: UpstreamDouble) -> None:
    upstream = door_to(double.base_url, connections_max=1)

    for _ in range(3):
        ask(upstream)
        ask(upstream, stream=True)
    upstream.close()

    assert double.connections == 1


@pytest.mark.parametrize(
    "path", ["models", "/../admin", "/a/%2e%2e/b", "/a b", "/a\r\nx: y", "//evil/\\", "/é"]
)
def test_a_path_that_leads_elsewhere_is_refused(
    upstream: Upstream, double: UpstreamDouble, path: str
) -> None:
    with pytest.raises(UpstreamPathError):
        upstream.get(path)

    assert double.requests == []


def test_a_path_may_have_a_query(upstream: Upstream, double: UpstreamDouble) -> None:
    upstream.get("/models?after=a&limit=2").close()

    assert double.requests[0].path == "/v1/models?after=a&limit=2"


@pytest.mark.parametrize(
    "address", ["", "ftp://host", "https://", "api.openai.com/v1", "https://user:pass@host"]
)
def test_a_senseless_address_is_refused_at_once(address: str) -> None:
    with pytest.raises(ValueError, match="address"):
        door_to(address)


def test_the_environment_is_not_asked(
    upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")

    assert ask(upstream)
