"""How OTRTA, a local proxy that pays by X-Cashu, talks to a house: by what it depends on."""

from __future__ import annotations

import json
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from tests.clients.programs.lines import Said, serve

TIMEOUT_S = 30.0
MAX_TOKENS = 64
OK = 200
PRICES = ("prompt", "completion", "request", "image", "web_search", "internal_reasoning")


def models(base_url: str) -> Said:
    """Read the listing as strictly as it does."""
    with urlopen(f"{base_url}/v1/models", timeout=TIMEOUT_S) as answer:  # noqa: S310
        listed = json.load(answer)["data"]
    for model in listed:
        assert isinstance(model["id"], str)
        assert isinstance(model["created"], int)
        for prices in (model["pricing"], model["sats_pricing"]):
            assert all(isinstance(prices[name], int | float) for name in PRICES)
    return {"min_cost_sat": {each["id"]: each["min_cost_per_request"] for each in listed}}


def pay(base_url: str, model: str, question: str, token: str, times: int) -> Said:
    """Ask `times` times, each paid by the change of the one before."""
    statuses: list[int] = []
    while len(statuses) < times:
        status, money = ask(base_url, model, question, token)
        statuses.append(status)
        # With an answer the change, with any other status what was paid; without either its
        # own token is taken back.
        token = money or token
        if status != OK:
            break
    return {"statuses": statuses, "money": token}


def ask(base_url: str, model: str, question: str, token: str) -> tuple[int, str | None]:
    document: dict[str, Any] = {
        "model": model,
        "messages": [{"role": "user", "content": question}],
        "max_tokens": MAX_TOKENS,
    }
    request = Request(  # noqa: S310
        f"{base_url}/v1/chat/completions",
        json.dumps(document).encode(),
        {"Content-Type": "application/json", "X-Cashu": token},
    )
    try:
        with urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310
            assert json.load(answer)["choices"][0]["message"]["content"]
            return answer.status, answer.headers["X-Cashu"]
    except HTTPError as error:
        return error.code, error.headers["X-Cashu"]


if __name__ == "__main__":
    serve({act.__name__: act for act in (models, pay)})
