"""What a mint will never take is refused at once, and the rest of a token is none the worse."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from app.cashier.dead import known_dead, marks_of
from app.cashier.errors import TokenRefusedError, TokenSpentError
from app.gateways.mint.tokens import Proof, Token, decode
from domain.deposit import Refused
from projections.dead import find_dead
from projections.follow import catch_up
from projections.sheets import SHEETS
from tests.cashier.house import OTHER_SEED, changed, stream_of

if TYPE_CHECKING:
    from tests.cashier.conftest import Build
    from tests.cashier.house import House, MoodyMint

UNBALANCED = 11005


def follow(house: House) -> None:
    for sheet in SHEETS:
        catch_up(house.store, sheet.name, lambda _done, _all: None)


def mixed(first: str, second: str) -> str:
    """Return a token of the proofs of two."""
    more = decode(second).proofs
    return changed(first, lambda token: replace(token, proofs=(*token.proofs, *more)))


def forged(token: str) -> str:
    """Return a token with the same secrets, and signatures that do not hold."""

    def forge(whole: Token) -> Token:
        other = whole.proofs[-1].c
        first = whole.proofs[0]
        false = Proof(first.keyset_id, first.amount, first.secret, other)
        return replace(whole, proofs=(false, *whole.proofs[1:]))

    return changed(token, forge)


@pytest.fixture
def spent(build: Build, house: House, mint: MoodyMint) -> str:
    """A token that was spent elsewhere, and presented to the house once."""
    token = mint.fund(13)
    build(mint, anew=True, seed=OTHER_SEED).deposit(token)
    with pytest.raises(TokenSpentError):
        house.deposit(token)
    follow(house)
    return token


def test_a_spent_proof_is_refused_in_whatever_company(
    build: Build, house: House, mint: MoodyMint, spent: str
) -> None:
    """M8: also by another process, and after a restart; the mint is not asked."""
    fresh = mint.fund(16)
    token, calls = mixed(fresh, spent), mint.calls.total()

    for each in (house, build(mint, owner="worker-2")):
        with pytest.raises(TokenSpentError):
            each.deposit(token)

    assert mint.calls.total() == calls
    assert house.topics(stream_of(token)) == []
    assert house.deposit(fresh).credited_msat == 15_000


def test_only_the_proofs_that_are_spent_are_dead(
    build: Build, house: House, mint: MoodyMint
) -> None:
    """The others of the same token are still their owner's."""
    gone, good = mint.fund(4), mint.fund(16)
    build(mint, anew=True, seed=OTHER_SEED).deposit(gone)
    with pytest.raises(TokenSpentError):
        house.deposit(mixed(good, gone))
    follow(house)

    assert house.deposit(good).credited_msat == 15_000


def test_a_forged_signature_condemns_that_token_and_not_its_secrets(
    house: House, mint: MoodyMint
) -> None:
    """M8: presented again it is refused at once; the true token is still good."""
    token = mint.fund(13)
    false = forged(token)
    with pytest.raises(TokenRefusedError):
        house.deposit(false)
    follow(house)
    calls = mint.calls["swap"]

    for _ in range(3):
        with pytest.raises(TokenRefusedError):
            house.deposit(false)

    assert mint.calls["swap"] == calls
    assert len(house.events(stream_of(token))) == 2
    assert house.deposit(token).credited_msat == 12_000


def test_what_could_be_otherwise_tomorrow_is_not_remembered(
    house: House, mint: MoodyMint
) -> None:
    token = mint.fund(13)
    mint.refuse("swap", UNBALANCED)
    with pytest.raises(TokenRefusedError):
        house.deposit(token)
    follow(house)

    refused = house.events(stream_of(token))[-1]
    assert isinstance(refused, Refused)
    assert refused.dead == ()
    assert house.deposit(token).credited_msat == 12_000


def test_a_mints_word_is_not_taken_for_ever(house: House, spent: str) -> None:
    read = decode(spent)
    marks = marks_of(read.mint, read.proofs)

    assert known_dead(house.store)(marks) == 11001
    assert find_dead(house.store, marks, datetime.now(UTC) + timedelta(days=31)) is None


def test_marks_are_of_one_mint_and_tell_nothing_of_a_proof(mint: MoodyMint) -> None:
    """M48: what is kept of a token spends nothing, and another mint's word does not count."""
    read = decode(mint.fund(13))
    here, there = marks_of(read.mint, read.proofs), marks_of("https://b.example", read.proofs)

    assert not set(here) & set(there)
    assert not any(proof.secret in mark for mark in here for proof in read.proofs)
    assert len(here) == len(read.proofs) + 1
