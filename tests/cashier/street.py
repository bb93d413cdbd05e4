"""A street with two providers of one model, a cheap one and a dear one."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

from app.cashier.plan import tries_of
from app.cashier.route import Route
from domain.pricing import ModelPrice, PriceBook
from tests.cashier.counter import MODEL, chat
from tests.cashier.routes import upstream_at

if TYPE_CHECKING:
    from app.cashier.answer import Served
    from app.cashier.bill import Call
    from tests.cashier.counter import Counter
    from tests.doubles.upstream import UpstreamDouble

READ_TIMEOUT_S = 0.5


def book(factor: int) -> PriceBook:
    """Prices that are `factor` times those of the counter."""
    price = ModelPrice(
        id=MODEL,
        currency="msat",
        request=Fraction(100 * factor),
        prompt=Fraction(2 * factor),
        completion=Fraction(3 * factor),
    )
    return PriceBook({MODEL: price}, aliases={"mini": MODEL})


def route(
    name: str, factor: int, base_url: str, entry: dict[str, Any] | None = None, **options: Any
) -> Route:
    gateway = upstream_at(base_url, read_timeout_s=READ_TIMEOUT_S)
    return Route(name, book(factor), gateway, [entry] if entry else [], **options)


class Street:
    """A counter with a cheap provider, `main`, and a dear one behind it."""

    def __init__(self, counter: Counter, cheap: UpstreamDouble, dear: UpstreamDouble) -> None:
        self.counter = counter
        self.cheap = cheap
        self.dear = dear

    def serve(self, call: Call | None = None) -> Served:
        return self.counter.serve(call or chat())

    def ceilings_msat(self, call: Call) -> list[int]:
        tries = tries_of(
            self.counter.quotes, call.path, call.model, call.document, call.prompt_bytes
        )
        return [each.ceiling.msat for each in tries]
