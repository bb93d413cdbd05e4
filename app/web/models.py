"""The listing of what is sold, with its prices in dollars and in sat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
from flask import Blueprint, Response

from app.cashier.errors import NoRateError
from app.web.bodies import JSON_TYPE, as_json
from app.web.refusals import ModelNotListedError
from domain.price_list import as_json_floats, sats_pricing
from domain.pricing import COMPONENTS, exact

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from app.cashier.quote import Quotes
    from domain.pricing import ModelPrice, Tariffs

Model = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Page:
    """The listing at one rate: its entries by id, and all of it as JSON."""

    tariffs: Tariffs
    by_id: Mapping[str, Model]
    body: bytes

    @property
    def models(self) -> list[Model]:
        return list(self.by_id.values())


class Listing:
    """Writes the listing, once for each rate.

    `models` are the entries of the operator's models.json; their prices are replaced by
    those that are charged.
    """

    def __init__(self, quotes: Quotes, models: Sequence[Mapping[str, Any]]) -> None:
        self._quotes = quotes
        self._models = models
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
        if self._page is None or self._page.tariffs is not tariffs:
            by_id = {model["id"]: entry(model, tariffs) for model in self._models}
            document = {"object": "list", "data": list(by_id.values())}
            self._page = Page(tariffs, by_id, msgspec.json.encode(document))
        return self._page

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


def entry(model: Mapping[str, Any], tariffs: Tariffs) -> Model:
    """Return `model` as clients read it: OpenAI's members, and the prices that are charged."""
    price = tariffs.find(model["id"]).price
    created = model.get("created")
    return {
        **model,
        "object": "model",
        # Clients exist that do not read a listing without it.
        "created": created if isinstance(created, int) else 0,
        "owned_by": str(model.get("owned_by") or model["id"].partition("/")[0]),
        "pricing": dollars(price, model.get("pricing")),
        "sats_pricing": as_json_floats(sats_pricing(price, tariffs.rate)),
    }


def dollars(price: ModelPrice, advertised: object) -> dict[str, float]:
    """Return a model's prices in dollars, every component a number.

    Where all models cost the same number of msat, no price in dollars is charged: the
    advertised ones are shown, for comparison.
    """
    if price.currency == "usd":
        return as_json_floats({name: price.component(name) for name in COMPONENTS})
    given = advertised if isinstance(advertised, dict) else {}
    return as_json_floats({name: exact(given.get(name) or 0) for name in COMPONENTS})
