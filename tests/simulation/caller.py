"""Who asks the house for something, and what it does until it is certain of the answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from app.cashier.errors import CashierError
from app.gateways.errors import GatewayError
from app.gateways.mint.errors import TokenError
from app.store.errors import StoreError
from domain.errors import (
    LedgerBrokenError,
    LedgerError,
    NothingToRefundError,
    UnknownAccountError,
)
from projections.books import Books
from tests.integration.soundness import OF_THE_HOUSE
from tests.simulation.mint import read_token
from tests.simulation.stage import Died, Process, ViolationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.store.opening import Store
    from tests.simulation.house import SimHouse, World
    from tests.simulation.street import Street

TRIES_MAX = 400
EXPECTED = (CashierError, GatewayError, LedgerError, StoreError, TokenError)

T = TypeVar("T")


class LostError(Exception):
    """No answer came; what was asked may have been done."""


class PoorHouseError(Exception):
    """The house has paid mints more in fees than it has earned: it owes until it earns."""


ALL_BACK = (NothingToRefundError, UnknownAccountError, PoorHouseError)


def owns_msat(store: Store) -> int:
    """Return what is the house's own, by its books; below 0 if its fees were more."""
    books = Books()
    for page in store.log():
        for _, entry in page:
            books.post(entry.event)
    return sum(books.balances_msat[name] for name in OF_THE_HOUSE)


class Caller:
    """Somebody outside: lives as long as the run does, and keeps what it was given."""

    def __init__(self, world: World, street: Street, name: str) -> None:
        self.world = world
        self.stage = world.stage
        self.process = Process(name)
        self.collected: set[str] = set()
        self._street = street

    def _tried(self, act: Callable[[], None]) -> None:
        try:
            act()
        except (LostError, *EXPECTED) as error:
            self.stage.told.count(f"told {type(error).__name__}")

    def _collect(self, token: str) -> None:
        """Take a token home; raises `LostError` for one that is just being taken back."""
        if token in self.collected:
            return
        if not self.world.ours.redeem(read_token(token)):
            if not self._street.watch.is_swept(token):
                raise ViolationError("a token was given to somebody that was spent before")
            self.stage.told.count("tokens swept under their owner")
            raise LostError
        self.collected.add(token)
        self.stage.told.count("tokens collected")

    def _insist(self, act: Callable[[], None], ends: tuple[type[Exception], ...]) -> bool:
        """Do `act` until it goes well, or is told one of `ends`; tell which."""
        last: Exception | None = None
        for _ in range(TRIES_MAX):
            try:
                act()
            except ends:
                return False
            except (LostError, *EXPECTED) as error:
                last = error
                self._rest(20.0)
            else:
                return True
        raise ViolationError(f"{self.process.name} asked for ever, and was told {last!r}")

    def _call(self, ask: Callable[[SimHouse], T]) -> T:
        """Ask a worker; raises `LostError` when it died before it had answered."""
        house = self._street.worker()
        if house is None:
            raise LostError
        try:
            answer = ask(house)
        except Died:
            raise LostError from None
        except LedgerBrokenError as error:
            raise ViolationError(f"the ledger says it is broken: {error}") from error
        except EXPECTED:
            if house.process.is_alive:
                raise
            raise LostError from None
        if not house.process.is_alive:
            raise LostError
        return answer

    def _rest(self, seconds: float) -> None:
        self.stage.sleep(self.process, seconds, "rests")
