"""A counter at which calls are served, at prices that can be worked out by hand."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from fractions import Fraction
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from app.cashier.bill import Call, Policy
from app.cashier.charge import Charges
from app.cashier.plan import tries_of
from app.cashier.quote import Quotes, Rates
from app.cashier.route import Route
from app.cashier.stream import MeteredStream
from domain.guards import RateRow
from domain.hold import Charged, Held, Released
from domain.pricing import ModelPrice, PriceBook
from tests.cashier.house import ALICE
from tests.cashier.routes import upstream_at

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from app.cashier.answer import Served
    from app.cashier.bill import MissingUsage
    from app.cashier.form import Form
    from domain.event import Event
    from domain.ledger import Ledger
    from tests.cashier.house import House

MODEL = "gpt-4o-mini"
EMBEDDER = "text-embedding-3-small"
QUESTION = "how are you?"
QUESTION_TOKENS, ANSWER_TOKENS = 3, 14
REQUEST_MSAT, PROMPT_MSAT, COMPLETION_MSAT, IMAGE_MSAT, CACHED_MSAT = 100, 2, 3, 7, 1
COST_MSAT = REQUEST_MSAT + PROMPT_MSAT * QUESTION_TOKENS + COMPLETION_MSAT * ANSWER_TOKENS
"""What the sample upstream's answer to the question costs: 148."""
MAX_TOKENS = 100

BOOK = PriceBook(
    models={
        MODEL: ModelPrice(
            id=MODEL,
            currency="msat",
            prompt=Fraction(PROMPT_MSAT),
            completion=Fraction(COMPLETION_MSAT),
            request=Fraction(REQUEST_MSAT),
            image=Fraction(IMAGE_MSAT),
            input_cache_read=Fraction(CACHED_MSAT),
            max_image_tokens=1_000,
        ),
        EMBEDDER: ModelPrice(id=EMBEDDER, currency="msat", prompt=Fraction(PROMPT_MSAT)),
    },
    aliases={"mini": MODEL},
)


class Counter:
    """Serves calls on the books of `house`; `btc_usd` is the rate, when one is needed.

    There is one provider, at `base_url`, unless `routes` say otherwise.
    """

    def __init__(
        self,
        house: House,
        base_url: str,
        *,
        book: PriceBook = BOOK,
        missing_usage: MissingUsage = "estimate",
        drain_s: float = 5.0,
        ledger: Ledger | None = None,
        routes: Sequence[Route] = (),
    ) -> None:
        self.house = house
        self.btc_usd = "100000"
        self.seconds = 0.0
        self.upstream = upstream_at(base_url)
        rates = Rates(
            self._newest, fixed_btc_usd=None, stale_after_s=900.0, clock=lambda: self.seconds
        )
        all_routes = tuple(routes) or (Route("main", book, self.upstream),)
        self.quotes = Quotes(lambda: all_routes, rates)
        self.charges = Charges(
            ledger or house.ledger, self.quotes, Policy(missing_usage, drain_s)
        )

    def serve(self, call: Call) -> Served:
        return self.charges.serve(call)

    def stream(self, **members: Any) -> MeteredStream:
        """Return a stream that answers the question."""
        body = self.serve(chat(stream=True, **members)).body
        assert isinstance(body, MeteredStream)
        return body

    def ceiling_msat(self, call: Call) -> int:
        """Return what `call` can cost at most."""
        size = call.prompt_bytes
        tries = tries_of(self.quotes, call.path, call.model, call.document, size)
        return max(each.ceiling.msat for each in tries)

    def held(self) -> Held:
        """Return the newest hold."""
        return [event for event in self.house.log() if isinstance(event, Held)][-1]

    def charged(self) -> Charged:
        """Return the only charge."""
        (charged,) = (event for event in self.ends() if isinstance(event, Charged))
        return charged

    def released(self) -> Released:
        """Return the only release, after which nothing was charged."""
        (released,) = self.ends()
        assert isinstance(released, Released)
        return released

    def ends(self) -> list[Event]:
        return [event for event in self.house.log() if isinstance(event, Charged | Released)]

    def _newest(self) -> RateRow:
        return RateRow(self.btc_usd, datetime.now(UTC))


def chat(
    *,
    text: str = QUESTION,
    account_id: UUID = ALICE,
    request_id: UUID | None = None,
    **members: Any,
) -> Call:
    """Return a call that asks `text`, for at most 100 tokens if `members` do not say."""
    document = {
        "model": MODEL,
        "messages": [{"role": "user", "content": text}],
        "max_tokens": MAX_TOKENS,
        **members,
    }
    return call_of(document, account_id=account_id, request_id=request_id)


def call_of(
    document: dict[str, Any],
    *,
    path: str = "/chat/completions",
    account_id: UUID = ALICE,
    request_id: UUID | None = None,
    form: Form | None = None,
) -> Call:
    return Call(
        request_id=request_id or uuid4(),
        account_id=account_id,
        path=path,
        model=document["model"],
        document=document,
        body=json.dumps(document).encode() if form is None else form.written(),
        form=form,
        headers={"content-type": "application/json"},
        stream=document.get("stream") is True,
    )


def answer(*, content: str | None = "Hi", usage: object = None, **message: Any) -> bytes:
    """Return a plain answer as an upstream sends it."""
    choice = {"index": 0, "message": {"role": "assistant", "content": content, **message}}
    document = {"id": "c1", "object": "chat.completion", "choices": [choice], "usage": usage}
    return json.dumps(document).encode()


def usage(prompt_tokens: int, completion_tokens: int, **details: Any) -> dict[str, Any]:
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
        **details,
    }


def chunk(content: str = "", **members: Any) -> bytes:
    """Return one event of a stream."""
    choices = [{"index": 0, "delta": {"content": content}}]
    document = {"id": "c1", "object": "chat.completion.chunk", "choices": choices, **members}
    return f"data: {json.dumps(document)}\n\n".encode()


DONE = b"data: [DONE]\n\n"
