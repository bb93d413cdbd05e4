"""Who serves what is sold, and for how much: the providers' parts, built from the settings."""

from __future__ import annotations

from fractions import Fraction
from functools import partial
from typing import TYPE_CHECKING

from app.cashier.prices import HousePrices
from app.cashier.providers import OwnProvider, Providers
from app.cashier.roster import Roster
from app.gateways.mint.seal import Sealer
from app.gateways.upstream import Upstream
from app.urls import normalised_url

if TYPE_CHECKING:
    from app.house import House

CONNECTIONS_MAX = 2000
LIST_CONNECTIONS_MAX = 1
LIST_READ_TIMEOUT_S = 30.0
UPSTREAM_KEYS = b"upstream keys"


def create_roster(house: House) -> Roster:
    """Return what follows the providers for a process that serves requests."""
    settings = house.settings
    prices = HousePrices(
        house.models,
        settings.exchange_fee,
        None if settings.model_based_pricing else house.book,
        upstream_cost=settings.upstream_cost,
    )
    connect = partial(
        Upstream,
        connect_timeout_s=settings.upstream_connect_timeout_s,
        read_timeout_s=settings.upstream_read_timeout_s,
        connections_max=CONNECTIONS_MAX,
        way=house.way,
    )
    return Roster(
        house.ledger,
        house.store,
        _sealer(house),
        _own(house),
        connect,
        prices,
        count=partial(house.metrics.count_failure, "provider"),
    )


def create_providers(house: House) -> Providers:
    """Return what sets providers up, and asks them for their models."""
    settings = house.settings
    connect = partial(
        Upstream,
        connect_timeout_s=settings.upstream_connect_timeout_s,
        read_timeout_s=LIST_READ_TIMEOUT_S,
        connections_max=LIST_CONNECTIONS_MAX,
        way=house.way,
    )
    return Providers(
        house.ledger,
        house.store,
        _sealer(house),
        _own(house),
        connect,
        normalised_url,
        Fraction(settings.price_jump_max),
    )


def _own(house: House) -> OwnProvider:
    settings = house.settings
    key = settings.upstream_api_key
    return OwnProvider(
        base_url=settings.upstream_base_url,
        api_key=key.get_secret_value() if key else "",
        fee=format(settings.upstream_provider_fee, "f"),
        models=tuple(house.models),
    )


def _sealer(house: House) -> Sealer:
    return Sealer(house.seed.subkey(UPSTREAM_KEYS))
