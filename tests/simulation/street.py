"""The street of a simulation: workers and a back office that are killed and begin anew."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.cashier.errors import CashierError
from app.gateways.errors import GatewayError
from app.store.errors import StoreError
from domain.errors import LedgerBrokenError, LedgerError
from domain.guards import INVOICE, ISSUED
from projections.chart import NotToldError
from tests.simulation.house import SimHouse
from tests.simulation.stage import Process, ViolationError
from tests.simulation.watch import Watch

if TYPE_CHECKING:
    from tests.simulation.house import World

WORKERS, CLERKS = 2, 2
KILL, MINT_AWAY, ROTATE, SETTLE = 0.02, 0.003, 0.005, 0.02
JUMP, OFF_S_MAX = 0.005, 300.0
AWAY_S = (0.5, 20.0)
OFFICE_S = (0.1, 5.0)
ROUNDS_MAX = 60
ROUND_S, LAPSE_S = 1_000.0, 100 * 86_400.0
EXPECTED = (CashierError, GatewayError, LedgerError, StoreError, NotToldError)


class Street:
    """Opens what is closed, and closes what is open, by chance."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.stage = world.stage
        self.watch = Watch(world)
        self._houses: list[SimHouse] = []
        self._count = 0
        self._is_over = False
        for _ in range(WORKERS):
            self._open(is_office=False)
        self._office = self._open(is_office=True)
        self.pubkey = self._office.pubkey

    def worker(self) -> SimHouse | None:
        """Return a worker that lives, none if all are dead just now."""
        alive = [house for house in self._alive if house is not self._office]
        return self.stage.chance.choice(alive) if alive else None

    def disturb(self) -> None:
        """Let something happen to somebody, or nothing."""
        stage, ours = self.stage, self.world.ours
        if stage.happens(KILL) and self._alive:
            self._kill(stage.chance.choice(self._alive))
        if stage.happens(MINT_AWAY):
            stage.note("world", "the mint goes away")
            ours.is_up = False
            stage.later(stage.chance.uniform(*AWAY_S), "the mint is back", self._mint_back)
        if stage.happens(ROTATE):
            stage.note("world", "the mint rotates its keyset")
            ours.rotate("sat")
        if stage.happens(SETTLE):
            self._settle()
        if stage.happens(JUMP):
            stage.set_clocks(stage.chance.uniform(-OFF_S_MAX, OFF_S_MAX))

    def calm(self) -> None:
        """Let nothing fail from now on, and everything be open."""
        self.stage.is_wild = False
        self.stage.note("world", "CALM")
        self._mint_back()
        self._settle()

    def finish(self) -> None:
        """Kill everybody, and let one back office do all that is left to be done."""
        self._is_over = True
        for house in self._alive:
            self.stage.kill(house.process)
        self.world.ours.settle(paid=True)
        self.world.theirs.settle(paid=True)
        office = SimHouse(self.world, Process("the last office"), groups=False)
        self._houses.append(office)
        is_done: list[bool] = []
        self.stage.begin(lambda: is_done.append(self._recover(office)))
        while not is_done:
            if not self.stage.step():
                raise ViolationError("the last back office waits for nobody")
            self.watch.look()

    def close(self) -> None:
        for house in self._houses:
            house.close()
        self.watch.close()

    @property
    def _alive(self) -> list[SimHouse]:
        return [house for house in self._houses if house.process.is_alive]

    def _open(self, *, is_office: bool) -> SimHouse:
        self._count += 1
        name = f"{'office' if is_office else 'worker'}-{self._count}"
        house = SimHouse(self.world, Process(name), groups=not is_office)
        self._houses.append(house)
        self.stage.note(name, "opens")
        if is_office:
            self._office = house
            for _ in range(CLERKS):
                self.stage.begin(lambda: self._work(house))
        return house

    def _kill(self, house: SimHouse) -> None:
        is_office = house is self._office
        self.stage.kill(house.process)
        self.stage.later(
            self.stage.chance.uniform(*AWAY_S),
            "opens again",
            lambda: self._open_again(is_office=is_office),
        )

    def _open_again(self, *, is_office: bool) -> None:
        # Who opened for the last of all would work on through the days it waits for.
        if not self._is_over:
            self._open(is_office=is_office)

    def _work(self, office: SimHouse) -> None:
        chance = self.stage.chance
        jobs = [*office.jobs(), office.expiry.refund_expired, office.sweep_tokens]
        while True:
            office.pause(chance.uniform(*OFFICE_S))
            job = chance.choice(jobs)
            try:
                job()
            except LedgerBrokenError as error:
                raise ViolationError(f"the ledger says it is broken: {error}") from error
            except EXPECTED as error:
                self.stage.told.count(f"office {type(error).__name__}")

    def _recover(self, office: SimHouse) -> bool:
        """Work until nothing is left that a back office could do."""
        for number in range(ROUNDS_MAX):
            for job in office.jobs():
                job()
            kinds = {row.kind for _, row in office.store.open_movements()}
            if not kinds - {ISSUED, INVOICE} and not office.store.hold_owners():
                if INVOICE not in kinds:
                    return True
                office.pause(LAPSE_S)
            office.pause(ROUND_S * (number + 1))
        kinds_left = {row.kind for _, row in office.store.open_movements()}
        raise ViolationError(f"recovery comes to no end of {kinds_left}")

    def _mint_back(self) -> None:
        self.world.ours.is_up = True

    def _settle(self) -> None:
        for mint in self.world.mints.values():
            mint.settle(paid=self.stage.chance.random() < 0.7)
