"""Houses to test the cashier in; when a test ends, the log of each is verified."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest

from tests.cashier.counter import Counter
from tests.cashier.house import OTHER_SEED, House, MoodyMint
from tests.cashier.kiosk import FACE_SAT, Kiosk
from tests.cashier.street import Street, route
from tests.doubles.upstream import UpstreamDouble
from tests.store.places import SqlitePlace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from app.cashier.ticket import Ticket
    from tests.store.places import Place

Build: TypeAlias = "Callable[..., House]"
OpenMint: TypeAlias = "Callable[..., MoodyMint]"
OpenCounter: TypeAlias = "Callable[..., Counter]"


@pytest.fixture
def open_mint() -> Iterator[OpenMint]:
    """How to open a mint; all of them close after the houses were checked."""
    opened: list[MoodyMint] = []

    def open_mint(key: str = "fake", **options: Any) -> MoodyMint:
        opened.append(MoodyMint(key, **options))
        return opened[-1].__enter__()

    yield open_mint
    for mint in opened:
        if mint.is_up:
            mint.__exit__()


@pytest.fixture
def mint(open_mint: OpenMint) -> MoodyMint:
    return open_mint()


@pytest.fixture
def second_mint(open_mint: OpenMint) -> MoodyMint:
    return open_mint("second")


@pytest.fixture
def ours(open_mint: OpenMint) -> MoodyMint:
    """Our own mint; its invoices are paid by who pays them."""
    return open_mint("ours", pays_invoices=False)


@pytest.fixture
def theirs(open_mint: OpenMint, ours: MoodyMint) -> MoodyMint:
    """An honest mint that nobody here has named."""
    mint = open_mint("theirs")
    mint.peers.append(ours)
    return mint


@pytest.fixture
def build(open_mint: OpenMint, sqlite_place: Place, tmp_path: Path) -> Iterator[Build]:
    """How to open a house, and further processes of it on the same books."""
    with _builder(sqlite_place, tmp_path) as build:
        yield build


@pytest.fixture
def build_anywhere(open_mint: OpenMint, place: Place, tmp_path: Path) -> Iterator[Build]:
    """The same on either engine."""
    with _builder(place, tmp_path) as build:
        yield build


@pytest.fixture
def house(build: Build, mint: MoodyMint) -> House:
    return build(mint)


@pytest.fixture
def upstream() -> Iterator[UpstreamDouble]:
    with UpstreamDouble() as upstream:
        yield upstream


@pytest.fixture
def funded(house: House, mint: MoodyMint) -> House:
    """A house in which Alice has 100 sat, in proofs of 64, 32 and 4."""
    house.deposit(mint.fund(101))
    assert house.available_msat() == 100_000
    return house


@pytest.fixture
def open_counter(funded: House, upstream: UpstreamDouble) -> Iterator[OpenCounter]:
    """How to open a counter between Alice's money and the upstream."""
    opened: list[Counter] = []

    def open_counter(base_url: str = "", **options: Any) -> Counter:
        opened.append(Counter(funded, base_url or upstream.base_url, **options))
        return opened[-1]

    yield open_counter
    for counter in opened:
        counter.upstream.close()


@pytest.fixture
def counter(open_counter: OpenCounter) -> Counter:
    return open_counter()


@pytest.fixture
def kiosk(house: House, upstream: UpstreamDouble) -> Iterator[Kiosk]:
    kiosk = Kiosk(house, upstream.base_url)
    yield kiosk
    kiosk.counter.upstream.close()


@pytest.fixture
def ticket(kiosk: Kiosk, mint: MoodyMint) -> Ticket:
    return kiosk.ticket(mint.fund(FACE_SAT))


@pytest.fixture
def stranger(build: Build, mint: MoodyMint) -> House:
    """Another house at the same mint, where clients take their change."""
    return build(mint, anew=True, seed=OTHER_SEED)


@pytest.fixture
def dear() -> Iterator[UpstreamDouble]:
    with UpstreamDouble() as double:
        yield double


@pytest.fixture
def street(open_counter: OpenCounter, upstream: UpstreamDouble, dear: UpstreamDouble) -> Street:
    routes = [
        route("dear", 3, dear.base_url, priority=1),
        route("main", 1, upstream.base_url),
    ]
    return Street(open_counter(routes=routes), upstream, dear)


@contextmanager
def _builder(place: Place, folder: Path) -> Iterator[Build]:
    built: list[House] = []
    others: list[SqlitePlace] = []

    def build(*mints: MoodyMint, anew: bool = False, **options: Any) -> House:
        """Open a house at `mints`, on books of its own if `anew`."""
        if anew:
            others.append(SqlitePlace(folder))
        store = others[-1].open() if anew else place.open()
        built.append(House(store, mints, **options))
        return built[-1]

    yield build
    for house in built:
        house.check()
        house.close()
    for other in others:
        other.close()
