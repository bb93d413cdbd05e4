"""The log, event by event: found by many marks, and each told whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask import Response, request

from app.sealing.prove import NotSealedError
from app.web.admin import figures, words
from app.web.admin.carry import TYPES, Carried
from app.web.admin.log import COUNTED_MAX, Marks, Told
from app.web.admin.room import (
    FormError,
    NothingFoundError,
    Room,
    asked,
    asked_id,
    asked_msat,
    asked_number,
    asked_period,
    filled,
    linked,
    page,
)
from domain.personal import sealed_in
from domain.posting import KINDS, postings
from domain.rights import EXPORT

if TYPE_CHECKING:
    from datetime import tzinfo

    from app.sealing.prove import Inclusion
    from app.web.admin.log import Found
    from domain.event import Event
    from projections.chart import Query

TOPICS = tuple(sorted(kind.TOPIC for kind in KINDS))
EXPORTED = "exported"
FILTERS = ("type", "account", "model", "request", "min_sat", "from", "to")


Seen = tuple[Told | None, list[Told], dict[str, str], str]
"""An event, its movement, what is told in place of names, and what a bitcoin cost then."""


class Events(Room):
    """All events, newest first, and the page of each."""

    @page("/")
    def index(self) -> Any:
        marks, before = _marks(self.auditor.zone), asked_number("before")

        def read(query: Query) -> tuple[Found, dict[int, str]]:
            found = self.auditor.log.find(query, marks, before)
            return found, self.auditor.log.rates(query, found.events)

        found, rates = self.auditor.look(read)
        kept = {name: asked(name) for name in FILTERS if asked(name)}
        older = newest = None
        if found.older is not None:
            older = linked("admin-events.index", kept | {"before": str(found.older)})
        if before is not None:
            newest = linked("admin-events.index", kept)
        return self.render(
            "auditor/events.html",
            found=found,
            rates=rates,
            kept=kept,
            export=linked("admin-events.export", kept),
            older=older,
            newest=newest,
            topics=TOPICS,
            counted_max=COUNTED_MAX,
        )

    @page("/export", "POST", scope=EXPORT)
    def export(self) -> Any:
        """Carry out all events that bear the marks of the page, newest first."""
        marks, layout = _marks(self.auditor.zone), filled("format")
        if layout not in TYPES:
            raise FormError("There is no such format; there are csv and jsonl.")
        kept = [f"{name}={asked(name)}" for name in FILTERS if asked(name)]
        what = f"events as {layout}" + (f", {', '.join(kept)}" if kept else "")
        self.auditor.note(EXPORTED, self.auditor.who(), what)
        answer = Response(Carried(self.auditor, marks, layout), content_type=TYPES[layout])
        answer.headers["Content-Disposition"] = f'attachment; filename="events.{layout}"'
        answer.headers["X-Accel-Buffering"] = "no"
        return answer

    @page("/<int:position>")
    def event(self, position: int) -> Any:
        """Show an event with its double entries, and the whole movement it belongs to."""
        if position >= 1 << 63:
            raise NothingFoundError("No position is that high.")

        def read(query: Any) -> Seen:
            told = self.auditor.log.at(query, position)
            if told is None:
                return None, [], {}, ""
            log = self.auditor.log
            movement = log.movement(query, told.stream)
            btc_usd = log.rates(query, [told]).get(position, "")
            return told, movement, _names(query, told.event), btc_usd

        told, movement, names, btc_usd = self.auditor.look(read)
        if told is None:
            raise NothingFoundError(
                f"There is no event #{position}. Positions have gaps; the list of events"
                " shows which there are."
            )
        return self.render(
            "auditor/event.html",
            told=told,
            movement=movement,
            arrows=postings(told.event),
            fields=list(words.fields(told.event, names)),
            about=(type(told.event).__doc__ or "").partition("\n")[0].replace("`", ""),
            btc_usd=btc_usd,
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


def _marks(zone: tzinfo) -> Marks:
    topic = asked("type")
    if topic and topic not in TOPICS:
        raise FormError("There is no such type of event.")
    account = asked("account")
    if request.args.get("account", "").strip().startswith(("sk-", "cashu")):
        raise FormError("An account is named by its id, never by its key.")
    return Marks(
        period=asked_period(zone),
        topic=topic,
        account=account,
        model=asked("model"),
        amount_msat_min=asked_msat("min_sat"),
        stream=asked_id("request"),
    )
