"""Clients that use every way money enters and leaves, while all around them is killed."""

from __future__ import annotations

import random
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import requests

from app.gateways.mint import tokens
from tests.integration.chaos import SLOW, Customer
from tests.integration.client import CHAT, Client, Reply, chat_body
from tests.integration.house import QUESTION
from tests.integration.purse import is_unspent, take_home

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.integration.mint import RealMint

INVOICED_SAT = 32
MINT_AWAY_S = (0.2, 2.0)
MINT_CALM_S = (2.0, 6.0)


@dataclass
class Extras:
    """What a regular did beside what every customer does."""

    tickets: list[str] = field(default_factory=list)
    redeemed: list[str] = field(default_factory=list)
    invoices: int = 0
    children: list[str] = field(default_factory=list)


class Regular(Customer):
    """A customer who also pays by the request, by Lightning, and through child keys.

    `tickets` are tokens that each pay for one request; `recipient` is a Lightning address.
    The purse may hold tokens that are locked to the house, and of another mint.
    """

    def __init__(
        self,
        base_url: str,
        purse: Sequence[str],
        tickets: Sequence[str],
        recipient: str,
        seed: int,
    ) -> None:
        super().__init__(base_url, purse, seed, recipient)
        self._tickets = list(tickets)
        self.extras = Extras()

    def leave(self) -> None:
        """Go the ways there was no time for; take every change home, then all that is left."""
        while self._purse:
            self._topup()
        if not self.extras.invoices:
            self._insist(self._ask_for_an_invoice)
        for ticket in self.extras.tickets:
            self._take_change(ticket)
        super().leave()

    @property
    def presented_sat(self) -> int:
        """What was presented of the house's own mint; the log tells what came from abroad."""
        home = tokens.decode(self._first).mint
        presented = [tokens.decode(token) for token in self.diary.presented]
        redeemed = sum(tokens.decode(token).amount for token in self.extras.redeemed)
        return redeemed + sum(token.amount for token in presented if token.mint == home)

    def _acts(self) -> list[Callable[[], None]]:
        return [
            *[self._chat, self._stream, self._stream_and_leave] * 2,
            self._topup,
            self._refund,
            *[self._by_ticket, self._pay, self._invoice, self._make_child, self._as_child],
        ]

    def _by_ticket(self) -> None:
        if not self._tickets:
            return
        ticket = self._tickets.pop()
        self.extras.tickets.append(ticket)
        body = chat_body(stream=False, model=SLOW, question=QUESTION)
        nobody = Client(self._nobody.base_url, "")
        self._try(lambda: nobody.post(CHAT, body, {"X-Cashu": ticket, "Authorization": ""}))

    def _ask_for_an_invoice(self) -> Reply:
        wish = {"amount_sats": INVOICED_SAT, "purpose": "topup"}
        return self.client.post("/v1/balance/lightning/invoice", wish)

    def _invoice(self) -> None:
        reply = self._try(self._ask_for_an_invoice)
        if reply is not None and reply.status == requests.codes.ok:
            self.extras.invoices += 1

    def _make_child(self) -> None:
        wish = {"count": 1, "balance_limit": 50_000}
        reply = self._try(lambda: self.client.post("/v1/balance/child-key", wish))
        if reply is not None and reply.status == requests.codes.ok:
            self.extras.children += reply.document["api_keys"]

    def _as_child(self) -> None:
        if self.extras.children:
            child = Client(self.client.base_url, self._random.choice(self.extras.children))
            self._bought(self._try(lambda: child.chat(model=SLOW)), whole=True)

    def _take_change(self, ticket: str) -> None:
        """Ask for a ticket's change with the ticket itself; it may never have arrived."""
        nobody = Client(self._nobody.base_url, "")
        sent = {"X-Cashu": ticket, "Authorization": ""}

        def ask() -> Reply:
            return nobody.post("/v1/wallet/refund", {}, sent)

        for _ in range(100):
            reply = self._try(ask)
            if reply is not None and reply.status == requests.codes.ok:
                token = reply.document["token"]
                self.extras.redeemed.append(ticket)
                self.diary.refunded.add(token)
                self._home = take_home(token, self._home)
                return
            if reply is not None and reply.status == requests.codes.not_found:
                assert is_unspent(ticket)
                return
            time.sleep(0.2)
        raise AssertionError(f"no change came back: {self.diary.refused[-1:]}")


class MintKiller(threading.Thread):
    """Kills the mint now and then, and starts it again; in the end it is mended."""

    def __init__(self, mint: RealMint, until_s: float, seed: int) -> None:
        super().__init__()
        self._mint = mint
        self._until_s = until_s
        self._random = random.Random(seed)  # noqa: S311  # chaos that can be repeated
        self.kills = 0

    def run(self) -> None:
        while time.monotonic() < self._until_s:
            self._mint.kill()
            self.kills += 1
            time.sleep(self._random.uniform(*MINT_AWAY_S))
            self._mint.start()
            time.sleep(self._random.uniform(*MINT_CALM_S))
        # What it then calls pending has no end by itself, and is stuck there: told as such,
        # never given up by us.
        self._mint.mend()
