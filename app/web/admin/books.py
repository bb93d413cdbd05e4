"""The other books: balances at a moment, what is not finished, mints with proofs, prices."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from app.cashier.errors import CashierError
from app.gateways.errors import GatewayError
from app.gateways.mint.errors import SealError, TokenError
from app.web.admin import figures
from app.web.admin.room import FormError, Room, asked_moment, filled_id, page
from domain.errors import LedgerError
from domain.identity import prices_of_version
from domain.rights import SETTINGS

if TYPE_CHECKING:
    from projections.chart import Query

PRICES_MAX = 500
ASKED_AGAIN = "asked again"
ENDED = "It has come to its end."
NOT_YET = "It has no end yet."
TROUBLES = (CashierError, GatewayError, LedgerError, SealError, TokenError, TimeoutError)


class Balances(Room):
    """What every account of the house stood at, now or just before any moment."""

    @page("/")
    def index(self) -> Any:
        at = asked_moment("as_of", self.auditor.zone)
        told = self.auditor.look(lambda query: figures.balances(query, self.auditor.log, at))
        local = at and at.astimezone(self.auditor.zone)
        # The operator's own rate is of now: of the past the log tells which there was.
        fixed = self.auditor.fixed_btc_usd if at is None else None
        return self.render(
            "auditor/balances.html", told=told, at=at, local=local, rate=fixed or told.btc_usd
        )


class Unfinished(Room):
    """Movements without an end, oldest first, and tokens that nobody has collected."""

    @page("/")
    def index(self) -> Any:
        return self._told()

    @page("/ask", "POST", scope=SETTINGS)
    def ask(self) -> Any:
        """Ask about one movement now, as the back office does by the clock."""
        movement = filled_id("movement")
        if self.auditor.ask_again is None:
            raise FormError("No mint can be asked from here.")
        self.auditor.note(ASKED_AGAIN, self.auditor.who(), str(movement))
        try:
            has_ended = self.auditor.ask_again(movement)
        except TROUBLES as error:
            return self._told(
                f"{NOT_YET} {str(error) or type(error).__name__}"
            ), HTTPStatus.CONFLICT
        return self._told(ENDED if has_ended else NOT_YET)

    def _told(self, message: str = "") -> str:
        since = datetime.now(UTC) - timedelta(seconds=self.auditor.stuck_after_s)

        def read(query: Query) -> dict[str, Any]:
            tokens = figures.open_movements(query, issued=True)
            for token in tokens:
                token["amount_msat"] = figures.token_msat(query, token["stream"])
            return {
                "movements": figures.open_movements(query, issued=False, stuck_since=since),
                "tokens": tokens,
                "holds": figures.open_holds(query),
            }

        found = self.auditor.look(read)
        return self.render(
            "auditor/unfinished.html", rows_max=figures.ROWS_MAX, message=message, **found
        )


class Mints(Room):
    """What each mint holds for us, by the ledger and proof by proof."""

    @page("/")
    def index(self) -> Any:
        def read(query: Query) -> dict[str, Any]:
            told = figures.balances(query, self.auditor.log)
            return {
                "mints": figures.mints(query, told),
                "keysets": figures.keysets(query),
                "told": told,
            }

        return self.render("auditor/mints.html", **self.auditor.look(read))


class Prices(Room):
    """The price list by which requests are admitted now."""

    @page("/")
    def index(self) -> Any:
        book = self.auditor.prices
        rows = [book.models[name] for name in sorted(book.models)]
        if book.flat is not None:
            rows.insert(0, book.flat)
        return self.render(
            "auditor/prices.html",
            version=book.version,
            adopted=prices_of_version(book.version),
            rows=rows[:PRICES_MAX],
            more=max(0, len(rows) - PRICES_MAX),
        )
