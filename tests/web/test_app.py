from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.web.conftest import bearer

if TYPE_CHECKING:
    from tests.web.conftest import House


@pytest.mark.parametrize("path", ["/nowhere", "/v1/nowhere", "/v1//models"])
def test_an_address_that_is_none_is_told_in_json_and_never_redirected(
    house: House, path: str
) -> None:
    answer = house.client.get(path)

    assert answer.status_code == 404
    assert answer.get_json()["error"]["type"] == "invalid_request_error"
    assert answer.get_json()["error"]["code"] == "not_found"


def test_a_method_that_is_not_taken_is_told_in_json(house: House) -> None:
    answer = house.client.get("/v1/chat/completions")

    assert answer.status_code == 405
    assert answer.get_json()["error"]["code"] == "method_not_allowed"
    assert "POST" in answer.headers["Allow"]


def test_a_slash_at_the_end_makes_no_difference(house: House) -> None:
    key = house.key()

    plain, slashed = (
        house.client.get(path, headers=bearer(key)) for path in ("/v1/wallet", "/v1/wallet/")
    )

    assert plain.status_code == slashed.status_code == 200


def test_the_doors_do_not_show_the_secret_of_the_keys(house: House) -> None:
    assert "key_secret" not in repr(house.doors)
