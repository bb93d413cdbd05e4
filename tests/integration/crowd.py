"""A crowd of regulars before two mints, and what the books must say of it when it has gone."""

from __future__ import annotations

import random
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import requests

from domain.deposit import Credited
from domain.hold import Charged
from domain.instant import InstantCredited
from tests.integration.chaos import Customer, Diary
from tests.integration.house import COST_MSAT, new_address
from tests.integration.regulars import Regular
from tests.integration.soundness import assert_nothing_is_left_to_do, assert_sound

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.doubles.recipient import RecipientServer
    from tests.doubles.upstream import UpstreamDouble
    from tests.integration.house import Address, House
    from tests.integration.mint import RealMint
    from tests.integration.service import Service
    from tests.integration.soundness import Told

TOKENS_SAT = (512, 256, 64, 16)
TICKETS_SAT = (16, 16, 8, 8)
LOCKED_SAT = (32, 128)
ABROAD_SAT = 200
ENDS_S = 90.0
REFUNDS = 0.25
RETURNS_MAX, RETURN_PAUSE_S = 40, 0.25


def address_of(
    url: str, mint: RealMint, abroad: RealMint, bob: RecipientServer, upstream: UpstreamDouble
) -> Address:
    """Return where everything is that the house needs, with its books at `url`."""
    address = new_address(url, mint.url, upstream.base_url)
    return replace(address, allow=(bob.netloc,), foreign_url=abroad.url)


def settings_of(abroad: RealMint, bob: RecipientServer) -> dict[str, str]:
    """Return the settings by which every way is open that regulars go."""
    return {
        "GUARD_ALLOW": f"{bob.netloc},{urlsplit(abroad.url).netloc}",
        "FOREIGN_MINTS": abroad.url,
        "FOREIGN_FEE_MAX_PERCENT": "20",
        "INSTANT_MAX_SAT": "100000",
        "MINT_TIMEOUT_S": "5",
    }


def gather(
    count: int,
    service: Service,
    mint: RealMint,
    abroad: RealMint,
    bob: RecipientServer,
    kind: type[Regular] = Regular,
    first_sat: int = TOKENS_SAT[0],
) -> list[Regular]:
    """Return regulars with a purse each: tokens as they are, locked ones, one from abroad."""
    key = requests.get(f"{service.base_url}/v1/info", timeout=10).json()["pubkey"]

    def purse() -> list[str]:
        first, *rest, last = [mint.fund(sat) for sat in (first_sat, *TOKENS_SAT[1:])]
        locked = [mint.fund(sat, lock_to=key) for sat in LOCKED_SAT]
        return [first, *rest, *locked, abroad.fund(ABROAD_SAT), last]

    return [
        kind(
            service.base_url,
            purse(),
            [mint.fund(sat) for sat in TICKETS_SAT],
            bob.address,
            seed,
        )
        for seed in range(count)
    ]


class Resident(Regular):
    """A regular who never goes: what was refunded is presented again, so money goes round."""

    def _refund(self) -> None:
        # Until all is back, those who buy with the same key have nothing.
        if self._random.random() > REFUNDS:
            return
        before = set(self.diary.refunded)
        super()._refund()
        self._purse += self.diary.refunded - before
        for _ in range(RETURNS_MAX):
            self._topup()
            if not self._purse:
                return
            time.sleep(RETURN_PAUSE_S)

    def _topup(self) -> None:
        """Present the last token of the purse, for as long as it is not known to be in."""
        if not self._purse:
            return
        token = self._purse.pop()
        if token not in self.diary.presented:
            self.diary.presented.append(token)
        reply = self._try(lambda: self.client.topup(token))
        if reply is None or reply.status != requests.codes.ok:
            self._purse.insert(0, token)

    def leave(self) -> None:
        self.diary.presented += set(self._purse).difference(self.diary.presented)
        self._purse.clear()
        super().leave()


class Buyer(Customer):
    """Buys from `model` with the key of a regular, beside it; the money is its business."""

    def __init__(self, regular: Regular, seed: int, model: str, pace: Pace) -> None:
        self.client = regular.client
        self.diary = Diary(presented=[])
        self.model = model
        self.pace = pace
        self._random = random.Random(seed)  # noqa: S311  # it is meant to be repeated

    def _acts(self) -> list[Callable[[], None]]:
        return [self._chat, self._stream, self._stream_and_leave]


class Pace:
    """Lets so many acts begin in a second, whoever asks; what was missed is not made up for."""

    def __init__(self, per_s: float) -> None:
        self._every_s = 1 / per_s
        self._next_s = 0.0
        self._lock = threading.Lock()

    def __call__(self) -> None:
        with self._lock:
            now_s = time.monotonic()
            turn_s = max(self._next_s, now_s)
            self._next_s = turn_s + self._every_s
        time.sleep(turn_s - now_s)


def settle(house: House) -> None:
    """Recover until nothing is open but what waits to be collected, and nothing is news.

    A mint that is slow to answer is left alone for the rest of a round.
    """
    until_s = time.monotonic() + ENDS_S
    while time.monotonic() < until_s:
        head = house.store.head()
        house.recover()
        kinds = {row.kind for _, row in house.store.open_movements()}
        if kinds <= {"issued"} and house.store.head() == head:
            return
        time.sleep(0.5)


def assert_books_and_crowd_agree(
    house: House, regulars: Sequence[Regular], buyers: Sequence[Buyer] = ()
) -> tuple[Told, dict[str, Charged]]:
    """Check that nothing is lost or doubled; return what the log tells, and the charges."""
    settle(house)
    told = assert_sound(house)
    assert_nothing_is_left_to_do(house)

    charged = charges(house)
    served = [name for each in (*regulars, *buyers) for name in each.diary.served]
    assert len(served) == len(set(served)) > 0
    assert set(served) <= charged.keys()
    assert {charge.cost_msat for charge in charged.values()} <= {COST_MSAT}
    presented_msat = 1_000 * sum(regular.presented_sat for regular in regulars)
    assert credited_faces_msat(house) == presented_msat
    assert told.collected_msat == 1_000 * sum(regular.refunded_sat for regular in regulars)
    return told, charged


def charges(house: House) -> dict[str, Charged]:
    """Return every charge there was, by the request it is for."""
    return {
        str(entry.stream): entry.event
        for page in house.store.log()
        for _, entry in page
        if isinstance(entry.event, Charged)
    }


def credited_faces_msat(house: House) -> int:
    """What the tokens were worth that were credited, at once or after a swap."""
    return sum(
        entry.event.face_msat
        for page in house.store.log()
        for _, entry in page
        if isinstance(entry.event, Credited | InstantCredited)
    )
