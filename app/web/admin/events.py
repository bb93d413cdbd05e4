"""The log, event by event: found by many marks, and each told whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask import request

from app.sealing.prove import NotSealedError
from app.web.admin import figures, words
from app.web.admin.log import COUNTED_MAX, Marks
from app.web.admin.room import (
    FormError,
    NothingFoundError,
    Room,
    asked,
    asked_id,
    asked_msat,
    asked_number,
    asked_period,
    linked,
    page,
)
from domain.personal import sealed_in
from domain.posting import KINDS, postings

if TYPE_CHECKING:
    from app.sealing.prove import Inclusion
    from app.web.admin.log import Found, Told
    from domain.event import Event
    from projections.chart import Query

TOPICS = tuple(sorted(kind.TOPIC for kind in KINDS))
FILTERS = ("type", "account", "model", "request", "min_sat", "from", "to")


class Events(Room):
    """All events, newest first, and the page of each."""

    @page("/")
    def index(self) -> Any:
        marks, before = _marks(), asked_number("before")
        found: Found = self.auditor.look(
            lambda query: self.auditor.log.find(query, marks, before)
        )
        kept = {name: asked(name) for name in FILTERS if asked(name)}
        older = newest = None
        if found.older is not None:
            older = linked("admin-events.index", kept | {"before": str(found.older)})
        if before is not None:
            newest = linked("admin-events.index", kept)
        return self.render(
            "auditor/events.html",
            found=found,
            kept=kept,
            older=older,
            newest=newest,
            topics=TOPICS,
            counted_max=COUNTED_MAX,
        )

    @page("/<int:position>")
    def event(self, position: int) -> Any:
        """Show an event with its double entries, and the whole movement it belongs to."""
        if position >= 1 << 63:
            raise NothingFoundError("No position is that high.")

        def read(query: Any) -> tuple[Told | None, list[Told], dict[str, str]]:
            told = self.auditor.log.at(query, position)
            if told is None:
                return None, [], {}
            movement = self.auditor.log.movement(query, told.stream)
            return told, movement, _names(query, told.event)

        told, movement, names = self.auditor.look(read)
        if told is None:
            raise NothingFoundError(
                f"There is no event #{position}. Positions have gaps; the list of events"
                " shows which there are."
            )
        terms = getattr(told.event, "terms", None)
        return self.render(
            "auditor/event.html",
            told=told,
            movement=movement,
            arrows=postings(told.event),
            fields=list(words.fields(told.event, names)),
            about=(type(told.event).__doc__ or "").partition("\n")[0].replace("`", ""),
            btc_usd=terms.btc_usd if terms else "",
            sealed=self._sealed(position),
        )

    def _sealed(self, position: int) -> Inclusion | None:
        try:
            return self.auditor.sealed(position)
        except NotSealedError:
            return None


def _names(query: Query, event: Event) -> dict[str, str]:
    """Return what is told in place of what names a person."""
    sealed = sealed_in(event)
    if sealed is None:
        return {}
    erased = figures.is_erased(query, sealed.account_id)
    return {sealed.field: "erased" if erased else "sealed"}


def _marks() -> Marks:
    topic = asked("type")
    if topic and topic not in TOPICS:
        raise FormError("There is no such type of event.")
    account = asked("account")
    if request.args.get("account", "").strip().startswith(("sk-", "cashu")):
        raise FormError("An account is named by its id, never by its key.")
    return Marks(
        period=asked_period(),
        topic=topic,
        account=account,
        model=asked("model"),
        amount_msat_min=asked_msat("min_sat"),
        stream=asked_id("request"),
    )
