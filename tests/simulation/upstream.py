"""The upstream of a simulation: serves, refuses, falls silent and breaks off by chance."""

from __future__ import annotations

import json
from fractions import Fraction
from typing import TYPE_CHECKING

from app.gateways.upstream import UpstreamBrokenError, UpstreamUnreachableError
from domain.pricing import ModelPrice, PriceBook

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.simulation.stage import Process, Stage

MODEL = "gpt-sim"
REQUEST_MSAT, PROMPT_MSAT, COMPLETION_MSAT = 900, 5, 20
PROMPT_TOKENS, COMPLETION_TOKENS = 7, 11
COST_MSAT = REQUEST_MSAT + PROMPT_MSAT * PROMPT_TOKENS + COMPLETION_MSAT * COMPLETION_TOKENS
BOOK = PriceBook(
    models={
        MODEL: ModelPrice(
            id=MODEL,
            currency="msat",
            request=Fraction(REQUEST_MSAT),
            prompt=Fraction(PROMPT_MSAT),
            completion=Fraction(COMPLETION_MSAT),
        )
    }
)
BAD = 0.15
WORDS = ("It", " is", " so.")
USAGE = {
    "prompt_tokens": PROMPT_TOKENS,
    "completion_tokens": COMPLETION_TOKENS,
    "total_tokens": PROMPT_TOKENS + COMPLETION_TOKENS,
}


class Answer:
    """An answer on its way; each piece is a seam."""

    def __init__(
        self, stage: Stage, process: Process, status: int, pieces: list[bytes], kind: str
    ) -> None:
        self._stage = stage
        self._process = process
        self._pieces = pieces
        self.status = status
        self.headers = {"content-type": kind}

    def wait(self) -> None:
        self._stage.cross(self._process, "waits for the first piece")

    def read_some(self) -> bytes:
        self._stage.cross(self._process, "reads a piece")
        if self._pieces and self._stage.happens(BAD / 5):
            self._stage.told.count("broken stream")
            raise UpstreamBrokenError("broke off")
        return self._pieces.pop(0) if self._pieces else b""

    def read_all(self, _limit_bytes: int) -> bytes:
        pieces = []
        while piece := self.read_some():
            pieces.append(piece)
        return b"".join(pieces)

    def close(self) -> None:
        self._pieces = []


class SimUpstream:
    """Stands where `Upstream` does, for one process."""

    def __init__(self, stage: Stage, process: Process) -> None:
        self._stage = stage
        self._process = process

    def post(self, path: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        del path, headers
        stage, process = self._stage, self._process
        stage.cross(process, "asks the upstream")
        if stage.happens(BAD):
            kind = stage.chance.choice(("away", "silent", "500", "empty"))
            stage.told.count(f"upstream {kind}")
            if kind == "away":
                raise UpstreamUnreachableError("away")
            if kind == "silent":
                raise UpstreamBrokenError("silent")
            if kind == "empty":
                return Answer(stage, process, 200, [], "application/json")
            return Answer(stage, process, 500, [b'{"error":{}}'], "application/json")
        if json.loads(body).get("stream"):
            return Answer(stage, process, 200, _stream(), "text/event-stream")
        return Answer(stage, process, 200, [_whole()], "application/json")


def _whole() -> bytes:
    message = {"role": "assistant", "content": "".join(WORDS)}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    answer = {"id": "c1", "object": "chat.completion", "choices": [choice], "usage": USAGE}
    return json.dumps(answer).encode()


def _stream() -> list[bytes]:
    chunks: list[dict[str, object]] = [
        {"choices": [{"index": 0, "delta": {"content": word}}]} for word in WORDS
    ]
    chunks.append({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    chunks.append({"choices": [], "usage": USAGE})
    named = [{"id": "c1", "object": "chat.completion.chunk", **chunk} for chunk in chunks]
    return [
        *(f"data: {json.dumps(chunk)}\n\n".encode() for chunk in named),
        b"data: [DONE]\n\n",
    ]
