"""The listing of what is sold, with its prices in dollars and in sat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
from flask import Blueprint, Response

from app.cashier.errors import NoRateError
from app.cashier.sizing import token_sat
from app.web.bodies import JSON_TYPE, as_json
from app.web.refusals import ModelNotListedError
from domain.bounds import Bounds
from domain.exact import exact
from domain.price_list import as_json_floats, sats_pricing
from domain.pricing import COMPONENTS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from app.cashier.quote import Quotes
    from domain.pricing import ModelPrice, Tariff, Tariffs

Model = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Page:
    """The listing at one rate: its entries by id, and all of it as JSON."""

    tariffs: Tariffs
    fee_ppk: int
    by_id: Mapping[str, Model]
    body: bytes

    @property
    def models(self) -> list[Model]:
        return list(self.by_id.values())


class Listing:
    """Writes the listing, once for each rate.

    `models` are the entries of the operator's models.json; their prices are replaced by
    those that are charged. `fee_ppk` is what mints take of each proof of a token.
    """

    def __init__(
        self,
        quotes: Quotes,
        models: Sequence[Mapping[str, Any]],
        fee_ppk: Callable[[], int] = int,
    ) -> None:
        self._quotes = quotes
        self._models = models
        self._fee_ppk = fee_ppk
        self._page: Page | None = None

    def page(self) -> Page:
        """Return the listing at the rate of now, else at the last one there was.

        Raises `NoRateError` while there has not been any.
        """
        try:
            tariffs = self._quotes.tariffs()
        except NoRateError:
            if self._page is None:
                raise
            return self._page
        page, fee_ppk = self._page, self._fee_ppk()
        if page is None or page.tariffs is not tariffs or page.fee_ppk != fee_ppk:
            by_id = {model["id"]: entry(model, tariffs, fee_ppk) for model in self._models}
            document = {"object": "list", "data": list(by_id.values())}
            page = Page(tariffs, fee_ppk, by_id, msgspec.json.encode(document))
            self._page = page
        return page

    def find(self, name: str) -> Model:
        """Return the entry of a model, by id or alias, or raise `ModelNotListedError`."""
        page = self.page()
        found = page.by_id.get(self._quotes.book.aliases.get(name, name))
        if found is None:
            raise ModelNotListedError(name)
        return found


def blueprint(listing: Listing) -> Blueprint:
    routes = Blueprint("models", __name__)

    @routes.get("/v1/models")
    @routes.get("/models")
    def list_models() -> Response:
        return Response(listing.page().body, content_type=JSON_TYPE)

    @routes.get("/v1/models/<path:name>")
    @routes.get("/models/<path:name>")
    def show_model(name: str) -> Response:
        return as_json(listing.find(name))

    return routes


def entry(model: Mapping[str, Any], tariffs: Tariffs, fee_ppk: int) -> Model:
    """Return `model` as clients read it: OpenAI's members, and the prices that are charged."""
    tariff = tariffs.find(model["id"])
    price = tariff.price
    created = model.get("created")
    return {
        **model,
        "object": "model",
        # Clients exist that do not read a listing without it.
        "created": created if isinstance(created, int) else 0,
        "owned_by": str(model.get("owned_by") or model["id"].partition("/")[0]),
        "pricing": dollars(price, model.get("pricing")),
        "sats_pricing": as_json_floats(sats_pricing(price, tariffs.rate)),
        "min_cost_per_request": smallest_token_sat(model["id"], tariff, fee_ppk),
    }


def smallest_token_sat(model: str, tariff: Tariff, fee_ppk: int) -> int:
    """Return the least that a token must be to buy anything at all of a model, in sat."""
    message = {"role": "user", "content": "?"}
    document = {"model": model, "messages": [message], "max_tokens": 1}
    size = len(msgspec.json.encode(document))
    ceiling = tariff.ceiling(Bounds.of_request(document, size, tariff.price))
    return token_sat(ceiling.msat, fee_ppk)


def dollars(price: ModelPrice, advertised: object) -> dict[str, float]:
    """Return a model's prices in dollars, every component a number.

    Where all models cost the same number of msat, no price in dollars is charged: the
    advertised ones are shown, for comparison.
    """
    if price.currency == "usd":
        return as_json_floats({name: price.component(name) for name in COMPONENTS})
    given = advertised if isinstance(advertised, dict) else {}
    return as_json_floats({name: exact(given.get(name) or 0) for name in COMPONENTS})
