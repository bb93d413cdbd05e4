"""Whatever befalls a refund: the money is in the token, in the account, or on its way."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from app.cashier.errors import RefundPendingError
from app.cashier.refund import Refunds
from app.gateways.mint.crypto import hash_to_curve
from app.gateways.mint.tokens import decode
from domain.guards import REFUND, RESERVED
from domain.refund import Cancelled, Started
from tests.cashier.house import ALICE, ALWAYS, OTHER_SEED, SEED
from tests.doubles.mint import Fault

if TYPE_CHECKING:
    from uuid import UUID

    from domain.guards import AccountRow, MovementRow
    from tests.cashier.conftest import Build
    from tests.cashier.house import House, MoodyMint

UNBALANCED = 11005
STARTED, REDRAFTED, RECALLED, ISSUED, CANCELLED = (
    f"refund.{topic}" for topic in ("started", "redrafted", "recalled", "issued", "cancelled")
)


def begun(house: House) -> UUID:
    """Return the one refund that is not finished."""
    ((stream, _),) = house.store.movements_of(ALICE, REFUND)
    return stream


def fail(house: House) -> UUID:
    """Ask for a refund that goes wrong; return it."""
    with pytest.raises(RefundPendingError):
        house.refunds.refund(ALICE)
    return begun(house)


@pytest.mark.parametrize(
    "fault",
    [
        Fault.DROP_REQUEST,
        Fault.DROP_RESPONSE,
        Fault.SERVER_ERROR,
        Fault.RATE_LIMIT,
        Fault.GARBAGE,
        Fault.OTHER_AMOUNT,
    ],
)
def test_a_swap_that_went_wrong_is_finished_by_the_next_request(
    build: Build, funded: House, mint: MoodyMint, fault: Fault
) -> None:
    """M32: the amount has left the account once, and the token exists once."""
    mint.fault("swap", fault)
    refund_id = fail(funded)
    assert funded.available_msat() == 0

    refund = funded.refunds.refund(ALICE)

    assert (refund.refund_id, refund.amount, refund.fee) == (refund_id, 99, 1)
    assert funded.topics(refund_id) == [STARTED, ISSUED]
    stranger = build(mint, anew=True, seed=OTHER_SEED)
    assert stranger.deposit(refund.token).credited_msat == 98_000


def test_another_process_finishes_what_one_has_begun(
    build: Build, funded: House, mint: MoodyMint
) -> None:
    mint.fault("swap", Fault.DROP_RESPONSE)
    refund_id = fail(funded)

    refund = build(mint, owner="worker-2").refunds.refund(ALICE)

    assert (refund.refund_id, refund.amount) == (refund_id, 99)
    assert funded.refunds.refund(ALICE) == refund


def test_while_the_mint_is_away_a_refund_is_pending(
    build: Build, funded: House, mint: MoodyMint
) -> None:
    """Also in a process that has never spoken with the mint."""
    mint.fault("swap", Fault.DROP_RESPONSE)
    fail(funded)
    mint.go_away()

    for house in (funded, build(mint, owner="worker-2")):
        with pytest.raises(RefundPendingError):
            house.refunds.refund(ALICE)

    mint.come_back()
    assert funded.refunds.refund(ALICE).amount == 99


def test_a_refund_does_not_begin_while_the_mint_is_away(
    build: Build, funded: House, mint: MoodyMint
) -> None:
    mint.go_away()

    with pytest.raises(RefundPendingError):
        build(mint, owner="worker-2").refunds.refund(ALICE)

    assert funded.available_msat() == 100_000


def test_a_token_is_not_told_again_while_the_mint_cannot_say_whether_it_was_collected(
    funded: House, mint: MoodyMint
) -> None:
    """M30: it could be worth nothing by now."""
    refund = funded.refunds.refund(ALICE)
    mint.fault("checkstate", Fault.SERVER_ERROR)

    with pytest.raises(RefundPendingError):
        funded.refunds.refund(ALICE)

    assert funded.refunds.refund(ALICE) == refund


def test_a_refused_refund_goes_back_to_the_account(funded: House, mint: MoodyMint) -> None:
    mint.refuse("swap", UNBALANCED)

    with pytest.raises(RefundPendingError):
        funded.refunds.refund(ALICE)

    assert funded.available_msat() == 100_000
    assert funded.store.free(mint.url, "sat") == 99
    assert isinstance(funded.log()[-1], Cancelled)
    assert funded.refunds.refund(ALICE).amount == 98


def test_a_refused_refund_is_not_given_back_when_its_proofs_are_spent(
    funded: House, mint: MoodyMint
) -> None:
    mint.fault("swap", Fault.SERVER_ERROR)
    refund_id = fail(funded)
    (started,) = funded.events(refund_id)
    assert isinstance(started, Started)
    spent = started.draft.inputs[0]
    mint.spent.add(hash_to_curve(SEED.derive(spent.keyset_id, spent.counter).secret))

    for _ in range(2):
        fail(funded)

    assert funded.topics(refund_id) == [STARTED]
    assert funded.available_msat() == 0


@pytest.mark.parametrize("path", ["restore", "checkstate"])
def test_a_refused_refund_waits_while_the_mint_cannot_be_asked_about_its_proofs(
    funded: House, mint: MoodyMint, path: str
) -> None:
    mint.refuse("swap", UNBALANCED)
    mint.refuse(path, 10000)

    refund_id = fail(funded)

    assert funded.topics(refund_id) == [STARTED]
    assert funded.refunds.refund(ALICE).amount == 99


def test_a_refused_refund_waits_when_only_the_second_look_at_its_proofs_fails(
    funded: House, mint: MoodyMint
) -> None:
    mint.refuse("swap", UNBALANCED)
    mint.refuse("checkstate", 10000, after=1)

    refund_id = fail(funded)

    assert funded.topics(refund_id) == [STARTED]
    assert funded.available_msat() == 0


def test_a_rotated_keyset_is_drafted_around(funded: House, mint: MoodyMint) -> None:
    mint.fault("swap", Fault.SERVER_ERROR)
    refund_id = fail(funded)
    new_id = mint.rotate("sat", fee_ppk=500)

    refund = funded.refunds.refund(ALICE)

    assert funded.topics(refund_id) == [STARTED, REDRAFTED, ISSUED]
    assert {proof.keyset_id for proof in decode(refund.token).proofs} == {new_id}
    assert (refund.amount, refund.fee) == (99, 1)
    assert funded.pauses == [pytest.approx(0.3)]


def test_a_swap_done_before_the_rotation_is_not_done_again(
    funded: House, mint: MoodyMint
) -> None:
    mint.fault("swap", Fault.DROP_RESPONSE)
    refund_id = fail(funded)
    mint.rotate("sat")

    refund = funded.refunds.refund(ALICE)

    assert funded.topics(refund_id) == [STARTED, ISSUED]
    assert refund.amount == 99


def test_a_rotation_to_nowhere_is_waited_out(funded: House, mint: MoodyMint) -> None:
    mint.fault("swap", Fault.SERVER_ERROR)
    refund_id = fail(funded)
    keyset = mint.active("sat")
    keyset.active = False

    fail(funded)
    keyset.active = True

    assert funded.refunds.refund(ALICE).refund_id == refund_id


def test_outputs_refused_for_ever_are_given_up_on_for_now(
    funded: House, mint: MoodyMint
) -> None:
    mint.refuse("swap", 11003, times=ALWAYS)

    refund_id = fail(funded)
    mint.relent()

    assert funded.topics(refund_id) == [STARTED] + 6 * [REDRAFTED]
    assert funded.refunds.refund(ALICE).amount == 99


def test_a_process_that_lags_behind_is_told_the_end(funded: House, mint: MoodyMint) -> None:
    """It goes on from a draft that another process has replaced and finished since."""
    mint.fault("swap", Fault.SERVER_ERROR)
    refund_id = fail(funded)
    (stale,) = funded.store.history(refund_id)
    mint.rotate("sat")
    refund = funded.refunds.refund(ALICE)

    issued = funded.refunds.resume(stale)

    assert issued == funded.events(refund_id)[-1]
    assert funded.refunds.refund(ALICE) == refund


def test_a_process_that_lags_behind_a_cancelled_refund_leaves_its_proofs_alone(
    funded: House, mint: MoodyMint
) -> None:
    mint.fault("swap", Fault.SERVER_ERROR)
    refund_id = fail(funded)
    (stale,) = funded.store.history(refund_id)
    mint.refuse("swap", UNBALANCED)
    with pytest.raises(RefundPendingError):
        funded.refunds.refund(ALICE)
    mint.calls.clear()

    with pytest.raises(RefundPendingError):
        funded.refunds.resume(stale)

    assert funded.topics(refund_id) == [STARTED, RECALLED, CANCELLED]
    assert mint.calls["swap"] == 0
    assert funded.available_msat() == 100_000


def test_a_process_that_lags_behind_a_collected_token_asks_nothing_more(
    build: Build, funded: House, mint: MoodyMint
) -> None:
    mint.fault("swap", Fault.SERVER_ERROR)
    refund_id = fail(funded)
    (stale,) = funded.store.history(refund_id)
    refund = funded.refunds.refund(ALICE)
    build(mint, anew=True, seed=OTHER_SEED).deposit(refund.token)
    funded.refunds.collected(funded.store.history(refund_id)[-1])
    mint.calls.clear()

    with pytest.raises(RefundPendingError):
        funded.refunds.resume(stale)

    assert mint.calls["swap"] == 0


def test_a_mint_that_is_trusted_no_longer_keeps_its_refunds_open(
    build: Build, funded: House, mint: MoodyMint, second_mint: MoodyMint
) -> None:
    mint.fault("swap", Fault.DROP_RESPONSE)
    fail(funded)

    with pytest.raises(RefundPendingError):
        build(second_mint, owner="worker-2").refunds.refund(ALICE)

    assert funded.refunds.refund(ALICE).amount == 99


def test_the_proofs_of_an_open_refund_are_set_aside(funded: House, mint: MoodyMint) -> None:
    mint.fault("swap", Fault.SERVER_ERROR)
    refund_id = fail(funded)

    rows = funded.store.proofs_of(refund_id)

    assert sorted(row.amount for row in rows.values()) == [4, 32, 64]
    assert {row.state for row in rows.values()} == {RESERVED}
    assert funded.store.free(mint.url, "sat") == 0


class LaggingBooks:
    """The books as a process sees them that looks a moment too early, once."""

    def __init__(self, house: House) -> None:
        self._store = house.store
        self._accounts = [house.store.account(ALICE)]
        self._movements = [house.store.movements_of(ALICE, REFUND)]
        self.history = house.store.history
        self.proofs = house.store.proofs
        self.free = house.store.free
        self.keysets_free = house.store.keysets_free

    def account(self, account_id: UUID) -> AccountRow | None:
        return self._accounts.pop() if self._accounts else self._store.account(account_id)

    def movements_of(self, account_id: UUID, kind: str) -> list[tuple[UUID, MovementRow]]:
        if self._movements:
            return self._movements.pop()
        return self._store.movements_of(account_id, kind)


@pytest.mark.parametrize("finished", [False, True], ids=["begun", "finished"])
def test_a_process_that_looked_too_early_finds_the_refund_of_another(
    build: Build, funded: House, mint: MoodyMint, *, finished: bool
) -> None:
    """M31: neither is a second token made, nor is the client told that there is none."""
    other = build(mint, owner="worker-2")
    late = Refunds(other.ledger, other.mints, LaggingBooks(funded), other.pauses.append)
    if not finished:
        mint.fault("swap", Fault.SERVER_ERROR)
        fail(funded)
    else:
        funded.refunds.refund(ALICE)

    refund = late.refund(ALICE)

    assert funded.refunds.refund(ALICE) == refund
    assert refund.amount == 99
