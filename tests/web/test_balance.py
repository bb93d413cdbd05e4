from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from app.gateways.mint.tokens import decode
from tests.doubles.mint import FakeMint, Fault
from tests.doubles.upstream import Behaviour
from tests.web.conftest import COST_MSAT, bearer

if TYPE_CHECKING:
    from tests.web.conftest import House

# The double takes a tenth of a sat for each proof: 1000 sat are six proofs, 8 sat are one.
FEE_SAT = 1
BOTH = pytest.mark.parametrize("prefix", ["/v1/wallet", "/v1/balance"])


@BOTH
def test_a_token_becomes_a_key(house: House, prefix: str) -> None:
    token = house.mint.fund(1000)

    answer = house.client.get(f"{prefix}/create", query_string={"initial_balance_token": token})

    assert answer.status_code == 200
    assert answer.get_json() == {"api_key": answer.get_json()["api_key"], "balance": 999_000}
    assert answer.get_json()["api_key"].startswith("sk-")
    assert answer.headers["Cache-Control"] == "no-store"


def test_a_repeated_creation_returns_the_same_key_and_credits_once(house: House) -> None:
    token = house.mint.fund(1000)
    document = {"initial_balance_token": token}

    first, second = (house.client.post("/v1/wallet/create", json=document) for _ in range(2))

    assert second.get_json() == first.get_json()
    assert house.wallet(first.get_json()["api_key"])["balance"] == 999_000


def test_a_repeated_creation_tells_the_balance_of_now(house: House) -> None:
    document = {"initial_balance_token": house.mint.fund(1000)}
    key = house.client.post("/v1/wallet/create", json=document).get_json()["api_key"]
    house.ask(key)

    again = house.client.post("/v1/wallet/create", json=document)

    assert again.get_json() == {"api_key": key, "balance": 999_000 - COST_MSAT}


def test_a_deposit_whose_answer_was_lost_is_credited_when_it_is_asked_again(
    house: House,
) -> None:
    token = house.mint.fund(1000)
    house.mint.fault("swap", Fault.DROP_RESPONSE)
    house.mint.fault("restore", Fault.SERVER_ERROR, times=20)

    first = house.client.post("/v1/wallet/create", json={"initial_balance_token": token})
    house.mint._faults.clear()
    second = house.client.post("/v1/wallet/create", json={"initial_balance_token": token})

    assert first.status_code == 503
    assert first.get_json()["error"]["type"] == "mint_unreachable"
    assert "Retry-After" in first.headers
    assert second.get_json()["balance"] == 999_000


@pytest.mark.parametrize("document", [{}, {"initial_balance_token": ""}])
def test_a_key_without_a_token_is_not_made(house: House, document: dict[str, str]) -> None:
    answer = house.client.post("/v1/wallet/create", json=document)

    assert answer.status_code == 400
    assert answer.get_json()["detail"] == "An initial_balance_token is required."


@BOTH
@pytest.mark.parametrize("path", ["", "/", "/info"])
def test_a_wallet_tells_its_balance_and_echoes_its_key(
    house: House, prefix: str, path: str
) -> None:
    key = house.key()

    answer = house.client.get(prefix + path, headers=bearer(key))

    assert answer.status_code == 200
    assert answer.get_json() == {
        "api_key": key,
        "balance": 999_000,
        "reserved": 0,
        "is_child": False,
        "total_requests": 0,
        "total_spent": 0,
        "balance_limit": None,
        "balance_limit_reset": None,
        "balance_limit_spent": 0,
        "balance_limit_left": None,
        "validity_date": None,
        "allowed_models": None,
        "key_expiry_time": None,
        "refund_address": None,
        "child_keys": [],
    }


def test_a_balance_is_net_of_what_running_requests_hold(house: House) -> None:
    key = house.key()
    house.upstream.behave(Behaviour(chunk_delay_s=0.05))
    answer = house.ask(key, stream=True, max_tokens=50)

    during = house.wallet(key)
    answer.close()
    after = house.wallet(key)

    assert during["reserved"] > 0
    assert during["balance"] + during["reserved"] == 999_000
    assert after["reserved"] == 0
    assert after["balance"] == 999_000 - COST_MSAT


@pytest.mark.parametrize("in_query", [True, False])
def test_a_topup_tells_what_it_was_worth(house: House, in_query: bool) -> None:  # noqa: FBT001  # one of a pair
    key = house.key()
    token = {"cashu_token": house.mint.fund(8)}

    answer = house.client.post(
        "/v1/wallet/topup",
        query_string=token if in_query else None,
        json=None if in_query else token,
        headers=bearer(key),
    )

    assert answer.get_json() == {"msats": 7_000}
    assert house.wallet(key)["balance"] == 999_000 + 7_000


def test_the_same_topup_again_is_answered_the_same_and_credited_once(house: House) -> None:
    key = house.key()
    token = {"cashu_token": house.mint.fund(8)}

    answers = [
        house.client.post("/v1/wallet/topup", json=token, headers=bearer(key)).get_json()
        for _ in range(2)
    ]

    assert answers == [{"msats": 7_000}, {"msats": 7_000}]
    assert house.wallet(key)["balance"] == 999_000 + 7_000


@pytest.mark.parametrize(
    ("document", "detail"),
    [
        ({}, "A cashu_token is required."),
        ({"cashu_token": 7}, "A cashu_token is required."),
        ({"cashu_token": "nonsense"}, "Invalid token format"),
        ({"cashu_token": "cashuBnonsense"}, "Invalid token format"),
    ],
)
def test_a_topup_without_a_token_is_told_in_known_words(
    house: House, document: dict[str, object], detail: str
) -> None:
    answer = house.client.post("/v1/wallet/topup", json=document, headers=bearer(house.key()))

    assert answer.status_code == 400
    assert answer.get_json()["detail"] == detail
    assert answer.get_json()["error"]["message"] == detail


def test_a_token_that_went_to_another_account_counts_as_spent(house: House) -> None:
    token = house.mint.fund(8)
    house.client.post("/v1/wallet/create", json={"initial_balance_token": token})

    answer = house.client.post(
        "/v1/wallet/topup", json={"cashu_token": token}, headers=bearer(house.key())
    )

    assert answer.status_code == 400
    assert answer.get_json()["error"]["type"] == "token_already_spent"


def test_a_token_spent_elsewhere_is_refused_in_known_words(house: House) -> None:
    token = house.mint.fund(8)
    house.spend(token)

    answer = house.client.post(
        "/v1/wallet/topup", json={"cashu_token": token}, headers=bearer(house.key())
    )

    assert answer.status_code == 400
    assert answer.get_json()["detail"] == "Token already spent"
    assert answer.get_json()["error"]["code"] == "cashu_token_already_spent"


def test_a_token_of_another_mint_is_refused_before_that_mint_is_asked(house: House) -> None:
    with FakeMint("stranger") as stranger:
        answer = house.client.post(
            "/v1/wallet/create", json={"initial_balance_token": stranger.fund(8)}
        )

        assert stranger.calls.total() == 0
    assert answer.status_code == 400
    assert answer.get_json()["error"]["code"] == "invalid_cashu_token"


def test_a_token_that_the_fees_eat_up_is_refused(house: House) -> None:
    answer = house.client.post(
        "/v1/wallet/create", json={"initial_balance_token": house.mint.fund(FEE_SAT)}
    )

    assert answer.status_code == 422
    assert answer.get_json()["error"]["type"] == "mint_error"
    assert answer.get_json()["error"]["code"] == "cashu_token_swap_fees_exceed_amount"


def test_a_mint_that_is_down_is_said_to_be(house: House) -> None:
    house.mint.fault("keysets", Fault.SERVER_ERROR, times=20)

    answer = house.client.post(
        "/v1/wallet/create", json={"initial_balance_token": house.mint.fund(8)}
    )

    assert answer.status_code == 503
    assert answer.get_json()["error"]["type"] == "mint_unreachable"
    assert answer.get_json()["error"]["code"] == "cashu_mint_unreachable"


@BOTH
def test_a_refund_is_a_token_for_all_that_is_left(house: House, prefix: str) -> None:
    key = house.key()

    answer = house.client.post(f"{prefix}/refund", headers=bearer(key))

    assert answer.status_code == 200
    assert set(answer.get_json()) == {"token", "sats"}
    assert isinstance(answer.get_json()["sats"], str)
    assert decode(answer.get_json()["token"]).amount == int(answer.get_json()["sats"])
    assert house.wallet(key) == {"api_key": key, "balance": 0, "reserved": 0}


def test_a_refund_of_msat_says_so(house: House) -> None:
    token = house.mint.fund(5000, "msat")

    answer = house.client.post("/v1/wallet/refund", headers=bearer(token))

    assert set(answer.get_json()) == {"token", "msats"}
    assert decode(answer.get_json()["token"]).unit == "msat"


def test_a_refund_that_was_lost_can_be_fetched_again(house: House) -> None:
    key = house.key()

    first, second = (
        house.client.post("/v1/wallet/refund", headers=bearer(key)) for _ in range(2)
    )

    assert second.get_json() == first.get_json()


def test_there_is_nothing_to_refund_once_it_was_collected(house: House) -> None:
    key = house.key()
    refund = house.client.post("/v1/wallet/refund", headers=bearer(key)).get_json()
    house.spend(refund["token"])

    answer = house.client.post("/v1/wallet/refund", headers=bearer(key))

    assert answer.status_code == 400
    assert answer.get_json()["detail"] == "No balance to refund"


def test_a_key_goes_on_after_its_refund(house: House) -> None:
    key = house.key()
    house.client.post("/v1/wallet/refund", headers=bearer(key))

    answer = house.client.post(
        "/v1/wallet/topup", json={"cashu_token": house.mint.fund(8)}, headers=bearer(key)
    )

    assert answer.get_json() == {"msats": 7_000}
    assert house.wallet(key)["balance"] == 7_000


@BOTH
@pytest.mark.parametrize("header", [{}, {"Authorization": "Basic abc"}])
def test_a_wallet_is_shown_to_bearers_only(
    house: House, prefix: str, header: dict[str, str]
) -> None:
    answer = house.client.get(f"{prefix}/info", headers=header)

    assert answer.status_code == 401
    assert answer.get_json()["detail"] == (
        "Invalid authorization. Use 'Bearer <cashu-token>' or 'Bearer <api-key>'"
    )


@pytest.mark.parametrize(
    ("credential", "status", "code"),
    [
        ("", 401, "missing_api_key"),
        ("sk-unknown", 401, "invalid_api_key"),
        ("something else", 401, "invalid_api_key"),
        ("cashuBnonsense", 400, "invalid_cashu_token"),
    ],
)
def test_what_opens_no_wallet_is_told_apart(
    house: House, credential: str, status: int, code: str
) -> None:
    answer = house.client.get("/v1/wallet/info", headers=bearer(credential))

    assert answer.status_code == status
    assert answer.get_json()["error"]["code"] == code
    assert answer.get_json()["detail"] == {"error": answer.get_json()["error"]}


@BOTH
@pytest.mark.parametrize("path", ["/nothing", "/a/b", "/topup"])
def test_everything_else_is_not_found_in_known_words(
    house: House, prefix: str, path: str
) -> None:
    answer = house.client.get(prefix + path)

    assert answer.status_code == 404
    assert answer.get_json()["detail"] == "Not found check /docs for available endpoints"
