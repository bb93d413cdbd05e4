"""What a foreign token costs is known, and limited, before anything of it is spent."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from app.cashier.errors import (
    FeesExceedTokenError,
    ForeignMintDownError,
    MintDownError,
    TokenRefusedError,
    TooManyInvoicesError,
)
from app.cashier.foreign import BEGUN_MAX
from app.cashier.foreign_quote import ForeignLimits
from app.gateways.mint.tokens import Token
from domain.msat import Msat
from tests.cashier.abroad import FACE_SAT, MELT_QUOTE, credited
from tests.cashier.house import House, MoodyMint, changed
from tests.doubles.mint import Fault

if TYPE_CHECKING:
    from tests.cashier.conftest import Build, OpenMint


@pytest.fixture
def house(build: Build, ours: MoodyMint, theirs: MoodyMint) -> House:
    return build(ours, foreign=[theirs.url])


def test_a_mint_that_was_not_named_is_not_asked(build: Build, ours: MoodyMint) -> None:
    house = build(ours)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.1)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        token = changed(ours.fund(8), lambda read: Token(url, read.unit, read.proofs))

        with pytest.raises(TokenRefusedError):
            house.deposit(token)

        with pytest.raises(TimeoutError):
            listener.accept()


@pytest.mark.parametrize(
    "form", ["http://127.0.0.1:{}", "https://localhost:{}", "http://[::1]:{}"]
)
def test_where_any_mint_is_taken_private_addresses_are_not(
    build: Build, ours: MoodyMint, form: str
) -> None:
    """M14: a token's mint decides what we connect to."""
    house = build(ours, foreign=None)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.1)
        url = form.format(listener.getsockname()[1])
        token = changed(ours.fund(FACE_SAT), lambda read: Token(url, read.unit, read.proofs))

        with pytest.raises(TokenRefusedError):
            house.deposit(token)

        with pytest.raises(TimeoutError):
            listener.accept()
    assert ours.mint_quotes == {}


def test_fees_above_the_limit_are_told_before_anything_is_spent(
    build: Build, ours: MoodyMint, theirs: MoodyMint
) -> None:
    limits = ForeignLimits(fee_max_percent=1, amount_max=Msat(10_000_000), attempts_max=3)
    house = build(ours, foreign=[theirs.url])
    house.foreign._quotes.limits = limits
    token = theirs.fund(FACE_SAT)

    with pytest.raises(FeesExceedTokenError):
        house.deposit(token)

    assert house.log() == []
    assert not theirs.spent


@pytest.mark.parametrize("amount", [1, 2])
def test_a_token_worth_less_than_its_fees_is_not_spent(
    house: House, theirs: MoodyMint, amount: int
) -> None:
    with pytest.raises(FeesExceedTokenError):
        house.deposit(theirs.fund(amount))

    assert house.log() == []


def test_a_reserve_larger_than_guessed_lowers_what_is_asked_for(
    house: House, theirs: MoodyMint
) -> None:
    theirs.reserve_percent = 5

    end = credited(house, theirs.fund(FACE_SAT))

    assert end.credited_msat == 189_000
    assert end.credited_msat + end.change_msat + end.fee_msat == 200_000


def test_a_token_above_the_largest_is_not_asked_about(
    build: Build, ours: MoodyMint, theirs: MoodyMint
) -> None:
    limits = ForeignLimits(fee_max_percent=10, amount_max=Msat(100_000), attempts_max=3)
    house = build(ours, foreign=[theirs.url])
    house.foreign._quotes.limits = limits
    token = theirs.fund(101)
    theirs.calls.clear()

    with pytest.raises(TokenRefusedError, match="100 sat"):
        house.deposit(token)

    assert not theirs.calls


def test_units_that_are_not_kept_here_are_refused(
    build: Build, open_mint: OpenMint, ours: MoodyMint
) -> None:
    dollars = open_mint("dollars", units=("usd",))
    house = build(ours, foreign=[dollars.url])

    with pytest.raises(TokenRefusedError, match="usd"):
        house.deposit(dollars.fund(8, "usd"))


def test_a_locked_token_and_one_of_another_unit_are_refused(
    house: House, theirs: MoodyMint
) -> None:
    locked = theirs.fund(FACE_SAT, lock_to="02" + "11" * 32)
    relabelled = changed(
        theirs.fund(FACE_SAT, "msat"), lambda read: Token(read.mint, "sat", read.proofs)
    )

    for token in (locked, relabelled):
        with pytest.raises(TokenRefusedError):
            house.deposit(token)
    assert not theirs.calls[MELT_QUOTE]


@pytest.mark.parametrize("fault", [Fault.SERVER_ERROR, Fault.DROP_REQUEST, Fault.GARBAGE])
def test_a_foreign_mint_that_cannot_be_asked_leaves_the_token_alone(
    house: House, theirs: MoodyMint, fault: Fault
) -> None:
    token = theirs.fund(FACE_SAT)
    theirs.fault(MELT_QUOTE, fault)

    with pytest.raises(ForeignMintDownError):
        house.deposit(token)

    assert house.log() == []
    assert credited(house, token).credited_msat == 196_000


def test_our_own_mint_must_make_an_invoice_for_us_alone(
    house: House, ours: MoodyMint, theirs: MoodyMint
) -> None:
    token = theirs.fund(FACE_SAT)
    ours.locks_quotes = False
    with pytest.raises(MintDownError):
        house.deposit(token)
    ours.locks_quotes = True
    ours.go_away()
    with pytest.raises(MintDownError):
        house.deposit(token)
    ours.come_back()

    assert credited(house, token).credited_msat == 196_000


def test_an_invoice_of_our_mint_over_another_amount_is_not_paid(
    house: House, ours: MoodyMint, theirs: MoodyMint, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = ours._mint_quote
    monkeypatch.setattr(ours, "_mint_quote", lambda body: given(body) | {"amount": 1})

    with pytest.raises(MintDownError):
        house.deposit(theirs.fund(FACE_SAT))

    assert not theirs.spent


def test_an_invoice_that_does_not_say_when_it_expires_is_waited_for(
    house: House, ours: MoodyMint, theirs: MoodyMint
) -> None:
    ours.expiry = None

    assert credited(house, theirs.fund(FACE_SAT)).credited_msat == 196_000


def test_strangers_cannot_make_our_mint_write_invoices_without_end(
    house: House, theirs: MoodyMint
) -> None:
    tokens = [theirs.fund(1) for _ in range(BEGUN_MAX + 1)]
    for token in tokens[:-1]:
        with pytest.raises(FeesExceedTokenError):
            house.deposit(token)

    with pytest.raises(TooManyInvoicesError):
        house.deposit(tokens[-1])
    house.passed_s = 61.0
    with pytest.raises(FeesExceedTokenError):
        house.deposit(tokens[-1])
