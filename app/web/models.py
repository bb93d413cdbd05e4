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

    from app.cashier.quote import Offers, Quote, Quotes
    from domain.pricing import ModelPrice, Tariff

Model = dict[str, Any]

# What chat applications read of every model, and stumble over where it is missing. Nothing is
# claimed by it of a model that its provider does not describe.
UNDESCRIBED: Mapping[str, object] = {
    "description": "",
    "context_length": None,
    "architecture": {
        "modality": "",
        "input_modalities": [],
        "output_modalities": [],
        "tokenizer": "",
        "instruct_type": None,
    },
    "per_request_limits": None,
}
# Clients that size a payment by these must be able to pay for whichever provider serves.
DEAREST = ("max_prompt_cost", "max_completion_cost", "max_cost")


@dataclass(frozen=True, slots=True)
class Page:
    """The listing at one moment: its entries by id, and all of it as JSON."""

    offers: Offers
    fee_ppk: int
    by_id: Mapping[str, Model]
    body: bytes

    @property
    def models(self) -> list[Model]:
        return list(self.by_id.values())


class Listing:
    """Writes the listing, once for each rate and each change of what is sold.

    Every model is listed once, as its cheapest provider has it, at the prices that are
    charged there. `fee_ppk` is what mints take of each proof of a token.
    """

    def __init__(self, quotes: Quotes, fee_ppk: Callable[[], int] = int) -> None:
        self._quotes = quotes
        self._fee_ppk = fee_ppk
        self._page: Page | None = None

    def page(self) -> Page:
        """Return the listing at the rate of now, else at the last one there was.

        Raises `NoRateError` while there has not been any.
        """
        try:
            offers = self._quotes.offers()
        except NoRateError:
            if self._page is None:
                raise
            return self._page
        page, fee_ppk = self._page, self._fee_ppk()
        if page is None or page.offers is not offers or page.fee_ppk != fee_ppk:
            names = dict.fromkeys(name for route in offers.routes for name in route.entries)
            by_id = {name: entry(name, offers.quotes(name), fee_ppk) for name in names}
            document = {"object": "list", "data": list(by_id.values())}
            page = Page(offers, fee_ppk, by_id, msgspec.json.encode(document))
            self._page = page
        return page

    def find(self, name: str) -> Model:
        """Return the entry of a model, by id or alias, or raise `ModelNotListedError`."""
        page = self.page()
        ids = (name, *(route.id_of(name) for route in page.offers.routes))
        for each in ids:
            if each in page.by_id:
                return page.by_id[each]
        raise ModelNotListedError(name)


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


def entry(name: str, quotes: Sequence[Quote], fee_ppk: int) -> Model:
    """Return the model `name` as clients read it.

    `quotes` are those of all its providers, the cheapest first: its words and its prices
    are shown. The costs at most, in sat, are those of the dearest.
    """
    quote = quotes[0]
    route, price = quote.route, quote.tariff.price
    model = route.entries.get(route.id_of(name), {})
    created = model.get("created")
    in_sat = [as_json_floats(sats_pricing(each.tariff.price, each.rate)) for each in quotes]
    most = {most: max(prices[most] for prices in in_sat) for most in DEAREST}
    return {
        **UNDESCRIBED,
        "name": name,
        **model,
        "id": name,
        "object": "model",
        # Clients exist that do not read a listing without it.
        "created": created if isinstance(created, int) else 0,
        "owned_by": str(model.get("owned_by") or name.partition("/")[0]),
        "pricing": dollars(price, model.get("pricing")),
        "sats_pricing": {**in_sat[0], **most},
        "min_cost_per_request": smallest_token_sat(name, quote.tariff, fee_ppk),
        "enabled": True,
        "upstream_provider_id": route.name,
        "canonical_slug": model.get("canonical_slug") or name,
        "alias_ids": sorted({alias for each in quotes for alias in each.route.aliases(name)}),
        "forwarded_model_id": route.forwarded(name),
    }


def smallest_token_sat(model: str, tariff: Tariff, fee_ppk: int) -> int:
    """Return the least that a token must be to buy anything at all of a model, in sat."""
    message = {"role": "user", "content": "?"}
    document = {"model": model, "messages": [message], "max_tokens": 1}
    size = len(msgspec.json.encode(document))
    ceiling = tariff.ceiling(Bounds.of_request(document, size, tariff.price))
    return token_sat(ceiling.msat, fee_ppk)


def dollars(price: ModelPrice, advertised: object) -> dict[str, Any]:
    """Return a model's prices in dollars, every component a number; images by size too.

    Where all models cost the same number of msat, no price in dollars is charged: the
    advertised ones are shown, for comparison.
    """
    if price.currency == "usd":
        components = {name: price.component(name) for name in COMPONENTS}
        sizes = as_json_floats(price.image_sizes or {})
        return {**as_json_floats(components), **({"image_sizes": sizes} if sizes else {})}
    given = advertised if isinstance(advertised, dict) else {}
    return as_json_floats({name: exact(given.get(name) or 0) for name in COMPONENTS})
