from __future__ import annotations

import io
from typing import TYPE_CHECKING

import gevent
import pytest

from app.web.bodies import json_object
from app.web.common import WHOLE
from app.web.refusals import InvalidJsonError
from tests.web.conftest import BODY_BYTES_MAX, bearer

if TYPE_CHECKING:
    from werkzeug.test import TestResponse

    from tests.web.conftest import House


class Trickle(io.RawIOBase):
    """A body that a client sends byte by byte, with a pause before each."""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        gevent.sleep(0.05)
        buffer[:1] = b" "
        return 1


def post_raw(house: House, body: io.IOBase, key: str, length: int | None) -> TestResponse:
    """Post a body as it stands; without `length` as a server hands on one in chunks."""
    environ: dict[str, object] = {"wsgi.input": body, "CONTENT_LENGTH": str(length)}
    if length is None:
        environ |= {"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True}
    return house.client.post(
        "/v1/chat/completions", headers=bearer(key), environ_overrides=environ
    )


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'"text"',
        b"\xff",
        b'{"a": NaN}',
        b'{"a": "\\ud800"}',
        b"[" * 100_000,
        b'{"a": 1} {"b": 2}',
    ],
)
def test_what_is_no_json_object_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidJsonError):
        json_object(body)


def test_a_body_announced_as_too_long_is_not_read(house: House) -> None:
    body = io.BytesIO(b"{}")

    answer = post_raw(house, body, house.key(), BODY_BYTES_MAX + 1)

    assert answer.status_code == 413
    assert answer.get_json()["error"]["code"] == "request_too_large"
    assert body.tell() == 0


def test_a_body_that_is_there_has_the_same_limit(house: House) -> None:
    body = b" " * (BODY_BYTES_MAX + 1)

    answer = house.client.post(
        "/v1/chat/completions", headers=bearer(house.key()), environ_overrides={WHOLE: body}
    )

    assert answer.status_code == 413
    assert answer.get_json()["error"]["code"] == "request_too_large"


def test_a_body_in_chunks_is_refused_once_it_is_too_long(house: House) -> None:
    body = io.BytesIO(b" " * (BODY_BYTES_MAX + 10_000))

    answer = post_raw(house, body, house.key(), None)

    assert answer.status_code == 413
    assert answer.get_json()["error"]["code"] == "request_too_large"
    assert body.tell() <= BODY_BYTES_MAX + 1


@pytest.mark.parametrize("announced", [True, False])
def test_a_body_of_exactly_the_limit_is_read(house: House, announced: bool) -> None:  # noqa: FBT001  # one of a pair
    body = io.BytesIO(b"{}".ljust(BODY_BYTES_MAX))

    answer = post_raw(house, body, house.key(), BODY_BYTES_MAX if announced else None)

    assert answer.get_json()["error"]["param"] == "model"


def test_a_body_that_trickles_in_is_given_up(house: House) -> None:
    key = house.key()

    answer = post_raw(house, io.BufferedReader(Trickle(), 1), key, 1000)

    assert answer.status_code == 408
    assert answer.get_json()["error"]["code"] == "request_timeout"


def test_a_strangers_body_is_not_read(house: House) -> None:
    body = io.BytesIO(b"{}")

    answer = post_raw(house, body, "sk-nobody", 2)

    assert answer.status_code == 401
    assert body.tell() == 0


def test_a_body_that_is_cut_off_is_refused(house: House) -> None:
    answer = post_raw(house, io.BytesIO(b'{"model":'), house.key(), 1000)

    assert answer.status_code == 400
    assert answer.get_json()["error"]["type"] == "invalid_request_error"
