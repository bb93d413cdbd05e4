"""Events carried out of the house as a file, page by page, however many they are."""

from __future__ import annotations

import json
from collections import deque
from typing import TYPE_CHECKING, Any

import msgspec

from domain.hold import Charged, Held, Released
from domain.posting import postings
from projections.export.csv import Number, table
from projections.export.plain import sat, usd

if TYPE_CHECKING:
    from collections.abc import Iterator

    from app.web.admin.auditor import Auditor
    from app.web.admin.log import Marks, Told

CSV, JSONL = "csv", "jsonl"
TYPES = {CSV: "text/csv; charset=utf-8", JSONL: "application/x-ndjson"}
PAGE = 500
COLUMNS = (
    "position",
    "time",
    "type",
    "account",
    "amount_msat",
    "amount_sat",
    "btc_usd",
    "amount_usd",
    "model",
    "request_id",
    "movement",
)
REQUESTS = Held | Charged | Released


class Carried:
    """The events that bear `marks`, newest first, as lines; one page of them in memory.

    A class with `close`: a download that is broken off asks the store for nothing more.
    """

    def __init__(self, auditor: Auditor, marks: Marks, layout: str) -> None:
        self._auditor = auditor
        self._marks = marks
        self._before: int | None = None
        self._is_over = False
        self._write = _csv if layout == CSV else _jsonl
        self._ready: deque[bytes] = deque()
        if layout == CSV:
            self._ready.append("".join(table(COLUMNS, ())).encode())

    def __iter__(self) -> Carried:
        return self

    def __next__(self) -> bytes:
        while not self._ready:
            if self._is_over:
                raise StopIteration
            self._read()
        return self._ready.popleft()

    def close(self) -> None:
        self._is_over = True
        self._ready.clear()

    def _read(self) -> None:
        log, before = self._auditor.log, self._before

        def read(query: Any) -> tuple[Any, dict[int, str]]:
            found = log.find(query, self._marks, before, PAGE)
            return found, log.rates(query, found.events)

        found, rates = self._auditor.look(read)
        text = "".join(self._write(found.events, rates))
        if text:
            self._ready.append(text.encode())
        self._before = found.older
        self._is_over = found.older is None


def _csv(events: tuple[Told, ...], rates: dict[int, str]) -> Iterator[str]:
    lines = iter(table(COLUMNS, (_row(told, rates.get(told.position, "")) for told in events)))
    # Each page would begin with the heading.
    next(lines)
    yield from lines


def _row(told: Told, rate: str) -> tuple[Any, ...]:
    amount_msat = told.amount_msat
    amounts: tuple[Any, ...] = ("", "", "", "")
    if amount_msat is not None:
        worth = Number(usd(amount_msat, rate)) if rate else ""
        amounts = (amount_msat, Number(sat(amount_msat)), Number(rate), worth)
    stream = str(told.stream)
    request_id = stream if isinstance(told.event, REQUESTS) else ""
    head = (told.position, told.at.isoformat(), told.topic, told.account)
    return (*head, *amounts, told.model, request_id, stream)


def _jsonl(events: tuple[Told, ...], rates: dict[int, str]) -> Iterator[str]:
    for told in events:
        document = {
            "position": told.position,
            "movement": str(told.stream),
            "version": told.version,
            "type": told.topic,
            "btc_usd": rates.get(told.position, ""),
            "event": msgspec.to_builtins(told.event),
            "postings": [arrow._asdict() for arrow in postings(told.event)],
        }
        yield json.dumps(document, ensure_ascii=False, separators=(",", ":")) + "\n"
