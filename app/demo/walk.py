"""The steps of the tour: ecash in, two answers bought, what is left out again."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from app.demo.customer import HouseError
from app.demo.page import Page, Typewriter, msat
from app.demo.reckoning import (
    MSAT_PER_SAT,
    Deal,
    PriceTag,
    Used,
    as_decimal,
    charge_msat,
    mint_fee_sat,
    refund_sat,
)
from app.gateways.mint.tokens import decode, encode
from domain.hold import Charged
from domain.posting import EARNED, postings
from domain.refund import Collected, Started
from projections.books import Books

if TYPE_CHECKING:
    from collections.abc import Sequence

    from app.demo.customer import Answer, Customer
    from app.demo.purse import Purse
    from app.store.opening import Store
    from domain.event import Entry, Event

TOKEN_SAT = 1_000
KEY_CHARACTERS_SHOWN = 9
COLLECTED_WITHIN_S = 40.0
VERIFY_WITHIN_S = 60.0
LOOK_EVERY_S = 0.2
Kind = TypeVar("Kind", bound="Event")


class News:
    """What the event log has got since it was last read."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._position = store.head()

    def read(self) -> list[Entry]:
        entries = []
        for page in self._store.log(self._position):
            entries += [placed.entry for placed in page]
            self._position = page[-1].position
        return entries

    def books(self) -> Books:
        """Return the balances of the whole chart of accounts, worked out from the log."""
        books = Books()
        for page in self._store.log():
            for placed in page:
                books.post(placed.entry.event)
        return books


@dataclass
class Tally:
    """Where the customer's ecash went, in msat, added up along the way by the tour."""

    put_in_msat: int = 0
    mint_fees_msat: int = 0
    spent_msat: int = 0
    back_msat: int = 0


@dataclass(frozen=True)
class Walk:
    """One customer's way through the house, each amount compared with the tour's own sum."""

    page: Page
    customer: Customer
    purse: Purse
    news: News
    model: str
    price: PriceTag
    deal: Deal
    tally: Tally = field(default_factory=Tally)

    def buy_key(self) -> str:
        """Mint ecash, and buy a key with a token of it."""
        token = self.purse.fresh(TOKEN_SAT)
        key = self.customer.create(encode(token))
        fee_msat = MSAT_PER_SAT * mint_fee_sat(len(token.proofs), self.purse.fee_ppk("sat"))
        face_msat = MSAT_PER_SAT * token.amount
        page = self.page
        page.fact("minted", f"a token of {TOKEN_SAT:,} sat, in {len(token.proofs)} proofs")
        page.fact("bought", f"{_shown(key.api_key)} by POST /v1/wallet/create")
        page.amount("worth", face_msat)
        page.amount("mint's fee", fee_msat)
        page.amount("credited", key.credited_msat, face_msat - fee_msat)
        page.amount("balance", self.available_msat(key.api_key), face_msat - fee_msat)
        self._journal(self.news.read())
        self.tally.put_in_msat += face_msat
        self.tally.mint_fees_msat += fee_msat
        return key.api_key

    def chat(self, api_key: str, question: str, *, streamed: bool) -> None:
        """Buy an answer, and compare its price with what the log and the balance say."""
        page = self.page
        before_msat = self.available_msat(api_key)
        page.fact("asked", f"{self.model}: {question}")
        typewriter = Typewriter("answered")
        if streamed:
            answer = self.customer.ask_streamed(api_key, self.model, question, typewriter.write)
        else:
            text, answer = self.customer.ask(api_key, self.model, question)
            typewriter.write(text)
        typewriter.end()
        entries = self.news.read()
        cost_msat = show_cost(page, self.price, self.deal, answer, the_one(entries, Charged))
        after_msat = self.available_msat(api_key)
        page.amount("balance before", before_msat)
        page.amount("balance after", after_msat, before_msat - cost_msat)
        page.fact("request id", answer.request_id)
        self._journal(entries)
        self.tally.spent_msat += cost_msat

    def refund(self, api_key: str) -> None:
        """Ask for what is left, redeem the token at the mint, and count what comes out."""
        page = self.page
        before_msat = self.available_msat(api_key)
        token, told_sat = self.customer.refund(api_key)
        entries = self.news.read()
        spent = len(the_one(entries, Started).draft.inputs)
        fee_ppk = self.purse.fee_ppk("sat")
        fee_sat = mint_fee_sat(spent, fee_ppk)
        taken_sat = refund_sat(before_msat)
        proofs = len(decode(token).proofs)
        page.fact("got", f"a token in {proofs} proofs, by POST /v1/wallet/refund")
        page.amount("balance before", before_msat)
        after_msat = self.available_msat(api_key)
        page.amount("balance after", after_msat, before_msat - taken_sat * MSAT_PER_SAT)
        page.amount("mint's fee", fee_sat * MSAT_PER_SAT, note=f"for swapping {spent} proofs")
        page.amount("token", told_sat * MSAT_PER_SAT, (taken_sat - fee_sat) * MSAT_PER_SAT)
        redeemed = self.purse.redeem(token)
        redeem_fee_sat = mint_fee_sat(redeemed.proofs, fee_ppk)
        page.amount("counted", redeemed.face * MSAT_PER_SAT, told_sat * MSAT_PER_SAT)
        page.amount("mint's fee", redeem_fee_sat * MSAT_PER_SAT, note="for the customer's swap")
        page.amount(
            "redeemed",
            redeemed.received * MSAT_PER_SAT,
            (redeemed.face - redeem_fee_sat) * MSAT_PER_SAT,
        )
        self._journal(entries)
        page.say()
        page.say(
            "The house has sent a token and wants to know when it was redeemed: the back office"
            " asks the mint every second, here."
        )
        self._journal(self._collected())
        self.tally.mint_fees_msat += (fee_sat + redeem_fee_sat) * MSAT_PER_SAT
        self.tally.back_msat += redeemed.received * MSAT_PER_SAT

    def add_up(self, api_key: str) -> None:
        """Show where the customer's ecash went, and that the house's books say the same."""
        page, tally = self.page, self.tally
        left_msat = self.available_msat(api_key)
        went = [
            ("back in the customer's wallet", tally.back_msat),
            ("kept by the mint as fees", tally.mint_fees_msat),
            ("earned by the house", tally.spent_msat),
            ("left in the account, less than a sat", left_msat),
        ]
        page.amounts(f"Where the customer's {msat(tally.put_in_msat)} went", went)
        books = self.news.books()
        kept = sorted(books.balances_msat.items())
        page.amounts("The house's books", [(name, amount) for name, amount in kept if amount])
        page.say()
        total_msat = sum(amount for _, amount in went)
        earned_msat = books.balances_msat[EARNED]
        complete = total_msat == tally.put_in_msat
        page.held_true("nothing is missing, nothing is too much", holds=complete)
        page.held_true("the house earned what was spent", holds=earned_msat == tally.spent_msat)
        page.held_true("all accounts together are 0 msat", holds=books.total_msat == 0)
        page.held_true(
            f"{msat(books.at_mints_msat())} at the mint are what is owed and what is earned",
            holds=books.at_mints_msat() == books.owed_msat() + earned_msat,
        )

    def verify(self, database_url: str) -> None:
        """Let `tallystick verify` replay the log."""
        done = subprocess.run(  # noqa: S603  (our own program, no shell)
            [sys.executable, "-m", "app.cli", "verify", "--database-url", database_url],
            capture_output=True,
            text=True,
            timeout=VERIFY_WITHIN_S,
            check=False,
        )
        said = (done.stdout.strip() or done.stderr.strip()).splitlines()
        self.page.held_true(
            f"tallystick verify: {said[-1] if said else 'nothing'}", holds=done.returncode == 0
        )

    def available_msat(self, api_key: str) -> int:
        return self.customer.account(api_key).available_msat

    def _collected(self) -> list[Entry]:
        """Wait until the back office has seen at the mint that the token was redeemed."""
        until_s = time.monotonic() + COLLECTED_WITHIN_S
        entries: list[Entry] = []
        while not any(isinstance(entry.event, Collected) for entry in entries):
            if time.monotonic() > until_s:
                raise HouseError("the back office did not see that the token was redeemed")
            time.sleep(LOOK_EVERY_S)
            entries += self.news.read()
        return entries

    def _journal(self, entries: Sequence[Entry]) -> None:
        moves = [(entry.event.TOPIC, postings(entry.event)) for entry in entries]
        self.page.entries([(topic, arrows) for topic, arrows in moves if arrows])


def show_cost(page: Page, price: PriceTag, deal: Deal, answer: Answer, charged: Charged) -> int:
    """Show how an answer's price comes about; return it as the tour computes it."""
    if not answer.usage:
        # An upstream that tells no usage: there is only the house's estimate to go by.
        page.amount("charged", charged.cost_msat, note="estimated, for want of a usage")
        return charged.cost_msat
    used = Used.of(answer.usage)
    price_usd = price.usd(used)
    exact = deal.msat(price_usd)
    cost_msat = charge_msat(exact)
    page.fact("used", f"{used.prompt:,} tokens in, {used.completion:,} tokens out")
    page.fact("price", f"{as_decimal(price_usd)} USD {deal}")
    page.fact("", f"= {as_decimal(exact)} msat, rounded up")
    page.amount("told", answer.told_msat or 0, cost_msat)
    page.amount("charged", charged.cost_msat, cost_msat)
    return cost_msat


def the_one(entries: Sequence[Entry], kind: type[Kind]) -> Kind:
    """Return the one event of a kind, or raise `HouseError`."""
    found = [entry.event for entry in entries if isinstance(entry.event, kind)]
    if len(found) != 1:
        raise HouseError(f"the log has {len(found)} of {kind.TOPIC} for this step, not one")
    return found[0]


def _shown(api_key: str) -> str:
    return f"{api_key[:KEY_CHARACTERS_SHOWN]}…"
