"""The auditor's view over a ledger of two weeks, whose names would like to be scripts."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from flask import Flask

from app.sealing.prove import Proofs
from app.sealing.sign import Sealing, SigningKey
from app.staff.attempts import Attempts
from app.store.seals import Seals
from app.store.threads import changing_one_by_one
from app.web import headers, problems
from app.web.admin.auditor import Auditor
from app.web.admin.log import Log
from app.web.admin.session import Sessions
from app.web.admin.shell import attach
from domain.deposit import Received
from domain.hold import Metered
from domain.price_list import from_models_json
from projections.follow import rebuild
from projections.sheets import SHEETS
from tests.cashier.conftest import build, mint, open_mint  # noqa: F401  (fixtures)
from tests.domain.given import claim, signed
from tests.projections.story import CLIENTS, OTHER_MINT, Story, put
from tests.staff.desk import operators_of
from tests.store.places import SqlitePlace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flask.testing import FlaskClient
    from werkzeug.test import TestResponse

    from domain.pricing import PriceBook
    from projections.chart import Query
    from tests.store.places import Store

PASSWORD = "correct horse battery"
SCRIPT = "<script>alert(1)</script>"
MODELS = ("maker/plain", "maker/thinker-large", SCRIPT, '"><img src=x onerror=alert(1)>')
HOSTILE_MINT = 'https://mint.example/"><script>alert(2)</script>'
HOSTILE_KEYSET = "00aaaaaaaaaaaaaa"
TOKEN = re.compile(r'name="form_token" value="([0-9a-f]*)"')


@dataclass
class Clock:
    """The time for sessions and attempts; it goes on when a test says so."""

    now_s: float = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now_s


@dataclass
class View:
    """The auditor's view in an application of its own, a browser, and what is behind it."""

    app: Flask
    browser: FlaskClient
    store: Store
    story: Story
    desk: Store
    clock: Clock

    def get(self, path: str, **query: str) -> TestResponse:
        return self.browser.get(path, query_string=query or None)

    def page(self, path: str, **query: str) -> str:
        answer = self.get(path, **query)
        assert answer.status_code == 200, answer.text
        return answer.text

    def form_token(self) -> str:
        found = TOKEN.search(self.get("/admin/sign-in/").text)
        assert found
        return found[1]

    def sign_in(
        self, password: str = PASSWORD, token: str | None = None, name: str = "admin"
    ) -> TestResponse:
        found = token or self.form_token()
        form = {"name": name, "password": password, "form_token": found}
        return self.browser.post("/admin/sign-in/", data=form)


def told_story(steps: int = 300, begin: datetime | None = None) -> Story:
    """Two weeks up to now: deposits, requests, refunds of every kind, some unfinished."""
    chance, story = Random(5), Story()  # noqa: S311  (a story, no secret)
    story.now = begin or datetime.now(UTC) - timedelta(days=17)
    for client in CLIENTS:
        story.deposit(client, 50_000, fee_sat=1)
    story.deposit(CLIENTS[0], 900, OTHER_MINT)
    begun = story.ledger.receive_token(
        story.new(), claim(CLIENTS[1], 64, mint=HOSTILE_MINT), HOSTILE_KEYSET, (64,)
    )
    assert isinstance(begun.event, Received)
    story.ledger.credit_deposit(begun, signed(begun.event.plan))
    story.ledger.observe_rate(story.new(), "97120.12", ("here",))
    for _ in range(steps):
        story.wait(minutes=chance.randrange(5, 150))
        client, model = chance.choice(CLIENTS), chance.choice(MODELS)
        hold = story.hold(client, chance.randrange(20_000, 90_000), model, "97120.12")
        match chance.randrange(20):
            case 0:
                story.release(hold)
            case _:
                used = Metered(prompt_tokens=chance.randrange(4000), completion_tokens=300)
                story.charge(hold, chance.randrange(1, 95_000), used)
    for end in ("collect", "issue", "start"):
        story.refund(CLIENTS[2], end=end)
        story.deposit(CLIENTS[2], 77)
    story.hold(CLIENTS[1], 12_345)
    return story


def book() -> PriceBook:
    prices = {"prompt": "0.00000015", "completion": "0.0000006", "request": "0.01"}
    models = [{"id": model, "pricing": prices} for model in MODELS]
    return from_models_json({"models": models}, Fraction(0))


def look_at(store: Store) -> Callable[[Callable[[Query], Any]], Any]:
    def look(read: Callable[[Query], Any]) -> Any:
        with store.snapshot() as query:
            return read(query)

    return look


def open_view(store: Store, desk: Store, clock: Callable[[], float], **parts: Any) -> Flask:
    """An application with nothing in it but the auditor's view; its operators at a `desk`."""
    app = Flask(__name__)
    app.url_map.strict_slashes = False
    headers.attach(app)
    app.register_error_handler(Exception, problems.answer)
    auditor = Auditor(
        house=parts.pop("house", "Test <House>"),
        log=Log(store.position, store.mapper.decode),
        look=look_at(store),
        sealed=Proofs(Seals(store)).inclusion,
        operators=operators_of(desk, PASSWORD),
        attempts=Attempts(changing_one_by_one(desk), clock),
        sessions=Sessions(b"k" * 32, PASSWORD, clock),
        prices=book(),
        **parts,
    )
    attach(app, auditor)
    return app


def fill(store: Store, story: Story, *, seal: bool = True) -> None:
    """Write the story into the store, and tell it to every follower."""
    put(store, story.entries)
    rebuild(store, [sheet.name for sheet in SHEETS], lambda _done, _all: None)
    if seal:
        Sealing(Seals(store), SigningKey(bytes(range(32)), "house.example")).seal()


@pytest.fixture(scope="session")
def story() -> Story:
    return told_story()


@pytest.fixture(scope="session")
def library(story: Story, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """The story in a store that no test writes to."""
    place = SqlitePlace(tmp_path_factory.mktemp("auditor"))
    store = place.open()
    fill(store, story)
    yield store
    place.close()


@pytest.fixture(scope="session")
def desk_place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    place = SqlitePlace(tmp_path_factory.mktemp("desk"))
    yield place.open()
    place.close()


@pytest.fixture
def desk(desk_place: Store) -> Store:
    """Where the operators are: not in the stores whose logs the tests count."""
    with desk_place.transaction() as query:
        query("DELETE FROM sign_in_attempt")
    return desk_place


def view_of(store: Store, story: Story, desk: Store, **parts: Any) -> View:
    """A browser at an auditor's view that has these further `parts`."""
    clock = Clock()
    app = open_view(store, desk, clock, **parts)
    return View(app, app.test_client(), store, story, desk, clock)


@pytest.fixture
def stranger(library: Store, story: Story, desk: Store) -> View:
    """A browser that has not signed in."""
    return view_of(library, story, desk)


@pytest.fixture
def view(stranger: View) -> View:
    """A browser that has signed in."""
    assert stranger.sign_in().status_code == 303
    return stranger


@pytest.fixture
def both(store: Store, story: Story, desk: Store) -> View:
    """A browser that has signed in, with a store of either kind behind it."""
    fill(store, story)
    found = view_of(store, story, desk)
    assert found.sign_in().status_code == 303
    return found


@pytest.fixture
def empty(store: Store, desk: Store) -> View:
    """A browser that has signed in to a house where nothing has happened yet."""
    found = view_of(store, Story(), desk)
    assert found.sign_in().status_code == 303
    return found
