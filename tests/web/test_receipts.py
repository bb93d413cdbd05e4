"""Receipts: who may read them, and that they hold with the public key alone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.exceptions import InvalidSignature

from app.sealing.check import verifies
from app.sealing.prove import Proofs
from app.sealing.sign import Sealing
from app.store.seals import Seals
from projections.checkpoint import VerifierKey
from projections.receipt import opened
from tests.doubles.upstream import Behaviour
from tests.web.conftest import COST_MSAT, SIGNING_KEY, bearer
from tests.web.holders import child_of
from tests.web.paying import COST_SAT, FACE_SAT, pay

if TYPE_CHECKING:
    from werkzeug.test import TestResponse

    from tests.web.conftest import House

DOCS = Path(__file__).parents[2] / "docs" / "api.md"


def receipt(house: House, request_id: str, **headers: str) -> TestResponse:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return house.client.get(f"/v1/receipts/{request_id}", headers=named)


def read(house: House, answer: TestResponse) -> dict[str, Any]:
    """Verify a receipt as anybody can who knows the house's address."""
    told = house.client.get("/v1/info").get_json()["verifier_key"]
    key = VerifierKey.read(told)
    return opened(answer.get_data(as_text=True), key, verifies(key.public))


def test_whoever_paid_gets_a_receipt_that_anybody_can_verify(house: House) -> None:
    key = house.key()
    request_id = house.ask(key).headers["x-request-id"]

    answer = receipt(house, request_id, Authorization=f"Bearer {key}")

    found = read(house, answer)
    assert answer.headers["Cache-Control"] == "no-store"
    assert found["request_id"] == request_id
    assert found["charged_msat"] == found["cost_msat"] == COST_MSAT
    assert found["model"] == "maker/plain"
    assert (found["usage"]["prompt_tokens"], found["usage"]["completion_tokens"]) == (4, 15)
    assert found["btc_usd"] == "100000"
    assert answer.get_json()["key"] == str(SIGNING_KEY.verifier)


def test_the_receipt_of_a_stream_is_there_when_it_has_ended(house: House) -> None:
    key = house.key()
    house.upstream.behave(Behaviour(chunk_delay_s=0.05))
    streamed = house.ask(key, stream=True)
    request_id = streamed.headers["x-request-id"]

    running = receipt(house, request_id, x_api_key=key)
    streamed.get_data()
    ended = receipt(house, request_id, x_api_key=key)

    assert running.status_code == 409
    assert running.get_json()["error"]["code"] == "request_in_progress"
    assert running.headers["Retry-After"] == "2"
    assert read(house, ended)["charged_msat"] == COST_MSAT


def test_it_names_the_event_that_a_checkpoint_proves(house: House) -> None:
    key = house.key()
    request_id = house.ask(key).headers["x-request-id"]
    found = read(house, receipt(house, request_id, Authorization=f"Bearer {key}"))

    Sealing(Seals(house.store), SIGNING_KEY).seal()
    proved = Proofs(Seals(house.store)).inclusion(found["position"])

    assert proved.leaf.hex() == found["event"]


def test_the_token_of_a_request_opens_its_receipt(house: House) -> None:
    token = house.mint.fund(FACE_SAT)
    request_id = pay(house, token).headers["x-request-id"]

    by_ticket = receipt(house, request_id, X_Cashu=token)
    as_key = receipt(house, request_id, Authorization=f"Bearer {token}")

    assert read(house, by_ticket)["charged_msat"] == COST_MSAT <= 1000 * COST_SAT
    assert by_ticket.data == as_key.data


def test_of_a_request_that_was_not_served_it_says_that_it_cost_nothing(house: House) -> None:
    key = house.key()
    house.upstream.behave(Behaviour(status=500))
    request_id = house.ask(key).headers["x-request-id"]

    found = read(house, receipt(house, request_id, Authorization=f"Bearer {key}"))

    assert found["charged_msat"] == 0
    assert "usage" not in found


def test_another_account_cannot_tell_it_from_one_that_never_was(house: House) -> None:
    request_id = house.ask(house.key()).headers["x-request-id"]
    stranger = f"Bearer {house.key()}"

    theirs = receipt(house, request_id, Authorization=stranger)
    nobodys = receipt(house, "00000000-0000-0000-0000-000000000000", Authorization=stranger)

    assert theirs.status_code == nobodys.status_code == 404
    assert theirs.get_json()["error"] == nobodys.get_json()["error"]


def test_a_child_reads_of_its_own_requests_only(house: House) -> None:
    key = house.key()
    one, other = child_of(house, key), child_of(house, key)
    request_id = house.ask(one).headers["x-request-id"]
    parents = house.ask(key).headers["x-request-id"]

    own, of_a_sibling, of_the_parent, by_the_parent = (
        receipt(house, asked_for, Authorization=f"Bearer {shown}").status_code
        for asked_for, shown in (
            (request_id, one), (request_id, other), (parents, one), (request_id, key),
        )
    )  # fmt: skip

    assert (own, of_a_sibling, of_the_parent, by_the_parent) == (200, 404, 404, 200)


def test_other_movements_have_none(house: House) -> None:
    key = house.key()
    deposit = next(entry.stream for page in house.store.log() for _, entry in page)

    assert receipt(house, str(deposit), Authorization=f"Bearer {key}").status_code == 404


@pytest.mark.parametrize(
    ("headers", "status"),
    [({}, 401), (bearer("sk-nobody"), 401), ({"X-Cashu": "cashuBnone"}, 401)],
)
def test_an_id_alone_opens_nothing(house: House, headers: dict[str, str], status: int) -> None:
    request_id = house.ask(house.key()).headers["x-request-id"]

    answer = house.client.get(f"/v1/receipts/{request_id}", headers=headers)

    assert answer.status_code == status


def test_what_the_docs_show_verifies_a_receipt(house: House) -> None:
    key = house.key()
    request_id = house.ask(key).headers["x-request-id"]
    answer = receipt(house, request_id, Authorization=f"Bearer {key}").get_json()
    example = DOCS.read_text().split("```python\n")[1].split("```")[0]

    def verify(document: dict[str, Any]) -> None:
        verifier_key = house.client.get("/v1/info").get_json()["verifier_key"]
        exec(example, {"document": document, "verifier_key": verifier_key})  # noqa: S102

    verify(answer)
    answer["receipt"]["charged_msat"] += 1
    with pytest.raises(InvalidSignature):
        verify(answer)
