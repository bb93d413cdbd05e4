from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from app.cashier.change_stream import ChangeStream, ResumedStream, comment, events_of
from tests.cashier.counter import DONE, chunk

if TYPE_CHECKING:
    from collections.abc import Sequence

TOKEN = "cashuBtoken"
COMMENT = b": x-cashu cashuBtoken\n\n"


class Pieces:
    """A settled stream of `pieces`; it settles with its last one."""

    def __init__(self, *pieces: bytes) -> None:
        self._left = list(pieces)
        self.is_closed = False

    @property
    def is_settled(self) -> bool:
        return not self._left

    def __next__(self) -> bytes:
        if not self._left:
            raise StopIteration
        return self._left.pop(0)

    def close(self) -> None:
        self.is_closed = True


def finish(index: int = 0, **members: Any) -> bytes:
    """Return the chunk that ends a choice."""
    choices = [{"index": index, "delta": {}, "finish_reason": "stop"}]
    return f"data: {json.dumps({'id': 'c1', 'choices': choices, **members})}\n\n".encode()


USAGE = b'data: {"id":"c1","choices":[],"usage":{"prompt_tokens":1}}\n\n'


def out(*pieces: bytes, token: str | None = TOKEN) -> list[bytes]:
    """Return what comes out, piece by piece."""
    return list(ChangeStream(Pieces(*pieces), lambda: token))


def document(event: bytes) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(event.removeprefix(b"data: "))
    return found


def test_chunks_go_on_as_they_come() -> None:
    pieces = out(chunk("a"), chunk("b"), DONE)

    assert pieces == [chunk("a"), chunk("b"), COMMENT + DONE]


def test_the_finish_chunk_waits_for_the_change() -> None:
    pieces = out(chunk("a") + finish(), USAGE + DONE)

    first, last = pieces
    assert first == chunk("a")
    told, *rest = events_of(last)
    assert document(told) == {**document(finish()), "cashu": TOKEN}
    assert rest == [USAGE, COMMENT, DONE]


def test_of_several_finish_chunks_the_last_has_the_change() -> None:
    pieces = out(finish(0), chunk("b"), finish(1), DONE)

    assert pieces[:-1] == [finish(0) + chunk("b")]
    told, *rest = events_of(pieces[-1])
    assert document(told) == {**document(finish(1)), "cashu": TOKEN}
    assert rest == [COMMENT, DONE]


def test_the_order_of_events_stays() -> None:
    ping = b": ping\n\n"

    pieces = out(finish(0) + ping, chunk("b"), DONE)

    assert b"".join(pieces) == finish(0) + ping + chunk("b") + COMMENT + DONE


@pytest.mark.parametrize("token", ["", None])
def test_without_change_the_finish_chunk_is_as_it_was(token: str | None) -> None:
    pieces = out(finish(), DONE, token=token)

    assert pieces == [finish() + comment(token) + DONE]


def test_what_is_told_of_change_depends_on_it() -> None:
    assert comment("") == b""
    assert comment(None) == b": x-cashu-change pending\n\n"
    assert comment(TOKEN) == COMMENT


def test_a_stream_of_named_events_is_told_before_its_last_event() -> None:
    last = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'

    assert out(b"event: a\ndata: {}\n\n", last)[-1] == COMMENT + last


@pytest.mark.parametrize(
    "odd",
    [
        b'data: {"choices":[{"finish_reason":"stop"\n\n',
        b'data: ["finish_reason":"stop"]\n\n',
        b'data: [{"finish_reason":"stop"}]\n\n',
    ],
)
def test_a_finish_chunk_that_cannot_be_read_goes_on_as_it_is(odd: bytes) -> None:
    assert out(odd, DONE) == [odd + COMMENT + DONE]


def test_change_is_made_once_and_only_when_the_bill_is_settled() -> None:
    made: list[str] = []

    def change() -> str:
        made.append(TOKEN)
        return TOKEN

    stream = ChangeStream(Pieces(chunk("a"), DONE), change)
    next(stream)
    before = list(made)
    rest = list(stream)

    assert before == []
    assert made == [TOKEN]
    assert len(rest) == 1


def test_a_stream_that_is_left_is_closed_and_no_change_is_made() -> None:
    pieces = Pieces(chunk("a"), DONE)
    stream = ChangeStream(pieces, lambda: pytest.fail("nobody is there to take it"))
    next(stream)

    stream.close()

    assert pieces.is_closed


@pytest.mark.parametrize("read", [[], [chunk("a")], [chunk("a"), chunk("b")]])
def test_a_stream_goes_on_after_what_was_read_before(read: Sequence[bytes]) -> None:
    rest = [chunk("c"), DONE]

    pieces = list(ChangeStream(ResumedStream(read, Pieces(*rest)), lambda: TOKEN))

    assert b"".join(pieces) == b"".join([*read, chunk("c"), COMMENT, DONE])
