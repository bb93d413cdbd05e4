"""A network that loses, delays and refuses, between the house and a real mint.

M9, M31 to M34: whatever becomes of one request, the money is where it belongs in the end.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from app.cashier.errors import CashierError
from app.cashier.invoice import Status as InvoiceStatus
from app.cashier.payout import Status
from app.gateways.errors import GatewayError
from app.gateways.mint.tokens import decode, encode
from domain.guards import ISSUED
from tests.doubles.recipient import RecipientServer
from tests.gateways.conftest import free_port
from tests.integration.faults import Fate, FaultProxy
from tests.integration.house import House, build, new_address
from tests.integration.mint import RealMint
from tests.integration.soundness import assert_nothing_is_left_to_do, assert_sound

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from uuid import UUID

    from tests.doubles.upstream import UpstreamDouble
    from tests.integration.house import Address

pytestmark = pytest.mark.integration

FACE_SAT, CREDITED_MSAT = 1_000, 999_000
PAID_MSAT = 100_000
PATIENCE_S = 60.0
FATES = pytest.mark.parametrize(
    "fate", [fate for fate in Fate if fate is not Fate.ANSWERED], ids=lambda fate: fate.name
)


@pytest.fixture(scope="module")
def remote(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealMint]:
    directory = tmp_path_factory.mktemp("remote")
    with RealMint(free_port(), directory, private_key="a mint far away") as mint:
        yield mint


@pytest.fixture(scope="module")
def bob() -> Iterator[RecipientServer]:
    with RecipientServer() as bob:
        yield bob


class Line:
    """A house at the end of a bad line to its mint."""

    def __init__(self, address: Address, mint: RealMint, proxy: FaultProxy) -> None:
        self.house: House = build(replace(address, mint_url=proxy.url))
        self._mint = mint
        self._url = proxy.url

    def fund(self) -> str:
        """A token that names the mint by the address at which the house knows it."""
        return encode(replace(decode(self._mint.fund(FACE_SAT)), mint=self._url))

    def until(self, done: Callable[[], bool]) -> None:
        """Recover again and again, as the back office does, until it is `done`."""
        ends_s = time.monotonic() + PATIENCE_S
        while not done():
            assert time.monotonic() < ends_s, "never came to an end"
            self.house.recover()
            time.sleep(0.2)

    def insist(self, act: Callable[[], object]) -> None:
        """Try again what did not work, as a client does."""

        def worked() -> bool:
            try:
                act()
            except (CashierError, GatewayError):
                return False
            return True

        self.until(worked)

    def settled(self) -> bool:
        kinds = {row.kind for _, row in self.house.store.open_movements()}
        return kinds <= {ISSUED}

    def assert_right(self) -> None:
        self.until(self.settled)
        assert_sound(self.house)
        assert_nothing_is_left_to_do(self.house)


@pytest.fixture
def line(
    fate: Fate,
    at: str,
    tmp_path: Path,
    remote: RealMint,
    upstream: UpstreamDouble,
    bob: RecipientServer,
) -> Iterator[Line]:
    """A line on which the first request to `at` has that fate, once everything is funded."""
    address = new_address(f"sqlite:///{tmp_path}/ledger.db", remote.url, upstream.base_url)
    address = replace(address, allow=(bob.netloc,))
    with FaultProxy(remote.url, [fate, Fate.ANSWERED], at) as proxy:
        line = Line(address, remote, proxy)
        yield line
        line.house.close()


@FATES
@pytest.mark.parametrize("at", ["/swap"])
def test_a_deposit_is_credited_once(line: Line) -> None:
    token, account_id = line.fund(), uuid4()

    line.insist(lambda: line.house.deposit(token, account_id))

    assert line.house.msat(account_id) == (CREDITED_MSAT, 0)
    line.assert_right()


def deposited(line: Line) -> UUID:
    account_id = uuid4()
    token = line.fund()
    line.insist(lambda: line.house.deposit(token, account_id))
    return account_id


@FATES
@pytest.mark.parametrize("at", ["/checkstate"])
def test_a_refund_that_is_looked_for_is_given_once(line: Line) -> None:
    account_id = deposited(line)
    given: list[str] = []

    line.insist(lambda: given.append(line.house.refunds.refund(account_id).token))
    line.insist(lambda: given.append(line.house.refunds.refund(account_id).token))

    assert len(set(given)) == 1
    line.assert_right()


@FATES
@pytest.mark.parametrize("at", ["/melt/bolt11", "/melt/quote/bolt11"])
def test_a_payment_is_made_once_or_not_at_all(line: Line, bob: RecipientServer) -> None:
    account_id, name = deposited(line), uuid4()

    def pay() -> None:
        line.house.payouts.refund_to(name, account_id, bob.address, PAID_MSAT)

    line.insist(pay)
    line.until(line.settled)

    told = line.house.payouts.standing(name, account_id)
    assert told.status in {Status.PAID, Status.FAILED}
    gone_msat = told.fee_msat + (PAID_MSAT if told.status is Status.PAID else 0)
    assert line.house.msat(account_id) == (CREDITED_MSAT - gone_msat, 0)
    line.assert_right()


@FATES
@pytest.mark.parametrize("at", ["/mint/bolt11", "/mint/quote/bolt11"])
def test_an_invoice_is_credited_once(line: Line) -> None:
    account_id, invoice_id = uuid4(), uuid4()
    line.insist(lambda: line.house.invoices.open(invoice_id, account_id, 500, "topup"))

    line.until(lambda: line.house.msat(account_id)[0] > 0)

    assert line.house.invoices.standing(invoice_id).status is InvoiceStatus.PAID
    assert line.house.msat(account_id) == (500_000, 0)
    line.assert_right()


@pytest.mark.parametrize(("fate", "at"), [(Fate.ANSWERED, "")])
def test_keysets_that_change_under_a_working_house(line: Line, remote: RealMint) -> None:
    account_id = deposited(line)
    for generation in (1, 2):
        remote.rotate(generation)
        token = line.fund()
        line.insist(lambda token=token: line.house.deposit(token, account_id))  # type: ignore[misc]
    remote.rotate(0)

    assert line.house.msat(account_id) == (3 * CREDITED_MSAT, 0)
    line.insist(lambda: line.house.refunds.refund(account_id))
    line.assert_right()


@pytest.mark.parametrize(("fate", "at"), [(Fate.ANSWERED, "")])
def test_a_mint_that_limits_us_is_waited_for(line: Line, remote: RealMint) -> None:
    account_id = deposited(line)
    first, second = line.fund(), line.fund()
    remote.limit(per_minute=1)
    try:
        line.house.deposit(first, account_id)
        with pytest.raises((CashierError, GatewayError)):
            line.house.deposit(second, account_id)
        assert line.house.msat(account_id) == (2 * CREDITED_MSAT, 0)
    finally:
        remote.limit(per_minute=1_000)
    line.insist(lambda: line.house.deposit(second, account_id))

    assert line.house.msat(account_id) == (3 * CREDITED_MSAT, 0)
    line.assert_right()
