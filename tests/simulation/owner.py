"""The owner of a simulated house, who takes out what is owed to nobody, by both ways."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from app.cashier.errors import ChangeCollectedError, PayoutFeeError, RefundTakenBackError
from app.cashier.payout import Status
from app.cashier.withdrawal import LIGHTNING, TOKEN, Wish
from domain.errors import LedgerError
from tests.simulation.caller import Caller, LostError
from tests.simulation.network import ADDRESS

if TYPE_CHECKING:
    from uuid import UUID

    from app.cashier.payout import Payout
    from tests.simulation.house import World
    from tests.simulation.street import Street

PAUSE_S_MAX, MOST_MSAT = 8.0, 12_000
WHO = "owner"
REFUSED = (LedgerError, PayoutFeeError, ChangeCollectedError, RefundTakenBackError)


class Owner(Caller):
    """Wants money now and then, and asks for the same until it is told what became of it."""

    def __init__(self, world: World, street: Street) -> None:
        super().__init__(world, street, WHO)
        self.payments: dict[UUID, bool | None] = {}
        self.is_here = True
        self._tokens: list[tuple[UUID, Wish]] = []

    def live(self) -> None:
        while self.stage.is_wild:
            self._rest(self.stage.chance.uniform(0.0, PAUSE_S_MAX))
            self._tried(self.stage.chance.choice((self._draw, self._draw_token)))
        for name, is_paid in self.payments.items():
            if is_paid is None:
                self._insist(partial(self._paid, name), REFUSED)
        for name, wish in self._tokens:
            self._insist(partial(self._taken, name, wish), REFUSED)
        self.is_here = False

    def _draw(self) -> None:
        name = self.stage.new_id()
        self.payments[name] = None
        self._paid(name)

    def _paid(self, name: UUID) -> None:
        wish = self._wish(LIGHTNING)
        payout: Payout = self._call(lambda house: house.withdrawals.pay(name, wish, WHO))
        if payout.status is Status.PENDING:
            raise LostError
        self.payments[name] = payout.status is Status.PAID
        self.stage.told.count(f"owner {payout.status}")

    def _draw_token(self) -> None:
        name, wish = self.stage.new_id(), self._wish(TOKEN)
        self._tokens.append((name, wish))
        self._taken(name, wish)

    def _taken(self, name: UUID, wish: Wish) -> None:
        refund = self._call(lambda house: house.withdrawals.token(name, wish, WHO))
        self._collect(refund.token)
        self.stage.told.count("owner's tokens")

    def _wish(self, way: str) -> Wish:
        return Wish(way, self.world.ours.url, MOST_MSAT, ADDRESS if way == LIGHTNING else "")
