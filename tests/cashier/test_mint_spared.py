"""A mint in trouble: who comes is told so at once, before anything of his is recorded."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from app.cashier.errors import (
    DepositPendingError,
    MintCrowdedError,
    MintDownError,
    RefundPendingError,
)
from app.cashier.patience import TRIES_AT_ONCE, Patience
from app.cashier.recover import Recovery
from app.gateways.mint.gate import GateLimits
from domain.msat import Msat
from tests.cashier.house import ALICE, ALWAYS, BOB, spend, stream_of
from tests.cashier.test_recover import Locksmith, Office
from tests.domain.given import name
from tests.doubles.mint import Fault

if TYPE_CHECKING:
    from tests.cashier.conftest import Build
    from tests.cashier.house import House, MoodyMint

AT_ONCE = timedelta(0)
UNDECIDED = 0
STRICT = GateLimits(at_once_max=2, waiting_max=2, wait_s=0.3, failures_max=3, pause_s=60.0)


@pytest.fixture
def strict(build: Build, mint: MoodyMint) -> House:
    """A house that leaves its mint alone as it does in earnest, and knows its keysets."""
    house = build(mint)
    house.deposit(mint.fund(101))
    house.gate(mint, STRICT)
    return house


def test_after_429_a_token_is_refused_before_it_is_recorded(
    strict: House, mint: MoodyMint
) -> None:
    """M8: neither does the mint hear of it, nor is the client left waiting."""
    mint.fault("swap", Fault.RATE_LIMIT)
    with pytest.raises(DepositPendingError):
        strict.deposit(mint.fund(8))
    token, calls = mint.fund(16), mint.calls.total()

    with pytest.raises(MintCrowdedError) as crowded:
        strict.deposit(token)

    assert 0 < (crowded.value.retry_after_s or 0) <= 10
    assert strict.topics(stream_of(token)) == []
    assert mint.calls.total() == calls


def test_a_refund_does_not_begin_while_the_mint_is_to_be_left_alone(
    strict: House, mint: MoodyMint
) -> None:
    mint.fault("swap", Fault.RATE_LIMIT)
    with pytest.raises(DepositPendingError):
        strict.deposit(mint.fund(8))

    with pytest.raises(RefundPendingError):
        strict.refunds.refund(ALICE)

    assert strict.available_msat() == 100_000


def test_a_mint_that_never_answers_is_not_waited_for_by_everybody(
    strict: House, mint: MoodyMint
) -> None:
    mint.fault("swap", Fault.DROP_REQUEST, times=3)
    for _ in range(3):
        with pytest.raises(DepositPendingError):
            strict.deposit(mint.fund(8))
    token = mint.fund(16)

    with pytest.raises(MintDownError) as down:
        strict.deposit(token)

    assert type(down.value) is MintDownError
    assert 50 < (down.value.retry_after_s or 0) <= 60
    assert strict.topics(stream_of(token)) == []


def test_a_slow_mint_ties_up_neither_the_others_nor_the_store(
    build: Build, mint: MoodyMint, second_mint: MoodyMint
) -> None:
    """M46: those who cannot be served are told so, and all else goes on."""
    house = build(mint, second_mint)
    house.deposit(mint.fund(101))
    house.deposit(second_mint.fund(101), BOB)
    gate = house.gate(mint, replace(STRICT, wait_s=30.0))
    mint.fault("swap", Fault.DELAY, times=4, delay_s=2.0)
    threads = [
        threading.Thread(target=house.deposit, args=(token,))
        for token in [mint.fund(8) for _ in range(4)]
    ]
    for thread in threads:
        thread.start()
    while gate._inside < 4:
        time.sleep(0.01)

    with pytest.raises(MintCrowdedError):
        house.deposit(mint.fund(8))
    # While two are served slowly, and two wait, money elsewhere and in the books moves on.
    assert house.deposit(second_mint.fund(8), BOB).credited_msat == 7_000
    spend(house, ALICE, Msat(1_000), name(900))
    assert gate._inside > 0

    for thread in threads:
        thread.join()
    assert house.available_msat() == 99_000 + 4 * 7_000


def test_what_has_no_answer_is_asked_about_less_and_less_often(
    funded: House, mint: MoodyMint
) -> None:
    """M8: a mint that says code 0 for ever, and the other movement it stands beside."""
    office = Office(funded, Locksmith())
    mint.refuse("swap", UNDECIDED, times=ALWAYS)
    with pytest.raises(RefundPendingError):
        funded.refunds.refund(ALICE)
    mint.calls.clear()

    asked = []
    for _ in range(60):
        office.recovery.finish_movements(AT_ONCE)
        asked.append(mint.calls["swap"])
        office.now_s += 60.0

    assert asked[:TRIES_AT_ONCE] == [1, 2, 3]
    assert asked[-1] < 15
    mint.relent()
    office.now_s += 3600.0
    assert office.recovery.finish_movements(AT_ONCE) == 1


def test_one_that_is_stuck_does_not_hold_up_another_of_the_same_mint(
    funded: House, mint: MoodyMint
) -> None:
    mint.refuse("swap", UNDECIDED, times=2)
    with pytest.raises(RefundPendingError):
        funded.refunds.refund(ALICE)
    late = mint.fund(8)
    with pytest.raises(DepositPendingError):
        funded.deposit(late, BOB)
    mint.refuse("swap", UNDECIDED)

    assert Office(funded, Locksmith()).recovery.finish_movements(AT_ONCE) == 1

    assert funded.available_msat(BOB) == 7_000


def test_a_movement_without_an_end_for_long_is_said_to_be_stuck(
    funded: House, mint: MoodyMint, caplog: pytest.LogCaptureFixture
) -> None:
    """M42: operators are told which, where and for how long."""
    mint.refuse("swap", UNDECIDED, times=ALWAYS)
    with pytest.raises(RefundPendingError):
        funded.refunds.refund(ALICE)
    recovery = Recovery(
        funded.ledger,
        funded.store,
        Locksmith(),
        funded.deposits,
        funded.refunds,
        stuck_after=timedelta(0),
    )

    recovery.finish_movements(AT_ONCE)

    (line,) = (record for record in caplog.records if record.message == "stuck at mint")
    assert line.fields["mint"] == mint.url  # type: ignore[attr-defined]
    ((stream, row),) = funded.store.stuck(timedelta(0))
    assert (str(stream), row.kind) == (line.fields["movement"], "refund")  # type: ignore[attr-defined]
    assert funded.store.stuck(timedelta(hours=1)) == []
    mint.relent()


def test_tokens_that_wait_to_be_collected_are_not_stuck(funded: House) -> None:
    funded.refunds.refund(ALICE)

    assert funded.store.stuck(timedelta(0)) == []


def test_what_has_gone_on_is_asked_about_at_once() -> None:
    patience = Patience(lambda: 0.0)
    stream = name(1)
    for _ in range(TRIES_AT_ONCE):
        assert patience.is_due(stream, 1)
        patience.failed(stream, 1)

    assert not patience.is_due(stream, 1)
    assert patience.is_due(stream, 2)
    patience.failed(stream, 2)
    assert patience.is_due(stream, 2)


def test_what_has_ended_is_forgotten() -> None:
    patience = Patience(lambda: 0.0)
    for _ in range(TRIES_AT_ONCE):
        patience.failed(name(1), 1)

    patience.forget_all_but([name(2)])

    assert patience.is_due(name(1), 1)


def test_nobody_waits_longer_than_the_longest() -> None:
    now = [0.0]
    patience = Patience(lambda: now[0], first_s=10.0, longest_s=100.0)
    for _ in range(50):
        patience.failed(name(1), 1)

    assert not patience.is_due(name(1), 1)
    now[0] = 100.0
    assert patience.is_due(name(1), 1)
