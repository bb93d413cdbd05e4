"""What is served while four times as much is asked for: `python -m tests.bench.overload`.

One gunicorn worker, as `tallystick serve` starts it. Rounds at the most it can do (so many
clients, each asks again when it is answered) and rounds in which requests come four times as
fast as that, whether or not anybody answers, take turns. Every request is paid.
"""

from __future__ import annotations

import json
import multiprocessing
from collections import Counter
from statistics import median, quantiles
from time import sleep
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click
import gevent
from gevent import socket
from gevent.server import StreamServer

from tests.bench.crowd import READ_BYTES, Crowd, Seen
from tests.bench.slow import service
from tests.integration.client import CHAT, Client, chat_body
from tests.integration.house import QUESTION

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.synchronize import Event

CLIENTS = 32
TIMES = 4
PATIENCE_S = 30.0
MUST_RATIO = 0.8
SETTLE_S = 0.5
SETTINGS = {"WORKERS": "1", "LATE_MAX_MS": "200"}


@click.command()
@click.option("--rounds", default=3, show_default=True)
@click.option("--seconds", default=8.0, show_default=True, help="of each round")
def measure(rounds: int, seconds: float) -> None:
    """Print goodput at the peak and at four times as much, and how refusals were told."""
    peaks: list[Seen] = []
    floods: list[Seen] = []
    with service(answer_at_once, SETTINGS) as client:
        before_msat, _ = client.msat()
        client.chat()
        cost_msat = before_msat - client.msat()[0]
        before_msat -= cost_msat
        warm = asked(client, seconds / 2, None)
        for place in range(rounds):
            click.echo(f"round {place + 1} of {rounds}", err=True)
            peaks.append(asked(client, seconds, None))
            floods.append(asked(client, seconds, TIMES * peaks[-1].goodput))
        while client.msat()[1]:
            sleep(SETTLE_S)
        spent_msat = before_msat - client.msat()[0]
    served = sum(seen.statuses[200] for seen in (warm, *peaks, *floods))
    show(peaks, floods)
    click.echo(f"\n{served} answers were served, {spent_msat / cost_msat:.0f} were paid for.")


def show(peaks: list[Seen], floods: list[Seen]) -> None:
    click.echo("| asked | answers 200 a second | p50 ms | answers 503 | p50, p99 ms |")
    click.echo("|---|---|---|---|---|")
    for name, rounds in (("at the peak", peaks), (f"{TIMES} times the peak", floods)):
        served_s = [each for seen in rounds for each in seen.served_s]
        refused_s = [each for seen in rounds for each in seen.refused_s]
        told = f"{_ms(refused_s, 50)}, {_ms(refused_s, 99)}"
        good = median(seen.goodput for seen in rounds)
        click.echo(f"| {name} | {good:.0f} | {_ms(served_s, 50)} | {len(refused_s)} | {told} |")
    ratio = median(
        flood.goodput / peak.goodput for peak, flood in zip(peaks, floods, strict=True)
    )
    click.echo(f"\ngoodput is {ratio:.2f} of the peak; it must stay above {MUST_RATIO}.")
    statuses = sum((seen.statuses for seen in floods), Counter[int]())
    lacking = sum(seen.without_retry_after for seen in floods)
    click.echo(f"statuses: {dict(statuses)} (0: none); 503 without Retry-After: {lacking}")


def asked(client: Client, seconds: float, per_second: float | None) -> Seen:
    """Ask for so long, in a process of its own: so many clients, or at a rate."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.Process(target=ask, args=(theirs, client, seconds, per_second))
    process.start()
    seen: Seen = ours.recv()
    process.join()
    return seen


def ask(pipe: Connection, client: Client, seconds: float, per_second: float | None) -> None:
    parts = urlsplit(client.base_url)
    body = _body()
    head = (
        f"POST {CHAT} HTTP/1.1\r\nHost: {parts.netloc}\r\n"
        f"Authorization: Bearer {client.bearer}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    place = (parts.hostname or "", parts.port or 0)
    crowd = Crowd(place, head.encode() + body, seconds)
    if per_second is None:
        crowd.go_on(CLIENTS, PATIENCE_S)
    else:
        crowd.flood(per_second, PATIENCE_S)
    pipe.send(crowd.seen)


def answer_at_once(pipe: Connection, over: Event) -> None:
    """Be an upstream that costs nearly nothing, or it would be what is measured."""
    usage = {"prompt_tokens": 3, "completion_tokens": 14, "total_tokens": 17}
    message = {"role": "assistant", "content": "As well as can be expected."}
    choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
    answer = {"id": "c1", "object": "chat.completion", "choices": choices, "usage": usage}
    body = json.dumps(answer).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    whole = head.encode() + b"\r\n\r\n" + body

    def serve(line: socket.socket, _place: object) -> None:
        rest = b""
        while data := line.recv(READ_BYTES):
            rest += data
            while (request := _whole(rest)) is not None:
                rest = rest[request:]
                line.sendall(whole)

    server = StreamServer(("127.0.0.1", 0), serve)
    server.start()
    pipe.send(f"http://127.0.0.1:{server.server_port}/v1")
    while not over.is_set():
        gevent.sleep(SETTLE_S)
    server.stop()


def _whole(data: bytes) -> int | None:
    """Return how long the first request in `data` is, None while it is not all there."""
    head, end, body = data.partition(b"\r\n\r\n")
    if not end:
        return None
    length = int(head.lower().partition(b"\r\ncontent-length:")[2].split(b"\r\n")[0] or 0)
    return len(head) + len(end) + length if len(body) >= length else None


def _body() -> bytes:
    return json.dumps(chat_body(stream=False, model="gpt-4o-mini", question=QUESTION)).encode()


def _ms(times: list[float], place: int) -> str:
    if len(times) < 2:
        return "-"
    return f"{quantiles(times, n=100)[place - 1] * 1000:.0f}"


if __name__ == "__main__":
    multiprocessing.set_start_method("spawn")
    measure()
