from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from app.gateways.mint.tokens import decode
from app.web.bearer import ApiKeys, Bearer, credential
from app.web.refusals import (
    EmptyBearerError,
    NoCredentialsError,
    NotBearerError,
    UnknownKeyError,
)
from tests.web.conftest import bearer

if TYPE_CHECKING:
    from uuid import UUID

    from domain.guards import AccountRow
    from tests.doubles.mint import FakeMint
    from tests.web.conftest import House


@pytest.mark.parametrize("header", ["Bearer sk-1", "bearer sk-1", " Bearer   sk-1 "])
def test_a_credential_is_read_however_the_scheme_is_written(header: str) -> None:
    assert credential(header) == "sk-1"


@pytest.mark.parametrize(
    ("header", "error"),
    [
        (None, NoCredentialsError),
        ("", NotBearerError),
        ("Basic abc", NotBearerError),
        ("sk-1", NotBearerError),
        ("Bearer", EmptyBearerError),
        ("Bearer  ", EmptyBearerError),
    ],
)
def test_a_header_without_a_credential_is_refused(
    header: str | None, error: type[Exception]
) -> None:
    with pytest.raises(error):
        credential(header)


def test_the_key_of_a_token_is_always_the_same(mint: FakeMint) -> None:
    token = decode(mint.fund(8))
    keys = ApiKeys(b"\x01" * 32)

    first, second = keys.of_token(token), keys.of_token(token)

    assert first == second
    assert first.startswith("sk-")
    assert len(first) == 3 + 64


def test_the_key_of_a_token_is_nobodys_without_the_secret(mint: FakeMint) -> None:
    token = decode(mint.fund(8))

    ours, theirs = (ApiKeys(bytes([n]) * 32).of_token(token) for n in (1, 2))

    assert ours != theirs


def test_api_keys_do_not_show_their_secret() -> None:
    assert repr(ApiKeys(b"\x01" * 32)) == "ApiKeys(…)"


def test_a_token_as_key_is_deposited_once_and_the_mint_not_asked_again(house: House) -> None:
    token = house.mint.fund(1000)

    first = house.wallet(token)
    calls = house.mint.calls.total()
    second = house.wallet(token)

    assert first["balance"] == 999_000
    assert second == first
    assert house.mint.calls["swap"] == 1
    assert house.mint.calls.total() == calls


def test_a_token_stays_a_key_after_its_house_has_forgotten_it(house: House) -> None:
    token = house.mint.fund(1000)
    house.wallet(token)
    bearer_of_another_worker = Bearer(house.deposits, house.store.account, house.store.key)

    with house.app.test_request_context():
        account_id = bearer_of_another_worker.account_of(token)

    row = house.store.account(account_id)
    assert row is not None
    assert row.available_msat == 999_000


def test_a_spent_token_is_no_key(house: House) -> None:
    token = house.mint.fund(1000)
    house.client.get("/v1/wallet/create", query_string={"initial_balance_token": token})

    answer = house.client.get("/v1/wallet/info", headers=bearer(token))

    assert answer.status_code == 400
    assert answer.get_json()["error"]["code"] == "cashu_token_already_spent"


def test_a_key_that_opens_nothing_is_told_so_each_time(house: House) -> None:
    asked: list[UUID] = []

    def account(account_id: UUID) -> AccountRow | None:
        asked.append(account_id)
        return None

    opener = Bearer(house.deposits, account, house.store.key)

    with house.app.test_request_context():
        for _ in range(2):
            with pytest.raises(UnknownKeyError):
                opener.account_of("sk-nobody")

    assert len(asked) == 2


def test_no_more_accounts_are_remembered_than_allowed(house: House) -> None:
    keys = [house.key(8), house.key(8), house.key(8)]
    asked: list[UUID] = []

    def account(account_id: UUID) -> AccountRow | None:
        asked.append(account_id)
        return house.store.account(account_id)

    opener = Bearer(house.deposits, account, house.store.key, known_max=2)

    with house.app.test_request_context():
        for key in (*keys, keys[2], keys[0]):
            opener.account_of(key)

    assert len(asked) == 4
