"""Tokens locked to our key: credited without asking their mint, once, and swapped later."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from app.cashier.errors import DepositPendingError, TokenRefusedError
from app.cashier.instant import EXPIRES_S_MIN
from app.gateways.mint import crypto
from app.gateways.mint.tokens import Token
from domain.deposit import Credited
from domain.errors import TokenTakenError
from domain.guards import ExposureRow
from domain.instant import InstantCredited
from domain.posting import FEES_MINT, instant
from tests.cashier.house import (
    ALICE,
    BOB,
    House,
    MoodyMint,
    changed,
    stream_of,
    ys_of,
)
from tests.cashier.locked import LIMIT, SWAP, balances, exposure, fund, locked_with
from tests.doubles.mint import Fault
from tests.gateways.outputs import locked

if TYPE_CHECKING:
    from tests.cashier.conftest import Build


@pytest.fixture
def house(build: Build, mint: MoodyMint) -> House:
    house = build(mint)
    house.instant._limit = LIMIT
    # The mint is known: from now on no deposit needs to ask it.
    house.deposit(fund(house, mint, 8), BOB)
    house.batches.sweep()
    mint.calls.clear()
    return house


def test_a_locked_token_is_credited_without_asking_its_mint(
    house: House, mint: MoodyMint
) -> None:
    token = fund(house, mint, 100)
    mint.go_away()

    credited = house.deposit(token)

    assert isinstance(credited, InstantCredited)
    assert (credited.credited_msat, house.available_msat()) == (99_000, 99_000)
    assert not mint.calls
    assert house.topics(stream_of(token)) == ["instant.credited"]
    assert exposure(house, mint) == ExposureRow(99_000, 0)
    assert balances(house)[instant(mint.url)] == -99_000
    mint.come_back()


def test_a_token_lost_on_its_way_is_told_again_while_the_purse_is_short(
    house: House, mint: MoodyMint
) -> None:
    house.deposit(fund(house, mint, 100))
    lost = house.refunds.refund(ALICE)
    house.refunds.refund(BOB)
    house.deposit(fund(house, mint, 64))
    mint.fault(SWAP, Fault.SERVER_ERROR, times=20)

    again = house.refunds.refund(ALICE)

    assert again.token == lost.token
    assert house.available_msat() == 63_000


def test_it_is_swapped_later_together_with_others(house: House, mint: MoodyMint) -> None:
    tokens = [fund(house, mint, sat) for sat in (100, 7, 64)]
    for token in tokens:
        house.deposit(token)

    assert house.batches.sweep() == 1

    assert mint.calls[SWAP] == 1
    # Each alone costs a sat; 3 + 3 + 1 proofs together cost one.
    assert house.store.free(mint.url, "sat") == 7 + 171 - 1
    assert house.available_msat() == 99_000 + 6_000 + 63_000
    assert exposure(house, mint) == ExposureRow(0, 0)
    assert balances(house)[instant(mint.url)] == 0
    assert balances(house)[FEES_MINT] == 2_000
    assert all(ys_of(token) <= mint.spent for token in tokens)
    assert house.store.open_movements() == []
    assert house.batches.sweep() == 0


def test_the_same_token_again_is_the_same_credit(house: House, mint: MoodyMint) -> None:
    """M4."""
    token = fund(house, mint, 100)
    first = house.deposit(token)

    assert house.deposit(token) == first
    with pytest.raises(TokenTakenError):
        house.deposit(token, BOB)
    house.batches.sweep()
    assert house.deposit(token) == first
    assert house.available_msat() == 99_000


@pytest.mark.parametrize("swapped", [False, True])
def test_a_proof_shown_again_in_another_token_is_not_credited(
    house: House, mint: MoodyMint, *, swapped: bool
) -> None:
    """Nobody is asked, so that nobody but we can know it; and we go on knowing."""
    token = fund(house, mint, 100)
    house.deposit(token)
    part = changed(token, lambda read: replace(read, proofs=read.proofs[1:]))
    if swapped:
        house.batches.sweep()

    for account_id in (ALICE, BOB):
        with pytest.raises(TokenTakenError):
            house.deposit(part, account_id)

    assert house.available_msat() == 99_000
    assert house.available_msat(BOB) == 7_000


def test_above_the_limit_the_mint_is_asked_first(house: House, mint: MoodyMint) -> None:
    house.deposit(fund(house, mint, 900))
    second = fund(house, mint, 200)

    credited = house.deposit(second)

    assert isinstance(credited, Credited)
    assert mint.calls[SWAP] == 1
    assert house.available_msat() == 899_000 + 199_000
    house.batches.sweep()
    assert isinstance(house.deposit(fund(house, mint, 200)), InstantCredited)


def test_with_no_limit_every_locked_token_goes_the_ordinary_way(
    build: Build, mint: MoodyMint
) -> None:
    house = build(mint)
    token = fund(house, mint, 100)

    credited = house.deposit(token)

    assert isinstance(credited, Credited)
    assert credited.credited_msat == 99_000
    assert house.store.free(mint.url, "sat") == 99


def test_a_locked_token_that_went_the_ordinary_way_is_not_credited_at_once_as_well(
    build: Build, mint: MoodyMint
) -> None:
    house = build(mint)
    token = fund(house, mint, 100)
    house.deposit(token)
    house.instant._limit = LIMIT
    part = changed(token, lambda read: replace(read, proofs=read.proofs[1:]))

    with pytest.raises(TokenTakenError):
        house.deposit(part)

    assert house.available_msat() == 99_000


def test_while_it_is_on_its_ordinary_way_it_is_not_credited_at_once(
    build: Build, mint: MoodyMint
) -> None:
    house = build(mint)
    token = fund(house, mint, 100)
    mint.fault(SWAP, Fault.SERVER_ERROR)
    with pytest.raises(DepositPendingError):
        house.deposit(token)
    house.instant._limit = LIMIT
    part = changed(token, lambda read: replace(read, proofs=read.proofs[1:]))

    with pytest.raises(TokenTakenError):
        house.deposit(part)


def test_a_refused_token_is_not_credited_at_once_afterwards(
    build: Build, mint: MoodyMint
) -> None:
    """Its mint has said that one of its proofs is spent; which of them, it does not say."""
    house = build(mint)
    token = fund(house, mint, 100)
    mint.refuse(SWAP, 11005)
    with pytest.raises(TokenRefusedError):
        house.deposit(token)
    house.instant._limit = LIMIT

    assert isinstance(house.deposit(token), Credited)


def secret(house: House, *tags: list[str]) -> str:
    return locked(house.opener.pubkey, *tags)


def test_only_what_nobody_else_can_ever_spend_is_credited_at_once(
    house: House, mint: MoodyMint
) -> None:
    friend = crypto.public_key(crypto.random_key())
    far = ["locktime", "99999999999"]
    for text in (
        secret(house, far),
        secret(house, far, ["refund", friend]),
        secret(house, ["refund", friend]),
    ):
        credited = house.deposit(locked_with(mint, 8, text))
        assert isinstance(credited, Credited)


@pytest.mark.parametrize(
    "tags",
    [
        [["sigflag", "SIG_ALL"]],
        [["locktime", "1"]],
        [["pubkeys", crypto.public_key(b"\x01" * 32)]],
    ],
)
def test_what_we_alone_cannot_open_is_refused(
    house: House, mint: MoodyMint, tags: list[list[str]]
) -> None:
    with pytest.raises(TokenRefusedError, match="locked"):
        house.deposit(locked_with(mint, 8, secret(house, *tags)))

    assert not mint.calls[SWAP]


def test_a_lock_to_somebody_else_is_refused(house: House, mint: MoodyMint) -> None:
    stranger = crypto.public_key(crypto.random_key())
    htlc = json.dumps(["HTLC", {"nonce": "1", "data": "00" * 32, "tags": []}])

    for token in (mint.fund(8, lock_to=stranger), locked_with(mint, 8, htlc)):
        with pytest.raises(TokenRefusedError, match="locked"):
            house.deposit(token)


def without_dleq(read: Token) -> Token:
    return replace(read, proofs=tuple(replace(proof, dleq=None) for proof in read.proofs))


def test_without_proof_of_the_mints_signature_the_mint_is_asked(
    house: House, mint: MoodyMint
) -> None:
    token = changed(fund(house, mint, 100), without_dleq)

    assert isinstance(house.deposit(token), Credited)


def forged(read: Token) -> Token:
    """The same lock, and a signature that its mint never made."""
    return replace(
        read,
        proofs=tuple(
            replace(proof, c=crypto.public_key(crypto.random_key())) for proof in read.proofs
        ),
    )


def test_a_forged_signature_buys_nothing(house: House, mint: MoodyMint) -> None:
    token = changed(fund(house, mint, 8), forged)

    with pytest.raises(TokenRefusedError, match="not signed"):
        house.deposit(token)

    assert house.available_msat() == 0


def doubled(read: Token) -> Token:
    return replace(
        read, proofs=tuple(replace(proof, amount=2 * proof.amount) for proof in read.proofs)
    )


def test_a_proof_that_says_more_than_was_signed_buys_nothing(
    house: House, mint: MoodyMint
) -> None:
    with pytest.raises(TokenRefusedError, match="not signed"):
        house.deposit(changed(fund(house, mint, 8), doubled))


def test_a_mint_whose_locks_are_none_is_asked_first(build: Build, mint: MoodyMint) -> None:
    """Where NUT-11 is not spoken, whoever made the token can still spend it."""
    house = build(mint)
    house.instant._limit = LIMIT
    mint.locks_proofs = False
    assert isinstance(house.deposit(fund(house, mint, 8)), Credited)
    mint.locks_proofs = True
    assert isinstance(house.deposit(fund(house, mint, 8)), InstantCredited)


def test_a_mint_that_was_never_heard_of_and_is_away_is_told_as_such(
    build: Build, mint: MoodyMint
) -> None:
    house = build(mint)
    house.instant._limit = LIMIT
    token = fund(house, mint, 8)
    mint.fault("info", Fault.SERVER_ERROR)

    assert isinstance(house.deposit(token), Credited)


def test_a_keyset_that_is_about_to_end_is_not_trusted(house: House, mint: MoodyMint) -> None:
    keyset = house.mints.get(mint.url).keysets.active("sat")
    ends = replace(keyset, final_expiry=int(house.instant._now_s() + EXPIRES_S_MIN / 2))
    listing = house.mints.get(mint.url).keysets._listing
    assert listing is not None
    listing.checked[keyset.id] = ends

    assert isinstance(house.deposit(fund(house, mint, 8)), Credited)


def test_units_that_do_not_fit_are_refused(house: House, mint: MoodyMint) -> None:
    relabelled = changed(
        fund(house, mint, 8, "msat"), lambda read: Token(read.mint, "sat", read.proofs)
    )
    unknown = changed(fund(house, mint, 8), lambda read: Token(read.mint, "usd", read.proofs))

    for token in (relabelled, unknown):
        with pytest.raises(TokenRefusedError):
            house.deposit(token)


def test_a_token_worth_its_fee_is_not_credited(house: House, mint: MoodyMint) -> None:
    assert house.deposits.worth(house.deposits.read(fund(house, mint, 2))).msat == 1_000
    assert isinstance(house.deposit(fund(house, mint, 2)), InstantCredited)
