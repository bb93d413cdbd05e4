"""An upstream that answers by a script, and what the sample upstream cannot say."""

from __future__ import annotations

import json
from collections import deque
from typing import TYPE_CHECKING, Any

from tests.doubles.upstream import Behaviour, UpstreamDouble

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

EVENT_STREAM = {"content-type": "text/event-stream"}
TOOL: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "Tell the weather of a place",
        "parameters": {
            "type": "object",
            "properties": {"place": {"type": "string"}},
            "required": ["place"],
        },
    },
}
MESSAGES_TOOL: dict[str, Any] = {
    "name": TOOL["function"]["name"],
    "description": TOOL["function"]["description"],
    "input_schema": TOOL["function"]["parameters"],
}
CALLED = ["weather", '{"place":"Lisbon"}']
SPOKEN = "Four tallies on a stick."
TOKENS_IN, TOKENS_OUT = 50, 12
USAGE = {
    "prompt_tokens": TOKENS_IN,
    "completion_tokens": TOKENS_OUT,
    "total_tokens": TOKENS_IN + TOKENS_OUT,
}

MESSAGE = {"id": "msg_1", "type": "message", "role": "assistant", "model": "a-model"}
STOPPED_FOR_TOOL = {"stop_reason": "tool_use", "stop_sequence": None}


class ScriptedUpstream(UpstreamDouble):
    """Answers its next requests as it is told, one by one, and all others honestly."""

    def __init__(self, lacks: Collection[str] = ()) -> None:
        self._script: deque[Behaviour] = deque()
        super().__init__(lacks)

    @property
    def behaviour(self) -> Behaviour:  # read once a request
        return self._script.popleft() if self._script else Behaviour()

    @behaviour.setter
    def behaviour(self, value: Behaviour) -> None:
        self._script.clear()

    def next(self, *behaviours: Behaviour) -> None:
        """Answer the next requests like this, and forget what was not asked for."""
        self._script = deque(behaviours)


def answering(document: object) -> Behaviour:
    return Behaviour(status=200, body=json.dumps(document).encode())


def streaming(events: Sequence[object], *, named: bool = False, done: bool = True) -> Behaviour:
    """Return how to stream `events`, as chats do or `named`, as Responses and Messages do."""
    chunks = [_event(event, named=named) for event in events]
    if done:
        chunks.append(b"data: [DONE]\n\n")
    return Behaviour(status=200, chunks=chunks, headers=EVENT_STREAM)


def tool_call() -> Behaviour:
    """Return how a model answers that wants `TOOL` to be called."""
    call = {"id": "call_1", "type": "function", "function": _function(*CALLED)}
    message = {"role": "assistant", "content": None, "tool_calls": [call]}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "tool_calls"}
    return answering({**_head("chat.completion"), "choices": [choice], "usage": USAGE})


def streamed_tool_call() -> Behaviour:
    """Return the same in a stream; the arguments arrive in pieces."""
    name, arguments = CALLED
    first = {"index": 0, "id": "call_1", "type": "function", "function": _function(name, "")}
    pieces = [{"role": "assistant", "content": None, "tool_calls": [first]}]
    pieces += [
        {"tool_calls": [{"index": 0, "function": {"arguments": piece}}]}
        for piece in (arguments[:9], arguments[9:])
    ]
    head = _head("chat.completion.chunk")
    chunks = [{**head, "choices": [_choice(delta, None)]} for delta in pieces]
    chunks.append({**head, "choices": [_choice({}, "tool_calls")]})
    chunks.append({**head, "choices": [], "usage": USAGE})
    return streaming(chunks)


def response() -> Behaviour:
    """Return how the Responses API answers, in one piece."""
    return answering(_response("completed"))


def streamed_response() -> Behaviour:
    """Return the same as the events that its stream is made of."""
    place = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    deltas = [
        {"type": "response.output_text.delta", **place, "delta": piece, "logprobs": []}
        for piece in (SPOKEN[:5], SPOKEN[5:])
    ]
    events: list[dict[str, Any]] = [
        {"type": "response.created", "response": _response("in_progress")},
        *deltas,
        {"type": "response.completed", "response": _response("completed")},
    ]
    numbered = [{**event, "sequence_number": number} for number, event in enumerate(events)]
    return streaming(numbered, named=True, done=False)


def message_tool_call() -> Behaviour:
    """Return how Anthropic's models answer that want `MESSAGES_TOOL` to be called."""
    name, arguments = CALLED
    block = {"type": "tool_use", "id": "toolu_1", "name": name, "input": json.loads(arguments)}
    usage = {"input_tokens": TOKENS_IN, "output_tokens": TOKENS_OUT}
    return answering({**MESSAGE, "content": [block], **STOPPED_FOR_TOOL, "usage": usage})


def streamed_message_tool_call() -> Behaviour:
    """Return the same as the events that its stream is made of."""
    name, arguments = CALLED
    usage = {"input_tokens": TOKENS_IN, "output_tokens": 1}
    block = {"type": "tool_use", "id": "toolu_1", "name": name, "input": {}}
    pieces = [
        {"type": "input_json_delta", "partial_json": piece}
        for piece in (arguments[:9], arguments[9:])
    ]
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": {**MESSAGE, "content": [], "usage": usage}},
        {"type": "content_block_start", "index": 0, "content_block": block},
        *({"type": "content_block_delta", "index": 0, "delta": piece} for piece in pieces),
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": STOPPED_FOR_TOOL,
            "usage": {"output_tokens": TOKENS_OUT},
        },
        {"type": "message_stop"},
    ]
    return streaming(events, named=True, done=False)


def _response(status: str) -> dict[str, Any]:
    done = status == "completed"
    text = {"type": "output_text", "text": SPOKEN, "annotations": []}
    item = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed"}
    usage = {
        "input_tokens": TOKENS_IN,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": TOKENS_OUT,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": TOKENS_IN + TOKENS_OUT,
    }
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1_700_000_000,
        "model": "a-model",
        "status": status,
        "output": [{**item, "content": [text]}] if done else [],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": usage if done else None,
    }


def _function(name: str, arguments: str) -> dict[str, str]:
    return {"name": name, "arguments": arguments}


def _choice(delta: object, finish_reason: str | None) -> dict[str, Any]:
    return {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}


def _head(kind: str) -> dict[str, Any]:
    return {"id": "chatcmpl-1", "object": kind, "created": 1_700_000_000, "model": "a-model"}


def _event(event: object, *, named: bool) -> bytes:
    data = f"data: {json.dumps(event)}\n\n"
    name = event.get("type") if named and isinstance(event, dict) else None
    return (f"event: {name}\n{data}" if name else data).encode()
