from __future__ import annotations

import json
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest
import urllib3
from werkzeug.serving import make_server

from app.cashier.meter import StreamMeter
from app.cashier.usage import usage_of
from app.demo.sample_upstream import FINGERPRINT, KeptAliveHandler, create_sample_upstream
from domain.bounds import Usage
from tests.doubles.upstream import UpstreamDouble

if TYPE_CHECKING:
    from collections.abc import Iterator

MESSAGES = [{"role": "user", "content": "how are you?"}]
CHAT = {"model": "gpt-4o-mini", "messages": MESSAGES}


@pytest.fixture(params=["sample", "double"])
def base_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """Both stand-ins: what holds for one must hold for the other."""
    if request.param == "double":
        with UpstreamDouble() as double:
            yield double.base_url
        return
    server = make_server(
        "127.0.0.1", 0, create_sample_upstream(), request_handler=KeptAliveHandler
    )
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    thread.join()
    server.server_close()


def ask(url: str, body: object = None) -> tuple[int, bytes]:
    method = "GET" if body is None else "POST"
    with urllib3.PoolManager() as pool:
        answer = pool.request(
            method, url, json=body, headers={"connection": "close"}, retries=False, timeout=5
        )
        return answer.status, answer.data


def document(url: str, body: object = None) -> dict[str, Any]:
    status, data = ask(url, body)
    assert status == 200
    found: dict[str, Any] = json.loads(data)
    return found


def test_it_lists_its_models(base_url: str) -> None:
    listed = document(f"{base_url}/models")

    assert "gpt-4o-mini" in [model["id"] for model in listed["data"]]
    assert {model["owned_by"] for model in listed["data"]} == {FINGERPRINT}


def test_it_says_what_it_is(base_url: str) -> None:
    answer = document(f"{base_url}/chat/completions", CHAT)

    assert answer["system_fingerprint"] == FINGERPRINT
    assert "not a model" in answer["choices"][0]["message"]["content"]


def test_it_counts_the_words_it_really_wrote(base_url: str) -> None:
    answer = document(f"{base_url}/chat/completions", CHAT)

    words = answer["choices"][0]["message"]["content"].split()
    assert usage_of(answer) == Usage(prompt_tokens=3, completion_tokens=len(words))


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_it_stops_at_the_limit(base_url: str, name: str) -> None:
    answer = document(f"{base_url}/chat/completions", {**CHAT, name: 4})

    assert answer["usage"]["completion_tokens"] == 4
    assert answer["choices"][0]["finish_reason"] == "length"


def test_it_gives_as_many_choices_as_are_asked_for(base_url: str) -> None:
    answer = document(f"{base_url}/chat/completions", {**CHAT, "n": 3, "max_tokens": 4})

    assert [choice["index"] for choice in answer["choices"]] == [0, 1, 2]
    assert answer["usage"]["completion_tokens"] == 12


@pytest.mark.parametrize("asked", [True, False])
def test_a_stream_tells_its_usage_only_if_asked(base_url: str, asked: bool) -> None:  # noqa: FBT001
    body = {**CHAT, "stream": True, "stream_options": {"include_usage": asked}}

    _, data = ask(f"{base_url}/chat/completions", body)

    meter = StreamMeter(usage_invited=True)
    meter.feed(data)
    assert meter.done
    assert (meter.usage is not None) == asked


def test_a_stream_says_the_same_as_a_whole_answer(base_url: str) -> None:
    whole = document(f"{base_url}/chat/completions", CHAT)

    _, data = ask(f"{base_url}/chat/completions", {**CHAT, "stream": True})

    chunks = [json.loads(e.removeprefix(b"data: ")) for e in data.split(b"\n\n")[:-2]]
    text = "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks)
    assert text == whole["choices"][0]["message"]["content"]
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"


def test_it_completes_a_prompt(base_url: str) -> None:
    body = {"model": "gpt-4o-mini", "prompt": "one two", "max_tokens": 2}

    answer = document(f"{base_url}/completions", body)
    _, stream = ask(f"{base_url}/completions", {**body, "stream": True})

    assert answer["choices"][0]["text"] == "This is"
    assert usage_of(answer) == Usage(prompt_tokens=2, completion_tokens=2)
    assert stream.endswith(b"data: [DONE]\n\n")


@pytest.mark.parametrize("texts", ["one two three", ["one two", "three"]])
def test_it_embeds_texts(base_url: str, texts: object) -> None:
    body = {"model": "text-embedding-3-small", "input": texts}

    answer = document(f"{base_url}/embeddings", body)

    assert usage_of(answer) == Usage(prompt_tokens=3)
    assert len(answer["data"]) == (len(texts) if isinstance(texts, list) else 1)


def test_parts_of_a_message_are_read(base_url: str) -> None:
    parts = [{"type": "text", "text": "one two"}, {"type": "image_url", "image_url": {}}]
    body = {**CHAT, "messages": [{"role": "user", "content": parts}, 5]}

    assert document(f"{base_url}/chat/completions", body)["usage"]["prompt_tokens"] == 2


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("chat/completions", []),
        ("chat/completions", {"model": "m"}),
        ("chat/completions", {"messages": MESSAGES}),
        ("chat/completions", {**CHAT, "max_tokens": "4"}),
        ("chat/completions", {**CHAT, "n": 1000}),
        ("completions", {"model": "m"}),
        ("embeddings", {"model": "m", "input": []}),
    ],
)
def test_a_senseless_request_is_refused(base_url: str, path: str, body: object) -> None:
    status, data = ask(f"{base_url}/{path}", body)

    assert status == 400
    assert json.loads(data)["error"]["type"] == "invalid_request_error"


def test_an_unknown_path_is_refused_in_json(base_url: str) -> None:
    status, data = ask(f"{base_url}/nothing")

    assert status == 404
    assert "message" in json.loads(data)["error"]


def test_it_runs_from_the_command_line() -> None:
    command = [sys.executable, "-m", "app.demo.sample_upstream", "--port", "0"]

    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().split()[-1]
        answer = document(f"{url}/models")
        process.terminate()

    assert answer["object"] == "list"
