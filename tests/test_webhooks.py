"""Another program is told of every movement of money: signed, in order, at least once."""

from __future__ import annotations

import hmac
import json
import threading
from typing import TYPE_CHECKING, Any

import pytest
import requests
from werkzeug.serving import make_server
from werkzeug.wrappers import Request, Response

from app.webhooks import PAUSE_FIRST_S, ROUND_MAX, Webhooks
from domain.posting import postings
from tests.domain.given import ALICE
from tests.doubles.mint import _Quiet
from tests.store.work import a_day, fund, ledger_on

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.store.places import Place, Store

SECRET = b"a secret of both"


class Receiver:
    """A program that is told; it answers what it is told to answer."""

    def __init__(self) -> None:
        self.posts: list[tuple[dict[str, Any], str, bytes]] = []
        self.statuses: list[int] = []

    def __call__(self, environ: Any, start_response: Any) -> Any:
        request = Request(environ)
        body = request.get_data()
        self.posts.append((json.loads(body), request.headers["Tallystick-Signature"], body))
        status = self.statuses.pop(0) if self.statuses else 204
        headers = {"Location": "/elsewhere"} if status == 302 else {}
        return Response(status=status, headers=headers)(environ, start_response)

    @property
    def positions(self) -> list[int]:
        return [told["position"] for told, _, _ in self.posts]


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()


@pytest.fixture
def url(receiver: Receiver) -> Iterator[str]:
    server = make_server("127.0.0.1", 0, receiver, threaded=True, request_handler=_Quiet)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.port}/hook"
    server.shutdown()
    thread.join()
    server.server_close()


class Clock:
    def __init__(self) -> None:
        self.now_s = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def session() -> Iterator[requests.Session]:
    with requests.Session() as session:
        yield session


def moving(store: Store) -> list[int]:
    return [
        position for page in store.log() for position, entry in page if postings(entry.event)
    ]


def test_every_movement_of_money_is_told_in_order_and_signed(
    store: Store, url: str, session: requests.Session, receiver: Receiver
) -> None:
    clock = Clock()
    hooks = Webhooks(url, SECRET, store, session, clock)
    hooks.tell()
    a_day(store, ALICE)

    taken = hooks.tell()

    assert receiver.positions == moving(store)
    assert taken == len(receiver.posts) > 0
    for _, signed, body in receiver.posts:
        when, mac = (part.partition("=")[2] for part in signed.split(","))
        assert int(when) == int(clock.now_s)
        expected = hmac.digest(SECRET, f"{when}.".encode() + body, "sha256").hex()
        assert hmac.compare_digest(mac, expected)
    assert hooks.tell() == 0


def test_the_past_is_not_told(
    store: Store, url: str, session: requests.Session, receiver: Receiver
) -> None:
    a_day(store, ALICE)

    Webhooks(url, SECRET, store, session).tell()

    assert receiver.posts == []


def test_another_process_goes_on_where_this_one_was(
    place: Place, url: str, session: requests.Session, receiver: Receiver
) -> None:
    store = place.open()
    Webhooks(url, SECRET, store, session).tell()
    fund(ledger_on(store), ALICE, 10)
    Webhooks(url, SECRET, store, session).tell()
    fund(ledger_on(store), ALICE, 10)

    Webhooks(url, SECRET, place.open(), session).tell()

    assert receiver.positions == moving(store)


@pytest.mark.parametrize("status", [302, 400, 404, 500, 503])
def test_what_was_not_taken_is_told_again_before_anything_else(
    store: Store, url: str, session: requests.Session, receiver: Receiver, status: int
) -> None:
    clock = Clock()
    hooks = Webhooks(url, SECRET, store, session, clock)
    hooks.tell()
    a_day(store, ALICE)
    receiver.statuses = [204, status, status]

    assert hooks.tell() == 1
    assert hooks.tell() == 0
    clock.now_s += PAUSE_FIRST_S
    hooks.tell()
    clock.now_s += PAUSE_FIRST_S
    assert len(receiver.posts) == 3
    clock.now_s += PAUSE_FIRST_S
    hooks.tell()

    first, second, *rest = moving(store)
    assert receiver.positions == [first, second, second, second, *rest]


def test_a_receiver_that_is_away_is_told_later(store: Store, session: requests.Session) -> None:
    hooks = Webhooks("http://127.0.0.1:9/", SECRET, store, session)
    hooks.tell()
    head = store.head()
    fund(ledger_on(store), ALICE, 10)

    assert hooks.tell() == 0
    assert store.follower_position("webhook") <= head + 1


def test_a_round_has_an_end(
    store: Store, url: str, session: requests.Session, receiver: Receiver
) -> None:
    hooks = Webhooks(url, SECRET, store, session)
    hooks.tell()
    ledger = ledger_on(store)
    for _ in range(3):
        fund(ledger, ALICE, 1)

    assert hooks.tell() == len(receiver.posts) == 3 <= ROUND_MAX
