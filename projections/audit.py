"""An auditor who replays the log and believes nothing: every step is worked out again."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from domain.bounds import Usage
from domain.deposit import Credited, Received, Refused, Replanned
from domain.errors import LedgerBrokenError, LedgerError
from domain.foreign import ForeignRefused
from domain.guards import DEPOSIT, INVOICE, GuardRows
from domain.hold import Charged, Held, Metered, Released
from domain.identity import setting_of
from domain.invoice import InvoiceCredited, InvoiceLapsed, InvoiceOpened, InvoicePlanned
from domain.keyset import KeysetAdvanced
from domain.lost import ProofsLost
from domain.payout import PayoutStarted
from domain.prices import PricesAdopted
from domain.pricing import ModelPrice, MsatPerUsd, PriceBook
from domain.reconcile import Reconciled
from domain.refund import Started
from domain.setting import SettingChanged
from domain.swap import SwapStarted
from projections.audit_foreign import FOREIGN_FOLLOWS, REFUSED, ForeignAudit, ForeignEvent
from projections.audit_instant import INSTANT_FOLLOWS, InstantAudit, InstantEvent
from projections.audit_keys import KeyEvent, check_key_hold, check_rules
from projections.audit_operators import OperatorEvent, check_operator_event
from projections.audit_payout import PAYOUT_FOLLOWS, PayoutAudit, PayoutEvent
from projections.audit_refund import REFUND_FOLLOWS, RefundAudit, RefundEvent
from projections.books import Books
from projections.check import demand, demand_inputs, total, unit_msat

if TYPE_CHECKING:
    from collections.abc import Iterable
    from uuid import UUID

    from domain.bounds import Counts
    from domain.deposit import Claim
    from domain.event import Entry, Event
    from domain.invoice import Bill

FOLLOWS: dict[type[Event], tuple[str, ...]] = {
    Replanned: (DEPOSIT, REFUSED),
    Credited: (DEPOSIT,),
    Refused: (DEPOSIT,),
    InvoicePlanned: (INVOICE,),
    InvoiceCredited: (INVOICE,),
    InvoiceLapsed: (INVOICE,),
    **PAYOUT_FOLLOWS,
    **REFUND_FOLLOWS,
    **FOREIGN_FOLLOWS,
    **INSTANT_FOLLOWS,
}
"""What a movement must be just before; a refusal may be followed unless it was final."""

BEGINNINGS = (Received, Started, InvoiceOpened, PayoutStarted, SwapStarted)
ENDS = (Charged, Released)
RATES_MAX = 1_000
"""Rates that are kept at hand; a long log has seen very many."""

END_VERSION = 2
"""A hold is its first event, and its one end the second."""


class Auditor:
    """Follows the log in `rows` and `books`; `read` returns the first thing that is wrong."""

    def __init__(self) -> None:
        self.rows = GuardRows(tracked=False)
        self.books = Books()
        self._prices: dict[str, PriceBook] = {}
        self._rates: dict[str, MsatPerUsd | None] = {}
        self._claims: dict[UUID, Claim] = {}
        self._bills: dict[UUID, Bill] = {}
        self._refused: dict[UUID, int] = {}
        self._payouts = PayoutAudit(self.rows)
        self._refunds = RefundAudit(self.rows)
        self._foreign = ForeignAudit()
        self._instant = InstantAudit(self.rows)

    def read(self, page: Iterable[tuple[int, Entry]]) -> str | None:
        """Return what is wrong at which position, or `None` when nothing is."""
        rows, check, post = self.rows, self._check, self.books.post
        for position, entry in page:
            stream, version, event = entry
            try:
                check(entry)
                event.apply(rows, stream, version)
                post(event)
            except LedgerError as error:
                return f"position {position}, {event.TOPIC} of {stream}: {error}"
        return None

    def _check(self, entry: Entry) -> None:
        stream, version, event = entry
        if isinstance(event, Held):
            if version != 1:
                raise LedgerBrokenError(f"begins with version {version}")
            demand(event.amount_msat >= 0, "holds less than 0")
            if event.key_id is not None:
                check_key_hold(self.rows, event, event.key_id)
        elif isinstance(event, ENDS):
            self._check_end(stream, version, event)
        elif isinstance(event, PricesAdopted):
            self._prices[event.version] = PriceBook.from_document(event.document)
        elif isinstance(event, KeyEvent):
            check_rules(self.rows, stream, version, event)
        else:
            self._check_step(stream, version, event)

    def _check_end(self, stream: UUID, version: int, event: Charged | Released) -> None:
        hold = self.rows.holds.get(stream)
        if hold is None or version != END_VERSION:
            raise LedgerBrokenError("ends a hold that is not open")
        if hold.account_id != event.account_id:
            raise LedgerBrokenError("ends another account's hold")
        if hold.amount_msat != event.held_msat:
            raise LedgerBrokenError("ends a hold of another amount")
        if hold.key_id != event.key_id:
            raise LedgerBrokenError("ends another key's hold")
        if isinstance(event, Charged):
            self._check_charge(event)

    def _check_charge(self, event: Charged) -> None:
        from_hold, from_available = event.from_hold_msat, event.from_available_msat
        paid = from_hold + from_available + event.shortfall_msat
        if event.cost_msat != paid:
            raise LedgerBrokenError("the parts of the cost do not add up")
        if from_hold > event.held_msat:
            raise LedgerBrokenError("took more than was held")
        if from_hold < 0 or from_available < 0 or event.shortfall_msat < 0:
            raise LedgerBrokenError("took less than 0")
        if event.usage.estimated or event.terms.price_version not in self._prices:
            return
        if not _is_plain(event.usage):
            usage_of(event.usage)
        terms = event.terms
        price = self._prices[terms.price_version].find(terms.model)
        cost_msat = total_msat(price, event.usage, self._rate(terms.btc_usd))
        if cost_msat != event.cost_msat:
            raise LedgerBrokenError(f"the price list says {cost_msat} msat")

    def _rate(self, btc_usd: str) -> MsatPerUsd | None:
        if btc_usd not in self._rates:
            if len(self._rates) == RATES_MAX:
                self._rates.clear()
            self._rates[btc_usd] = rate_of(btc_usd)
        return self._rates[btc_usd]

    def _check_step(self, stream: UUID, version: int, event: Event) -> None:
        if isinstance(event, BEGINNINGS):
            demand(version == 1, f"begins with version {version}")
        elif type(event) in FOLLOWS:
            kind, newest = self._before(stream)
            demand(kind in FOLLOWS[type(event)], f"follows {kind or 'nothing'}")
            demand(version == newest + 1, f"is version {version} after {newest}")
        if isinstance(event, Received | Replanned | Credited | Refused):
            self._check_deposit(stream, version, event)
        elif isinstance(event, RefundEvent):
            self._refunds.check(stream, event)
        elif isinstance(event, InvoiceOpened | InvoicePlanned):
            self._check_bill(stream, event)
        elif isinstance(event, InvoiceCredited | InvoiceLapsed):
            self._check_invoice_end(stream, event)
        elif isinstance(event, PayoutEvent):
            self._payouts.check(stream, event)
        elif isinstance(event, ForeignEvent):
            self._check_foreign(stream, version, event)
        else:
            self._check_fact(stream, version, event)

    def _check_fact(self, stream: UUID, version: int, event: Event) -> None:
        if isinstance(event, InstantEvent):
            self._instant.check(stream, event)
            self._refused.pop(stream, None)
        elif isinstance(event, OperatorEvent):
            check_operator_event(self.rows, stream, version, event)
        elif isinstance(event, Reconciled):
            row = self.rows.reconciled.get(event.mint)
            demand(version == (row.version + 1 if row else 1), f"is version {version}")
        elif isinstance(event, SettingChanged):
            changed = self.rows.settings.get(event.name)
            demand(stream == setting_of(event.name), "changes a setting of another name")
            demand(version == (changed.version if changed else 0) + 1, f"is version {version}")
        elif isinstance(event, ProofsLost):
            demand(version == 1, f"begins with version {version}")
            demand_inputs(self.rows, event.mint, event.unit, event.proofs)
        elif isinstance(event, KeysetAdvanced):
            keyset = self.rows.keysets.get(event.keyset_id)
            newest = (keyset.mint, keyset.next_counter) if keyset else (event.mint, 0)
            demand(version == 1, f"begins with version {version}")
            demand(newest == (event.mint, event.counter_from), "passes over other counters")
            demand(event.counter_to > event.counter_from, "passes over nothing")

    def _check_foreign(self, stream: UUID, version: int, event: ForeignEvent) -> None:
        self._foreign.check(stream, event)
        self._refused.pop(stream, None)
        if isinstance(event, ForeignRefused):
            self._refused[stream] = version

    def _before(self, stream: UUID) -> tuple[str, int]:
        """Return what a movement is just now, and its newest version."""
        movement = self.rows.movements.get(stream)
        if movement is not None:
            return movement.kind, movement.version
        return (REFUSED, self._refused[stream]) if stream in self._refused else ("", 0)

    def _check_deposit(
        self, stream: UUID, version: int, event: Received | Replanned | Credited | Refused
    ) -> None:
        if isinstance(event, Received | Replanned):
            self._refused.pop(stream, None)
            self._claims[stream] = event.claim
            return
        claim = self._claims.pop(stream)
        if isinstance(event, Credited):
            proofs_msat = total(event.proofs) * unit_msat(event.unit)
            begun = (claim.account_id, claim.mint, claim.unit, claim.face_msat)
            ended = (event.account_id, event.mint, event.unit, event.face_msat)
            worth = event.face_msat - event.fee_msat
            demand(begun == ended, "credits another token than was received")
            demand(event.credited_msat == worth, "credits another amount than came in")
            demand(event.credited_msat == proofs_msat, "credits what no proof is worth")
            demand(event.fee_msat >= 0, "took a fee of less than 0")
        elif not event.final:
            self._refused[stream] = version

    def _check_bill(self, stream: UUID, event: InvoiceOpened | InvoicePlanned) -> None:
        bill = self._bills.setdefault(stream, event.bill)
        demand(event.bill == bill, "changes what is to be paid")
        if isinstance(event, InvoicePlanned):
            demand(sum(event.plan.amounts) == bill.amount, "mints another amount")

    def _check_invoice_end(self, stream: UUID, event: InvoiceCredited | InvoiceLapsed) -> None:
        bill = self._bills.pop(stream)
        begun, ended = (bill.account_id, bill.mint), (event.account_id, event.mint)
        demand(begun == ended, "ends another invoice than was opened")
        if isinstance(event, InvoiceCredited):
            proofs_msat = total(event.proofs) * unit_msat(event.unit)
            demand(event.credited_msat == proofs_msat, "credits what no proof is worth")
            demand(event.credited_msat == bill.amount_msat, "credits another amount")


def _is_plain(usage: Metered) -> bool:
    """Tell whether only a prompt and a completion are counted, which cannot be senseless."""
    return (
        usage.prompt_tokens >= 0 <= usage.completion_tokens
        and not usage.cached_tokens
        and not usage.cache_write_tokens
        and not usage.reasoning_tokens
        and not usage.images
        and not usage.web_searches
        and not usage.seconds
        and not usage.characters
        and not usage.audio_tokens
        and not usage.spoken_tokens
        and not usage.long_cache_tokens
    )


def total_msat(price: ModelPrice, usage: Counts, rate: MsatPerUsd | None) -> int:
    """Return what `price.at(rate)` says that `usage` costs in all.

    A long log has seen thousands of rates: to make the tariffs of each takes longer than all
    that is worked out with them.
    """
    if usage.upstream_usd or price.currency == "msat" or rate is None:
        return price.at(rate).total_msat(usage)
    whole, factor = price.whole, rate.value
    total = whole.sums(usage)[2] * factor.numerator
    return -(-total // (whole.denominator * factor.denominator))


def usage_of(metered: Metered) -> Usage:
    """Return a recorded usage as the price list reads it; a `PricingError` if senseless."""
    return Usage(**{name: getattr(metered, name) for name in Metered.__struct_fields__})


def rate_of(btc_usd: str) -> MsatPerUsd | None:
    """Return a recorded rate; requests at a flat price name none.

    Raises `LedgerBrokenError` when it is no number, `PricingError` when it is not above 0.
    """
    try:
        return MsatPerUsd.from_btc_usd(Fraction(btc_usd)) if btc_usd else None
    except (ValueError, ZeroDivisionError) as error:
        raise LedgerBrokenError("names a rate that is no number") from error
