"""Clients of the X-Cashu header: how they pay, and how they fetch their change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from app.gateways.mint.tokens import decode
from tests.web.conftest import COST_MSAT, QUESTION

if TYPE_CHECKING:
    from werkzeug.test import TestResponse

    from tests.web.conftest import House

PATH = "/v1/chat/completions"
ASKED = {"model": "maker/plain", "messages": QUESTION, "max_tokens": 50}
# The double takes a tenth of a sat for each proof, so a sat for up to ten: one when it takes
# the token, and one when it makes the change.
FACE_SAT, FEE_SAT = 1000, 1
ALL_BACK_SAT = FACE_SAT - 2 * FEE_SAT
COST_SAT = -(-COST_MSAT // 1000)
CHANGE_SAT = ALL_BACK_SAT - COST_SAT


def pay(
    house: House, token: str, headers: dict[str, str] | None = None, **members: Any
) -> TestResponse:
    """Ask for a chat completion, paid by `token`."""
    return house.client.post(
        PATH, json={**ASKED, **members}, headers={"X-Cashu": token, **(headers or {})}
    )


def worth_sat(answer: TestResponse) -> int:
    return decode(answer.headers["X-Cashu"]).amount


def change(house: House, answer: TestResponse, token: str) -> TestResponse:
    """Fetch the change of the request that `answer` answered."""
    request_id = answer.headers["x-request-id"]
    return house.client.get(f"/v1/change/{request_id}", headers={"X-Cashu": token})


def refund(house: House, token: str) -> TestResponse:
    return house.client.post("/v1/wallet/refund", headers={"X-Cashu": token})
