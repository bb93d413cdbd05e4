"""Clients that use the service while it is being killed, and remember what they were told."""

from __future__ import annotations

import random
import threading
import time
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import requests

from app.gateways.mint import tokens
from tests.integration.client import Client, Reply
from tests.integration.purse import take_home
from tests.integration.service import WORKERS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.integration.service import Service

CALM_S = (0.1, 1.5)
OFFICE_PART = 0.25
ASK_AGAIN_MAX = 200
HELD_MAX_S = 60.0
PAUSE_S = 0.1
SLOW = "gpt-4o-mini+delay-15"
NOTHING_LEFT = "no_balance"
PAYMENT_SAT = 5
PENDING_MAX_S = 120.0
NOT_PAID = {NOTHING_LEFT, "insufficient_balance", "lightning_payment_failed"}


@dataclass
class Diary:
    """What one client sent and what came back."""

    presented: list[str]
    served: list[str] = field(default_factory=list)
    refunded: set[str] = field(default_factory=set)
    asked: int = 0
    left: int = 0
    dropped: int = 0
    refused: list[Reply] = field(default_factory=list)
    unclean: list[Reply] = field(default_factory=list)
    payments: list[str] = field(default_factory=list)
    paid: set[str] = field(default_factory=set)


class Customer:
    """A client with one account, opened by the first of its tokens.

    The other tokens are topped up along the way, but the last, which stays at home. A token
    whose topping up was not confirmed is presented again in the end, as every honest wallet
    does.
    """

    def __init__(self, base_url: str, purse: Sequence[str], seed: int, recipient: str) -> None:
        first, *rest, home = purse
        self._home = tokens.decode(home)
        self._recipient = recipient
        self._nobody = Client(base_url, "none")
        self._first = first
        self._purse = rest
        self._random = random.Random(seed)  # noqa: S311  # chaos that can be repeated
        self.diary = Diary(presented=[first])
        self.client = Client(base_url, "")
        self.pace: Callable[[], None] = lambda: None
        """Called before each act, to wait for its turn."""
        self.model = SLOW

    def open(self) -> None:
        """Buy the key with the first token, however often the answer is lost."""
        given = {"initial_balance_token": self._first}
        reply = self._insist(lambda: self._nobody.post("/v1/balance/create", given))
        self.client = Client(self._nobody.base_url, reply.document["api_key"])

    def live(self, until_s: float) -> None:
        """Do one thing after the other, whatever comes."""
        acts = self._acts()
        while time.monotonic() < until_s:
            self.pace()
            self._random.choice(acts)()

    def leave(self) -> None:
        """Present once more what was presented, and take all money home."""
        for token in self.diary.presented[1:]:
            self._insist(partial(self.client.topup, token))
        self._wait_for_holds()
        for name in self.diary.payments:
            self._wait_for_payment(name)
        for _ in range(ASK_AGAIN_MAX):
            reply = self._insist(self.client.refund, accepts=NOTHING_LEFT)
            if reply.status != requests.codes.ok:
                return
            token = reply.document["token"]
            self.diary.refunded.add(token)
            self._home = take_home(token, self._home)
        raise AssertionError("the service went on giving refunds")

    @property
    def presented_sat(self) -> int:
        return sum(tokens.decode(token).amount for token in self.diary.presented)

    @property
    def refunded_sat(self) -> int:
        return sum(tokens.decode(token).amount for token in self.diary.refunded)

    def _acts(self) -> list[Callable[[], None]]:
        buying = [self._chat, self._stream, self._stream_and_leave]
        return [*buying * 3, self._topup, self._topup, self._refund, self._pay]

    def _chat(self) -> None:
        self._bought(self._try(lambda: self.client.chat(model=self.model)), whole=True)

    def _stream(self) -> None:
        reply = self._try(lambda: self.client.chat(stream=True, model=self.model))
        if reply is not None and reply.is_cut_short:
            self.diary.unclean.append(reply)
        self._bought(reply, whole=reply is not None and reply.is_whole_stream)

    def _stream_and_leave(self) -> None:
        self.diary.asked += 1
        reply = self._try(lambda: self.client.leave_a_stream(model=self.model))
        self.diary.left += reply is not None and reply.status == requests.codes.ok

    def _topup(self) -> None:
        if self._purse:
            token = self._purse.pop()
            self.diary.presented.append(token)
            self._try(lambda: self.client.topup(token))

    def _refund(self) -> None:
        reply = self._try(self.client.refund)
        if reply is not None and reply.status == requests.codes.ok:
            self.diary.refunded.add(reply.document["token"])

    def _pay(self) -> None:
        name = f"payment {len(self.diary.payments)}"
        self.diary.payments.append(name)
        self._try(partial(self.client.pay, name, self._recipient, PAYMENT_SAT))

    def _wait_for_payment(self, name: str) -> None:
        """Ask for the same payment until it is made, or certainly is not."""
        deadline_s = time.monotonic() + PENDING_MAX_S
        while True:
            reply = self._try(partial(self.client.pay, name, self._recipient, PAYMENT_SAT))
            if reply is not None and reply.status == requests.codes.ok:
                self.diary.paid.add(reply.document["refund_id"])
            if reply is not None and (
                reply.status == requests.codes.ok or reply.error_code in NOT_PAID
            ):
                return
            assert time.monotonic() < deadline_s, f"a payment was left open: {reply}"
            time.sleep(PAUSE_S)

    def _bought(self, reply: Reply | None, *, whole: bool) -> None:
        self.diary.asked += 1
        if reply is not None and reply.status == requests.codes.ok and whole:
            self.diary.served.append(reply.request_id)

    def _try(self, call: Callable[[], Reply]) -> Reply | None:
        """Return the answer; none if the connection was dropped."""
        try:
            reply = call()
        except requests.RequestException:
            self.diary.dropped += 1
            return None
        if reply.status not in {requests.codes.ok, requests.codes.accepted}:
            (self.diary.refused if reply.is_clean_error else self.diary.unclean).append(reply)
        return reply

    def _wait_for_holds(self) -> None:
        """Wait until the back office has released what dead workers held."""
        deadline_s = time.monotonic() + HELD_MAX_S
        while self._insist(self.client.info).document["reserved"]:
            assert time.monotonic() < deadline_s, "a hold was left open"
            time.sleep(PAUSE_S)

    def _insist(self, call: Callable[[], Reply], accepts: str = "") -> Reply:
        for _ in range(ASK_AGAIN_MAX):
            reply = self._try(call)
            if reply is not None and (
                reply.status == requests.codes.ok or reply.error["code"] == accepts
            ):
                return reply
            time.sleep(PAUSE_S)
        raise AssertionError(f"no success: {self.diary.refused[-1:]}")


class Killer(threading.Thread):
    """Kills a worker or the back office now and then, for as long as it is told to.

    After a kill it lets the service come to life again: what never runs does nothing wrong.
    """

    def __init__(self, service: Service, until_s: float, seed: int) -> None:
        super().__init__()
        self._service = service
        self._until_s = until_s
        self._random = random.Random(seed)  # noqa: S311  # chaos that can be repeated
        self.kills = 0

    def run(self) -> None:
        while time.monotonic() < self._until_s:
            if self._random.random() < OFFICE_PART:
                self._service.kill_back_office()
            else:
                self._service.kill_worker(self._random.randrange(WORKERS))
            self.kills += 1
            self._service.wait_until_whole()
            time.sleep(self._random.uniform(*CALM_S))
