"""The ledger beside the clients: every act is compared with the log, to the msat."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import requests

from app.store.opening import open_store
from domain.event import Event
from domain.hold import Charged, Held, Released
from domain.identity import account_of_key
from domain.refund import Issued
from projections.follow import verify
from tests.integration.house import COST_MSAT, QUESTION

if TYPE_CHECKING:
    from collections.abc import Iterator
    from uuid import UUID

    from tests.clients.program import Client
    from tests.integration.mint import RealMint
    from tests.integration.service import Service

__all__ = ["COST_MSAT", "QUESTION"]

Kind = TypeVar("Kind", bound=Event)

MODEL, CHAT_MODEL = "gpt-4o-mini", "openai/gpt-4o-mini"
EMBEDDING_MODEL, IMAGE_MODEL = "text-embedding-3-small", "draws-pictures"
LISTENING_MODEL, SPEAKING_MODEL = "whisper-1", "speaks"
IN_MSAT, OUT_MSAT, REQUEST_MSAT, IMAGE_MSAT = 10, 20, 1_000, 4_000
SECOND_MSAT, CHARACTER_MSAT = 100, 10
BY_REQUEST = {"prompt": "0", "completion": "0", "request": "0.001"}
MODELS: dict[str, list[dict[str, Any]]] = {
    "models": [
        {
            "id": CHAT_MODEL,
            "name": "A model that talks",
            "description": "Talks, and calls tools.",
            "context_length": 8_000,
            "architecture": {"modality": "text->text", "tokenizer": "words"},
            # In dollars; at 100,000 of them a bitcoin these are 10, 20 and 1,000 msat.
            "pricing": {"prompt": "0.00001", "completion": "0.00002", "request": "0.001"},
            "top_provider": {"context_length": 8_000, "max_completion_tokens": 1_000},
            "per_request_limits": None,
            "alias_ids": [MODEL],
        },
        {
            "id": EMBEDDING_MODEL,
            "name": "A model that measures",
            "context_length": 8_000,
            "pricing": {"prompt": "0.00001", "completion": "0", "request": "0.001"},
        },
        {
            "id": IMAGE_MODEL,
            "pricing": {**BY_REQUEST, "image": "0.004"},
        },
        {"id": LISTENING_MODEL, "pricing": {**BY_REQUEST, "second": "0.0001"}},
        {"id": SPEAKING_MODEL, "pricing": {**BY_REQUEST, "character": "0.00001"}},
    ]
}
MODEL_IDS = [model["id"] for model in MODELS["models"]]
PRICES = {
    "MODEL_BASED_PRICING": "true",
    "EXCHANGE_FEE": "1",
    "UPSTREAM_PROVIDER_FEE": "1",
    "MISSING_USAGE": "estimate",
}
FUNDS_SAT = 1_000
FEE_SAT = 1
"""What the mint takes for a token of up to ten proofs."""


def cost_msat(tokens_in: int, tokens_out: int) -> int:
    return REQUEST_MSAT + tokens_in * IN_MSAT + tokens_out * OUT_MSAT


class Books:
    """The event log of a service, read from beside it."""

    def __init__(self, database_url: str) -> None:
        self._store, _ = open_store(database_url)

    def close(self) -> None:
        self._store.close()

    def is_sound(self) -> bool:
        """Replay the log; tell whether it explains all that is kept, and nothing is held."""
        return verify(self._store, lambda _done, _all: None) is None and (
            self._store.hold_owners() == []
        )

    def head(self) -> int:
        return self._store.head()

    def since(self, position: int, account_id: UUID | None = None) -> list[Event]:
        """Return what happened behind `position`, to one account or to all; oldest first."""
        events = [placed.entry.event for page in self._store.log(position) for placed in page]
        if account_id is None:
            return events
        return [event for event in events if _account_of(event) == account_id]


@dataclass(frozen=True)
class Account:
    """A funded key, and where it is good."""

    base_url: str
    key: str
    books: Books

    @property
    def account_id(self) -> UUID:
        return account_of_key(self.key)

    def msat(self) -> tuple[int, int]:
        """Return what the house says is available and held."""
        answer = requests.get(
            f"{self.base_url}/v1/wallet/info",
            headers={"Authorization": f"Bearer {self.key}"},
            timeout=30,
        ).json()
        return answer["balance"], answer["reserved"]

    def receipt(self, request_id: str) -> dict[str, Any]:
        """Return what the house has signed that a request was charged for."""
        answer = requests.get(
            f"{self.base_url}/v1/receipts/{request_id}",
            headers={"Authorization": f"Bearer {self.key}"},
            timeout=30,
        )
        receipt: dict[str, Any] = answer.json()["receipt"]
        return receipt

    @contextmanager
    def spends(self, *costs_msat: int, releases: int = 0) -> Iterator[None]:
        """Check that what is done in this block is charged `costs_msat`, and no more.

        `releases` holds are to be given back whole; the balance as the house tells it and
        the events agree, and nothing is left reserved.
        """
        position, before = self.books.head(), self.msat()
        yield
        events = self.books.since(position, self.account_id)
        charged = of(events, Charged)
        assert [event.cost_msat for event in charged] == list(costs_msat)
        assert [event.shortfall_msat for event in charged] == [0] * len(costs_msat)
        assert len(of(events, Released)) == releases
        assert len(of(events, Held)) == len(costs_msat) + releases
        assert len(events) == 2 * len(of(events, Held))
        assert self.msat() == (before[0] - sum(costs_msat), 0)


@dataclass(frozen=True)
class Customer(Account):
    """Somebody with a funded key and a client, which has a name."""

    client: Client
    name: str

    def do(self, act: str, **given: Any) -> dict[str, Any]:
        return self.client.do(act, **{"base_url": self.base_url, "key": self.key, **given})

    def chat(self, act: str, **given: Any) -> dict[str, Any]:
        return self.do(act, model=MODEL, question=QUESTION, **given)


def of(events: list[Event], kind: type[Kind]) -> list[Kind]:
    return [event for event in events if isinstance(event, kind)]


def buy_key(service: Service, mint: RealMint, amount_sat: int) -> str:
    answer = requests.post(
        f"{service.base_url}/v1/wallet/create",
        json={"initial_balance_token": mint.fund(amount_sat)},
        timeout=30,
    )
    key: str = answer.json()["api_key"]
    return key


def _account_of(event: Event) -> UUID | None:
    if isinstance(event, Issued):
        return event.draft.account_id
    return getattr(event, "account_id", None)
