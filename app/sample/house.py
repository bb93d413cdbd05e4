"""What the clients of a sample do, its mints and its owner: each act in one method."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

from app.sample.cast import (
    BOOK,
    HOT_TOP_UP_SAT,
    MODELS,
    PURSES,
    ROUTE,
    TOP_UPS_SAT,
    WEIGHTS,
    Clients,
    new_id,
    usage_of,
)
from domain.deposit import Claim, Received, Signed
from domain.errors import LedgerError
from domain.exact import exact
from domain.foreign_ledger import expect
from domain.guards import FREE, OUT, RESERVED
from domain.hold import Terms
from domain.identity import OWNER, in_order, prices_of_version
from domain.invoice import Bill, InvoicePlanned
from domain.ledger import Ledger
from domain.msat import MSAT_PER_SAT, Msat
from domain.payout import Offer, PayoutStarted
from domain.prices import AdoptPrices
from domain.pricing import MsatPerUsd
from domain.purse import split
from domain.reconcile import Compared
from domain.refund import Issued, Started
from domain.solvency import surplus_msat
from domain.swap import Order, SwapStarted

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random
    from uuid import UUID

    from app.sample.clerk import Agenda, Clerk
    from domain.deposit import Plan
    from domain.event import Entry
    from domain.purse import Purse

RELEASED_SHARE = 0.04
"""Of requests that are not served."""
LEFT_SHARE = 0.15
"""Of tokens that nobody collects."""
INVOICE_SHARE, UNPAID_SHARE = 0.1, 0.3
REFUND_SHARE, PAYOUT_SHARE, DONATION_SHARE = 0.006, 0.001, 0.0005
ALIKE_MAX, FEE_MAX = 16, 50
FEE_RESERVE_SHARE = 50
INVOICE_LIVES = timedelta(hours=1)
SOURCES = ("bitstamp", "coinbase", "kraken")
FIRST_USD_CENTS = 9_400_000
STEP_MAX, STEPS = 30, 10_000
"""By at most how many parts of how many the rate changes in an hour."""


class House:
    """Acts as clients, mints and owner would; what the rules refuse does not happen."""

    def __init__(self, chance: Random, clerk: Clerk, agenda: Agenda, clients: Clients) -> None:
        self._chance = chance
        self._clerk = clerk
        self._agenda = agenda
        self._clients = clients
        self._ledger = Ledger(clerk.record, "sample")
        self._usd_cents = FIRST_USD_CENTS
        self._btc_usd = ""
        self._tariffs = BOOK.at(None)

    def open(self) -> None:
        """Adopt the price list."""
        adopt = AdoptPrices(prices_of_version(BOOK.version), BOOK.version, BOOK.to_document())
        self._clerk.record(adopt)

    def look_at_rate(self) -> None:
        """Let an hour's rate be a little above or below that of the hour before."""
        step = self._chance.randint(-STEP_MAX, STEP_MAX)
        self._usd_cents += self._usd_cents * step // STEPS
        dollars, cents = divmod(self._usd_cents, 100)
        self._btc_usd = f"{dollars}.{cents:02}"
        self._tariffs = BOOK.at(MsatPerUsd.from_btc_usd(exact(self._btc_usd)))
        self._ledger.observe_rate(new_id(self._chance), self._btc_usd, SOURCES)

    def visit(self, known_share: float) -> None:
        """Let somebody ask for something: mostly for an answer, now and then for money."""
        account_id, is_hot = self._clients.one(known_share)
        place = self._chance.random()
        with suppress(LedgerError):
            if place < REFUND_SHARE:
                self._refund(account_id)
            elif place < REFUND_SHARE + PAYOUT_SHARE:
                self._pay_out(account_id)
            elif place < REFUND_SHARE + PAYOUT_SHARE + DONATION_SHARE:
                self._ledger.donate(new_id(self._chance), account_id, Msat(MSAT_PER_SAT))
            else:
                self._request(account_id, is_hot=is_hot)

    def draw(self) -> None:
        """Pay the owner most of what is free at each mint."""
        for purse in PURSES:
            free_sat = surplus_msat(self._clerk.rows, purse.mint) // MSAT_PER_SAT
            with suppress(LedgerError):
                self._pay(OWNER, purse, free_sat * 8 // 10)

    def tidy(self) -> None:
        """Swap proofs of which there are too many alike, as the back office does."""
        for purse in PURSES:
            order = Order(
                active=frozenset({purse.keyset_id}), alike_max=ALIKE_MAX, fee_max=FEE_MAX
            )
            with suppress(LedgerError):
                started = self._ledger.start_swap(new_id(self._chance), purse, order)
                swap = expect(started, SwapStarted).swap
                self._ledger.finish_swap(started, swap, self._signed(swap.plan))

    def compare(self) -> None:
        """Let every mint say that all proofs are what the books call them."""
        for purse in PURSES:
            worth_msat = dict.fromkeys((FREE, RESERVED, OUT), 0)
            for row in self._clerk.rows.proofs.rows.values():
                if row.mint == purse.mint:
                    worth_msat[row.state] += row.amount * purse.msat_per_unit
            compared = Compared(
                booked_msat=sum(worth_msat.values()),
                free_msat=worth_msat[FREE],
                in_flight_msat=worth_msat[RESERVED],
                uncollected_msat=worth_msat[OUT],
            )
            self._ledger.reconcile(purse.mint, compared)

    def _request(self, account_id: UUID, *, is_hot: bool) -> None:
        model = self._chance.choices(MODELS, WEIGHTS)[0]
        used = usage_of(self._chance, model)
        cost = Msat(self._tariffs.find(model.id).total_msat(used))
        # What a client allows is more than it needs, and now and then too little.
        ceiling = Msat(cost.msat * self._chance.randint(95, 300) // 100)
        row = self._clerk.rows.accounts.get(account_id)
        if row is None or row.available_msat < ceiling.msat:
            self._top_up(account_id, is_hot=is_hot)
            return
        chance, now = self._chance, self._clerk.now
        hold_id = in_order(int(now.timestamp() * 1000), chance.randbytes(10))
        terms = Terms(
            model=model.id, route=ROUTE, price_version=BOOK.version, btc_usd=self._btc_usd
        )
        self._ledger.hold(hold_id, account_id, ceiling, terms)
        lasts = timedelta(milliseconds=300 + 20 * used.completion_tokens)
        end: Callable[[], object]
        end = partial(self._ledger.charge, hold_id, account_id, cost, terms, used)
        if chance.random() < RELEASED_SHARE:
            end = partial(self._ledger.release, hold_id, account_id, "upstream error 503")
        self._agenda.note(lasts, end)

    def _top_up(self, account_id: UUID, *, is_hot: bool) -> None:
        sat = HOT_TOP_UP_SAT if is_hot else self._chance.choice(TOP_UPS_SAT)
        purse = self._clients.purse(account_id)
        if self._chance.random() < INVOICE_SHARE:
            self._open_invoice(account_id, purse, sat)
            return
        # As many proofs as the token has: what a mint with fees keeps of it.
        fee = -(-purse.fee_ppk.get(purse.keyset_id, 0) * len(split(sat)) // 1000)
        claim = Claim(
            account_id=account_id,
            mint=purse.mint,
            unit=purse.unit,
            face_msat=sat * MSAT_PER_SAT,
            fee_msat=fee * MSAT_PER_SAT,
            sealed=self._chance.randbytes(80),
        )
        deposit_id = new_id(self._chance)
        begun = self._ledger.receive_token(deposit_id, claim, purse.keyset_id, split(sat - fee))
        proofs = self._signed(expect(begun, Received).plan)
        self._agenda.note(self._soon(), partial(self._ledger.credit_deposit, begun, proofs))

    def _open_invoice(self, account_id: UUID, purse: Purse, sat: int) -> None:
        stream = new_id(self._chance)
        bill = Bill(
            account_id=account_id,
            mint=purse.mint,
            unit=purse.unit,
            amount=sat,
            quote=self._chance.randbytes(16).hex(),
            request=f"lnbc{sat}0n1{self._chance.randbytes(60).hex()}",
            purpose="topup",
            expires_at=self._clerk.now + INVOICE_LIVES,
        )
        opened = self._ledger.open_invoice(stream, bill)
        if self._chance.random() < UNPAID_SHARE:
            lapse = partial(self._ledger.lapse_invoice, opened, bill)
            self._agenda.note(INVOICE_LIVES, lapse)
        else:
            self._agenda.note(
                5 * self._soon(), partial(self._mint_invoice, opened, bill, purse)
            )

    def _mint_invoice(self, opened: Entry, bill: Bill, purse: Purse) -> None:
        amounts = split(bill.amount)
        planned = self._ledger.plan_invoice(opened, bill, purse.keyset_id, amounts)
        proofs = self._signed(expect(planned, InvoicePlanned).plan)
        self._ledger.credit_invoice(planned, bill, proofs)

    def _refund(self, account_id: UUID) -> None:
        purse = self._clients.purse(account_id)
        begun = self._ledger.start_refund(new_id(self._chance), account_id, purse)
        self._agenda.note(self._soon(), partial(self._issue, begun))

    def _issue(self, begun: Entry) -> None:
        draft = expect(begun, Started).draft
        issued = self._ledger.issue_refund(begun, draft, self._signed(draft.plan))
        if self._chance.random() >= LEFT_SHARE:
            newest = begun._replace(version=begun.version + 1, event=issued)
            self._agenda.note(60 * self._soon(), partial(self._collect, newest))

    def _collect(self, newest: Entry) -> None:
        self._ledger.collect_refund(newest, expect(newest, Issued))

    def _pay_out(self, account_id: UUID) -> None:
        row = self._clerk.rows.accounts.get(account_id)
        if row is not None:
            sat = row.available_msat // MSAT_PER_SAT
            self._pay(account_id, self._clients.purse(account_id), sat * 9 // 10)

    def _pay(self, account_id: UUID, purse: Purse, sat: int) -> None:
        offer = Offer(self._chance.randbytes(16).hex(), sat, 2 + sat // FEE_RESERVE_SHARE)
        destination = self._chance.randbytes(64)
        started = self._ledger.start_payout(
            new_id(self._chance), account_id, purse, offer, destination
        )
        self._agenda.note(3 * self._soon(), partial(self._end_payout, started))

    def _end_payout(self, started: Entry) -> None:
        payment = expect(started, PayoutStarted).payment
        fee = self._chance.randint(0, payment.fee_reserve)
        change = self._signed(payment.blanks, split(payment.spare - fee))
        self._ledger.end_payout(started, payment, change)

    def _signed(self, plan: Plan, amounts: tuple[int, ...] | None = None) -> tuple[Signed, ...]:
        """Return what an honest mint signs; blanks get the `amounts` that it fills in."""
        return tuple(
            Signed(
                keyset_id=plan.keyset_id,
                counter=plan.counter_from + place,
                amount=amount,
                c="02" + self._chance.randbytes(32).hex(),
                e=self._chance.randbytes(32).hex(),
                s=self._chance.randbytes(32).hex(),
            )
            for place, amount in enumerate(plan.amounts if amounts is None else amounts)
        )

    def _soon(self) -> timedelta:
        return timedelta(milliseconds=self._chance.randint(80, 900))
