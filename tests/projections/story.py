"""Ledgers for tests of what is told from the log: told step by step, or made up at random."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random
from typing import TYPE_CHECKING

from domain.batch import decide
from domain.deposit import Received
from domain.errors import LedgerError
from domain.guards import GuardRows
from domain.hold import Metered, Terms
from domain.invoice import Bill, InvoicePlanned
from domain.ledger import Ledger
from domain.msat import Msat
from domain.purse import Purse, split
from domain.refund import Issued, Started
from projections.books import Books
from projections.chain import Stored
from tests.domain.given import KEYSET, MINT, claim, name, signed

if TYPE_CHECKING:
    from collections.abc import Iterable
    from uuid import UUID

    from app.store.mapper import LedgerMapper
    from domain.command import Command
    from domain.event import Entry
    from tests.store.places import Store

BEGIN = datetime(2026, 1, 1, 22, 0, tzinfo=UTC)
CLIENTS = tuple(name(number) for number in (1, 2, 3))
# Names of models can be anything where all models have one price.
MODELS = ("gpt-x", "free:0", '=HYPERLINK("http://evil")', 'a"b\n2026-01-01 ; [2020-01-01], x:y')
OTHER_MINT = "https://other.example:3338/Bitcoin"
OTHER_KEYSET = "00feedbeef543210"
PURSES = {
    MINT: Purse(MINT, "sat", KEYSET, {KEYSET: 100}),
    OTHER_MINT: Purse(OTHER_MINT, "sat", OTHER_KEYSET, {}),
}


class Story:
    """A log that is told by the hour; `ledger` writes it, `now` is when."""

    def __init__(self) -> None:
        self.now = BEGIN
        self.entries: list[Entry] = []
        self.ledger = Ledger(self._record, "story")
        self._rows = GuardRows()
        self._names = 1000

    def wait(self, **how_long: float) -> None:
        self.now += timedelta(**how_long)

    def new(self) -> UUID:
        self._names += 1
        return name(self._names)

    def deposit(self, client: UUID, sat: int, mint: str = MINT, fee_sat: int = 0) -> None:
        keyset = PURSES[mint].keyset_id
        amounts = tuple(1 << bit for bit in range(40) if (sat - fee_sat) >> bit & 1)
        begun = self.ledger.receive_token(
            self.new(), claim(client, sat, fee_sat, mint), keyset, amounts
        )
        assert isinstance(begun.event, Received)
        self.ledger.credit_deposit(begun, signed(begun.event.plan))

    def hold(self, client: UUID, msat: int, model: str = "gpt-x", rate: str = "50000") -> UUID:
        hold_id = self.new()
        terms = Terms(model=model, route="main", price_version="p1", btc_usd=rate)
        self.ledger.hold(hold_id, client, Msat(msat), terms)
        return hold_id

    def charge(self, hold_id: UUID, msat: int, usage: Metered | None = None) -> None:
        held = next(entry.event for entry in self.entries if entry.stream == hold_id)
        used = usage or Metered(prompt_tokens=10, completion_tokens=5)
        self.ledger.charge(hold_id, held.account_id, Msat(msat), held.terms, used)  # type: ignore[attr-defined]

    def release(self, hold_id: UUID) -> None:
        held = next(entry.event for entry in self.entries if entry.stream == hold_id)
        self.ledger.release(hold_id, held.account_id, "no answer")  # type: ignore[attr-defined]

    def refund(self, client: UUID, mint: str = MINT, end: str = "collect") -> None:
        begun = self.ledger.start_refund(self.new(), client, PURSES[mint])
        assert isinstance(begun.event, Started)
        draft = begun.event.draft
        if end == "cancel":
            self.ledger.cancel_refund(begun, draft, "refused")
        elif end != "start":
            issued = self.ledger.issue_refund(begun, draft, signed(draft.plan))
            if end == "collect":
                newest = self.entries[-1]
                assert isinstance(newest.event, Issued)
                self.ledger.collect_refund(newest, issued)

    def invoice(self, client: UUID, sat: int, mint: str = MINT) -> None:
        """Let an invoice be made, paid and credited."""
        stream = self.new()
        bill = Bill(
            account_id=client,
            mint=mint,
            unit="sat",
            amount=sat,
            quote=f"quote-{stream.hex}",
            request=f"lnbc1{stream.hex}",
            purpose="topup",
            expires_at=self.now,
        )
        opened = self.ledger.open_invoice(stream, bill)
        keyset_id, amounts = PURSES[mint].keyset_id, split(sat)
        planned = self.ledger.plan_invoice(opened, bill, keyset_id, amounts)
        assert isinstance(planned.event, InvoicePlanned)
        self.ledger.credit_invoice(planned, bill, signed(planned.event.plan))

    def _record(self, command: Command) -> Entry:
        past = [entry for entry in self.entries if entry.stream == command.stream]
        (answer,) = decide([command], self._rows, self.now, {command.stream: past}).answers
        if isinstance(answer, LedgerError):
            raise answer
        assert answer is not None
        if answer not in past:
            self.entries.append(answer)
        return answer


def made_up(seed: int, steps: int) -> Story:
    """A story of `steps` random steps over a few days; what is refused does not happen."""
    chance, story = Random(seed), Story()  # noqa: S311  (a story, no secret)
    open_holds: list[UUID] = []
    for _ in range(steps):
        story.wait(minutes=chance.choice((0, 1, 7, 200)), microseconds=chance.randrange(10**6))
        client, mint = chance.choice(CLIENTS), chance.choice(tuple(PURSES))
        try:
            match chance.randrange(6):
                case 0:
                    story.deposit(client, chance.randrange(2, 1000), mint, chance.randrange(2))
                case 1 | 2:
                    rate = chance.choice(("", "50000", "61234.56"))
                    msat = chance.randrange(1, 50_000)
                    open_holds.append(story.hold(client, msat, chance.choice(MODELS), rate))
                case 3 if open_holds:
                    story.charge(open_holds.pop(), chance.randrange(100_000))
                case 4 if open_holds:
                    story.release(open_holds.pop(0))
                case 5 if chance.randrange(3):
                    ends = ("start", "issue", "collect", "cancel")
                    story.refund(client, mint, chance.choice(ends))
                case _:
                    story.ledger.observe_rate(story.new(), "49876.5", ("here",))
                    story.invoice(client, 21, mint)
        except LedgerError:
            continue
    return story


def rates_change() -> Story:
    """A client pays in before there is a rate, buys at one, and pays in at the next.

    1,000 sat at no rate; at 50,000 dollars a hold of 40 sat and a charge of 30, which ends
    after 60,000 was observed; 40,000 on the next day, and 70 sat more on the day after that.
    """
    story, client = Story(), CLIENTS[0]
    story.deposit(client, 1_000)
    story.wait(minutes=1)
    story.ledger.observe_rate(story.new(), "50000", ("here",))
    hold = story.hold(client, 40_000, rate="50000")
    story.wait(minutes=1)
    story.ledger.observe_rate(story.new(), "60000", ("here",))
    story.charge(hold, 30_000)
    story.wait(hours=1)
    story.ledger.observe_rate(story.new(), "50000", ("here",))
    story.wait(days=1, hours=2)
    story.ledger.observe_rate(story.new(), "40000", ("here",))
    story.deposit(client, 70)
    return story


def put(store: Store, entries: Iterable[Entry]) -> None:
    """Write `entries` into the log as they are, behind the ledger's back."""
    store.recorder.insert_events([store.mapper.to_stored_event(entry) for entry in entries])


def stored(entries: Iterable[Entry], mapper: LedgerMapper) -> list[Stored]:
    """The entries as they would be stored, at the positions 1, 2, 3…"""
    found = map(mapper.to_stored_event, entries)
    return [
        Stored(position, event.originator_id.bytes, event.originator_version, *event_text)  # type: ignore[union-attr]
        for position, event in enumerate(found, 1)
        for event_text in [(event.topic, event.state)]
    ]


def books_of(entries: Iterable[Entry]) -> dict[str, int]:
    """What every account stands at after `entries`, those at zero left out."""
    books = Books()
    for entry in entries:
        books.post(entry.event)
    return {account: msat for account, msat in books.balances_msat.items() if msat}
