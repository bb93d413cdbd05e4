"""What tests of keys do as those who hold them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from tests.web.conftest import bearer

if TYPE_CHECKING:
    from werkzeug.test import TestResponse

    from tests.web.conftest import House

QUESTION = [{"role": "user", "content": "how are you today?"}]
FUNDED_MSAT = 999_000
ADDRESS = "ada@pay.example"


def seconds_from_now(**how_long: float) -> int:
    return int((datetime.now(UTC) + timedelta(**how_long)).timestamp())


def post(
    house: House, path: str, key: str, document: object = None, **headers: str
) -> TestResponse:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return house.client.post(
        f"/v1/wallet/{path}", json=document or {}, headers={**bearer(key), **named}
    )


def child_of(house: House, key: str, **members: Any) -> str:
    answer = post(house, "child-key", key, members)
    assert answer.status_code == 200, answer.get_json()
    (api_key,) = answer.get_json()["api_keys"]
    return str(api_key)


def code_of(answer: TestResponse) -> tuple[int, str]:
    return answer.status_code, answer.get_json()["error"]["code"]
