"""What is sold: every model by provider, what it costs, and what it has earned of late."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from app.web.admin import figures
from app.web.admin.room import Room, asked, now, page
from projections.usage import HOUSE, read_usage

if TYPE_CHECKING:
    from app.cashier.providers import Sold
    from projections.chart import Query

SHOWN_MAX = 500


class ModelShown(NamedTuple):
    """A model of one provider; prices are what the provider asks, of all it was asked for."""

    sold: Sold
    requests: int
    cost_msat: int


class Models(Room):
    """Every model that somebody sells us, and how much of it was sold."""

    @page("/")
    def index(self) -> Any:
        wanted = asked("like").lower()
        providers = self.auditor.providers
        sold = [
            each
            for each in (providers.sold() if providers else [])
            if wanted in each.model.lower()
        ]
        used = self.auditor.look(self._used)
        rows = [ModelShown(each, *used.get(each.model, (0, 0))) for each in sold]
        rows.sort(key=lambda row: (-row.cost_msat, row.sold.model, row.sold.provider))
        return self.render(
            "auditor/models.html",
            rows=rows[:SHOWN_MAX],
            count=len(rows),
            days=figures.DAYS,
            like=asked("like"),
        )

    @staticmethod
    def _used(query: Query) -> dict[str, tuple[int, int]]:
        days = figures.last_days(now())
        found = read_usage(query, HOUSE, days, ("model",), figures.MODELS_MAX)
        return {
            used.model: (used.amounts["requests"], used.amounts["cost_msat"]) for used in found
        }
