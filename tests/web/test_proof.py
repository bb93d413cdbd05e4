from __future__ import annotations

from base64 import b64decode
from typing import TYPE_CHECKING

import pytest
from flask import Flask

from app.sealing.prove import Proofs
from app.sealing.sign import Sealing
from app.store.seals import Seals
from app.web import headers, problems, proof
from projections.checkpoint import read
from projections.merkle import grew, includes
from tests.sealing.given import KEY, sealed, write

if TYPE_CHECKING:
    from flask.testing import FlaskClient

    from tests.store.places import Place, Store


@pytest.fixture
def ledger(sqlite_place: Place) -> Store:
    return sqlite_place.open()


@pytest.fixture
def client(ledger: Store) -> FlaskClient:
    app = Flask(__name__)
    headers.attach(app)
    app.register_error_handler(Exception, problems.answer)
    app.register_blueprint(proof.blueprint(Proofs(Seals(ledger))))
    return app.test_client()


def test_the_newest_checkpoint_is_plain_text(client: FlaskClient, ledger: Store) -> None:
    seals = sealed(ledger, 3)
    write(ledger, 2)
    newest = Sealing(seals, KEY).seal()

    answer = client.get("/checkpoint")

    assert newest is not None
    assert answer.text == newest.note
    assert answer.content_type == "text/plain; charset=utf-8"
    assert read(client.get("/checkpoint?size=3").text).size == 3


def test_an_event_is_proved_to_anybody(client: FlaskClient, ledger: Store) -> None:
    sealed(ledger, 300)

    told = client.get("/proof/inclusion?position=17").get_json()

    root = read(told["checkpoint"]).root
    hashes = [b64decode(item) for item in told["proof"]]
    assert (told["position"], told["index"], told["size"]) == (17, 16, 300)
    assert includes(b64decode(told["leaf"]), 16, 300, hashes, root)


def test_growth_is_proved_to_anybody(client: FlaskClient, ledger: Store) -> None:
    seals = sealed(ledger, 3)
    write(ledger, 300)
    Sealing(seals, KEY).seal()

    told = client.get("/proof/consistency?from=3").get_json()

    before, after = read(told["checkpoint_from"]), read(told["checkpoint_to"])
    hashes = [b64decode(item) for item in told["proof"]]
    assert (told["from"], told["to"]) == (3, 303)
    assert grew(3, 303, hashes, before.root, after.root)
    assert client.get("/proof/consistency?from=3&to=3").get_json()["proof"] == []


@pytest.mark.parametrize(
    "url", ["/proof/inclusion?position=4", "/proof/consistency?from=2", "/checkpoint?size=2"]
)
def test_what_no_checkpoint_covers_is_not_found(
    client: FlaskClient, ledger: Store, url: str
) -> None:
    sealed(ledger, 3)

    answer = client.get(url)

    assert answer.status_code == 404
    assert answer.get_json()["error"]["message"] == "No checkpoint covers this."


@pytest.mark.parametrize(
    ("url", "param"),
    [
        ("/proof/inclusion", "position"),
        ("/proof/inclusion?position=-1", "position"),
        ("/proof/inclusion?position=1&size=x", "size"),
        ("/proof/inclusion?position=9999999999999999999", "position"),
        ("/proof/consistency", "from"),
        ("/proof/consistency?from=1&to=²", "to"),
    ],
)
def test_what_is_no_number_is_refused(client: FlaskClient, url: str, param: str) -> None:
    answer = client.get(url)

    assert answer.status_code == 400
    assert answer.get_json()["error"]["param"] == param
