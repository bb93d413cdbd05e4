"""Keeping the rate fresh: what the exchanges say becomes an event."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import uuid4

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.gateways.exchange import Exchange
    from domain.guards import RateRow
    from domain.ledger import Ledger

CONFIRM_AFTER = timedelta(minutes=5)
"""An unchanged rate is recorded again after this long, so that it does not go stale."""


class RateDesk:
    """Asks the exchanges, and records what they say when it is news."""

    def __init__(
        self, ledger: Ledger, exchange: Exchange, newest: Callable[[], RateRow | None]
    ) -> None:
        self._ledger = ledger
        self._exchange = exchange
        self._newest = newest

    def update(self) -> None:
        """Observe the rate once; raises `RateUnavailableError` when too few sources agree."""
        observed = self._exchange.observe()
        btc_usd = observed.btc_usd_text
        newest = self._newest()
        if (
            newest is not None
            and newest.btc_usd == btc_usd
            and datetime.now(UTC) - newest.at < CONFIRM_AFTER
        ):
            return
        self._ledger.observe_rate(uuid4(), btc_usd, observed.sources)
