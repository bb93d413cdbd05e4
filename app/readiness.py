"""Whether the house can serve just now, part by part."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import gevent

from app.gateways.errors import GatewayError
from app.store.locks import LEASE
from app.web.health import OK, Health

if TYPE_CHECKING:
    from app.gateways.mint.wallet import Wallet
    from app.house import House

MINT_PATIENCE_S = 3.0


def health_of(house: House) -> Health:
    """Return what `/readyz` and `/metrics` ask of `house`."""
    settings, store = house.settings, house.store

    def log() -> str:
        store.head()
        return OK

    def back_office() -> str:
        return "nobody is in it" if house.locks.is_free(LEASE) else OK

    def rate() -> str:
        if settings.btc_usd is not None or not settings.model_based_pricing:
            return OK
        row = store.rate()
        if row is None:
            return "never observed"
        age_s = (datetime.now(UTC) - row.at).total_seconds()
        return OK if age_s <= settings.rate_stale_after_s else "stale"

    def mints() -> str:
        silent = [wallet.url for wallet in house.mints if not _answers(wallet)]
        return f"silent: {', '.join(silent)}" if silent else OK

    token = settings.metrics_token
    return Health(
        must={"store": log, "rate": rate},
        may={"back_office": back_office, "mints": mints},
        told=house.metrics.told,
        token=token.get_secret_value() if token else "",
    )


def _answers(wallet: Wallet) -> bool:
    """Tell whether a mint tells its keysets in time, or has told them just now."""
    with gevent.Timeout(MINT_PATIENCE_S, exception=False):  # type: ignore[arg-type]
        try:
            wallet.keysets.fees("sat")
        except GatewayError:
            return False
        return True
    return False
