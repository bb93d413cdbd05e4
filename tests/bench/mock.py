"""The upstream of benchmarks: answers at once, streams at a pace, and counts what it served.

`python -m tests.bench.mock PORT`. A model's name says what is wanted: `mock-100-20` is 100
chunks, 20 ms apart. Each chunk carries the moment it was sent (CLOCK_MONOTONIC, in ns), so
that whoever reads it on the same machine knows how long it was on its way. Threads would cost
more than what is measured: this is one event loop, and hardly parses what it is asked.
"""

from __future__ import annotations

import asyncio
import gc
import json
import re
import sys
from time import monotonic_ns

MODEL = re.compile(rb'"model": ?"[a-z]+-(\d+)-(\d+)"')
LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")
STREAM = re.compile(rb'"stream": ?true')
SERVED = b"GET /served "
USAGE = {"prompt_tokens": 100, "completion_tokens": 100, "total_tokens": 200}
WORDS = "Forty sticks were split and each half was kept by one of the two. " * 5
ANSWER = json.dumps(
    {
        "id": "chatcmpl-0123456789abcdef",
        "object": "chat.completion",
        "created": 1_790_000_000,
        "model": "mock",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": WORDS},
                "finish_reason": "stop",
            }
        ],
        "usage": USAGE,
    }
).encode()
PLAIN_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
)
CHUNK = (
    b'data: {"id":"chatcmpl-0123456789abcdef","object":"chat.completion.chunk",'
    b'"created":1790000000,"model":"mock","choices":[{"index":0,"delta":'
    b'{"content":"%d"},"finish_reason":null}]}\n\n'
)
LAST = (
    b'data: {"id":"chatcmpl-0123456789abcdef","object":"chat.completion.chunk",'
    b'"created":1790000000,"model":"mock","choices":[],"usage":'
    + json.dumps(USAGE, separators=(",", ":")).encode()
    + b"}\n\ndata: [DONE]\n\n"
)


class Mock(asyncio.Protocol):
    """One connection, which is kept; `served` counts for all of them."""

    served = 0

    def __init__(self) -> None:
        self._data = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._data += data
        head, end, rest = self._data.partition(b"\r\n\r\n")
        length = LENGTH.search(head)
        size = 0 if length is None else int(length[1])
        if not end or len(rest) < size:
            return
        self._data = rest[size:]
        self._answer(head, rest[:size])

    def _answer(self, head: bytes, body: bytes) -> None:
        if head.startswith(SERVED):
            told = str(Mock.served).encode()
            self._transport.write(PLAIN_HEAD % len(told) + told)
            return
        if not STREAM.search(body):
            Mock.served += 1
            self._transport.write(PLAIN_HEAD % len(ANSWER) + ANSWER)
            return
        wanted = MODEL.search(body)
        count, pace_ms = (1, 0) if wanted is None else (int(wanted[1]), int(wanted[2]))
        self._next(STREAM_HEAD, count, pace_ms / 1000)

    def _next(self, before: bytes, left: int, pace_s: float) -> None:
        if self._transport.is_closing():
            return
        chunk = CHUNK % monotonic_ns() if left else LAST
        self._transport.write(before + b"%x\r\n%b\r\n" % (len(chunk), chunk))
        if left:
            loop = asyncio.get_running_loop()
            loop.call_later(pace_s, self._next, b"", left - 1, pace_s)
        else:
            Mock.served += 1
            self._transport.write(b"0\r\n\r\n")


async def serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(
        Mock, "127.0.0.1", port, backlog=4096
    )
    await server.serve_forever()


if __name__ == "__main__":
    # A collection in the middle of a chunk would be measured as ours.
    gc.disable()
    asyncio.run(serve(int(sys.argv[1])))
