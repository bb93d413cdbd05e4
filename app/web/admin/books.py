"""The other books: balances at a moment, what is not finished, mints with proofs, prices."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from app.web.admin import figures
from app.web.admin.room import Room, asked_moment, page
from domain.identity import prices_of_version

if TYPE_CHECKING:
    from projections.chart import Query

PRICES_MAX = 500


class Balances(Room):
    """What every account of the house stood at, now or just before any moment."""

    @page("/")
    def index(self) -> Any:
        at = asked_moment("as_of")
        told = self.auditor.look(lambda query: figures.balances(query, self.auditor.log, at))
        return self.render("auditor/balances.html", told=told, at=at)


class Unfinished(Room):
    """Movements without an end, oldest first, and tokens that nobody has collected."""

    @page("/")
    def index(self) -> Any:
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
        return self.render("auditor/unfinished.html", rows_max=figures.ROWS_MAX, **found)


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
