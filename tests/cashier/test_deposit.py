from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import pytest

from app.cashier.errors import TokenSpentError
from app.gateways.mint.tokens import Proof, Token, decode
from domain.deposit import Credited, Refused
from domain.errors import TokenTakenError
from domain.identity import account_of_token
from tests.cashier.house import (
    ALICE,
    BOB,
    OTHER_SEED,
    House,
    MoodyMint,
    as_v3,
    at_once,
    changed,
    stream_of,
)

if TYPE_CHECKING:
    from domain.deposit import Signed
    from tests.cashier.conftest import Build, OpenMint


def with_short_ids(token: Token) -> Token:
    def short(proof: Proof) -> Proof:
        return replace(proof, keyset_id=proof.keyset_id[:16])

    return replace(token, proofs=tuple(map(short, token.proofs)))


def test_a_token_is_credited_less_the_fee_of_its_mint(house: House, mint: MoodyMint) -> None:
    credited = house.deposit(mint.fund(13))

    amounts = (credited.face_msat, credited.fee_msat, credited.credited_msat)
    assert amounts == (13_000, 1_000, 12_000)
    assert house.available_msat() == 12_000
    assert house.store.free(mint.url, "sat") == 12
    assert [proof.amount for proof in credited.proofs] == [4, 8]


def test_a_mint_without_fees_takes_none(build: Build, open_mint: OpenMint) -> None:
    free_mint = open_mint(fee_ppk=0)

    credited = build(free_mint).deposit(free_mint.fund(13))

    assert (credited.fee_msat, credited.credited_msat) == (0, 13_000)


def test_the_fee_of_many_proofs_is_rounded_up_once(house: House, mint: MoodyMint) -> None:
    credited = house.deposit(mint.fund(2**11 - 1))

    assert len(decode(mint.fund(2**11 - 1)).proofs) == 11
    assert (credited.fee_msat, credited.credited_msat) == (2_000, 2_045_000)


def test_v3_and_v4_of_the_same_proofs_are_one_deposit(house: House, mint: MoodyMint) -> None:
    """M4: whoever presents a token again is told of the first result."""
    token = mint.fund(13)
    first = house.deposit(token)

    again = [house.deposit(token), house.deposit(as_v3(token))]

    assert again == [first, first]
    assert house.available_msat() == 12_000
    assert len(mint.swaps) == 1


def test_v3_is_taken_first_as_well(house: House, mint: MoodyMint) -> None:
    """M9."""
    token = mint.fund(13)

    credited = house.deposit(as_v3(token))

    assert credited.credited_msat == 12_000
    assert house.deposit(token) == credited


def test_short_keyset_ids_are_as_good_as_long_ones(house: House, mint: MoodyMint) -> None:
    """M9."""
    token = mint.fund(13)

    credited = house.deposit(changed(token, with_short_ids))

    assert credited.credited_msat == 12_000
    assert house.deposit(token) == credited


def test_keysets_of_version_1_are_taken(build: Build, open_mint: OpenMint) -> None:
    """M9."""
    old_mint = open_mint(keyset_version=1)

    credited = build(old_mint).deposit(old_mint.fund(13))

    assert credited.credited_msat == 12_000
    assert credited.proofs[0].keyset_id.startswith("00")


def test_msat_tokens_are_credited_to_the_msat(house: House, mint: MoodyMint) -> None:
    credited = house.deposit(mint.fund(1_025, "msat"))

    assert (credited.unit, credited.fee_msat, credited.credited_msat) == ("msat", 1, 1_024)
    assert house.available_msat() == 1_024
    assert house.store.free(mint.url, "msat") == 1_024


def test_tokens_of_several_mints_and_units_add_up(
    build: Build, mint: MoodyMint, second_mint: MoodyMint
) -> None:
    house = build(mint, second_mint)

    for token in (mint.fund(13), second_mint.fund(101), mint.fund(1_025, "msat")):
        house.deposit(token)

    assert house.available_msat() == 12_000 + 100_000 + 1_024
    assert house.store.free(mint.url, "sat") == 12
    assert house.store.free(second_mint.url, "sat") == 100
    assert house.store.free(mint.url, "msat") == 1_024


def test_a_token_of_old_and_new_keysets_is_one_deposit(house: House, mint: MoodyMint) -> None:
    old = decode(mint.fund(5))
    mint.rotate("sat", fee_ppk=900)
    new = decode(mint.fund(10))

    credited = house.deposits.deposit(replace(old, proofs=old.proofs + new.proofs), ALICE)

    assert (credited.face_msat, credited.fee_msat) == (15_000, 2_000)


def test_a_second_deposit_uses_other_counters(house: House, mint: MoodyMint) -> None:
    first, second = house.deposit(mint.fund(13)), house.deposit(mint.fund(13))

    assert [proof.counter for proof in first.proofs] == [0, 1]
    assert [proof.counter for proof in second.proofs] == [2, 3]


def test_a_token_of_another_account_is_taken(house: House, mint: MoodyMint) -> None:
    token = mint.fund(13)
    house.deposit(token, ALICE)
    mint.calls.clear()

    with pytest.raises(TokenTakenError):
        house.deposit(token, BOB)

    assert (house.available_msat(ALICE), house.available_msat(BOB)) == (12_000, 0)
    assert mint.calls.total() == 0


def test_a_token_opens_the_same_account_in_every_version(house: House, mint: MoodyMint) -> None:
    token = mint.fund(13)

    accounts = {
        house.deposits.account_of(house.deposits.read(text))
        for text in (token, as_v3(token), "cashu:" + token)
    }

    assert len(accounts) == 1
    assert accounts != {account_of_token("")}


def test_a_spent_token_is_refused_for_ever(build: Build, house: House, mint: MoodyMint) -> None:
    """M8: the mint is asked about a dead token once, whoever asks us how often."""
    token = mint.fund(13)
    build(mint, seed=OTHER_SEED, anew=True).deposit(token)
    with pytest.raises(TokenSpentError):
        house.deposit(token)
    mint.calls.clear()

    for process in (house, build(mint, owner="worker-2")):
        for account_id in (ALICE, BOB):
            with pytest.raises(TokenSpentError):
                process.deposit(as_v3(token), account_id)

    assert mint.calls.total() == 0
    assert house.topics(stream_of(token)) == ["deposit.received", "deposit.refused"]
    refused = house.events(stream_of(token))[-1]
    assert isinstance(refused, Refused)
    assert (refused.code, refused.final) == (11001, True)


def test_a_known_token_is_answered_while_its_mint_is_away(
    build: Build, house: House, mint: MoodyMint
) -> None:
    """M4."""
    token = mint.fund(13)
    first = house.deposit(token)
    mint.go_away()

    assert house.deposit(token) == first
    assert build(mint, owner="worker-2").deposit(token) == first


def test_fifty_presentations_at_once_are_one_deposit(
    build_anywhere: Build, mint: MoodyMint
) -> None:
    """M1, M4: one swap, one credit, fifty equal answers."""
    house, token = build_anywhere(mint), mint.fund(13)

    answers = at_once([partial(house.deposit, token)] * 50)

    assert len(answers) == 50
    assert all(answer == answers[0] for answer in answers)
    assert house.available_msat() == 12_000
    assert len(mint.swaps) == 1


def test_presentations_to_several_processes_are_one_deposit(
    build_anywhere: Build, mint: MoodyMint
) -> None:
    """M1, M4."""
    houses = [build_anywhere(mint, owner=f"worker-{number}") for number in range(3)]
    token = mint.fund(13)

    answers = at_once([partial(house.deposit, token) for house in houses * 8])

    assert all(answer == answers[0] for answer in answers)
    assert [type(event) for event in houses[0].log()].count(Credited) == 1
    assert houses[0].available_msat() == 12_000


def test_a_rotation_seen_by_several_processes_is_one_deposit(
    build: Build, mint: MoodyMint
) -> None:
    houses = [build(mint, owner=f"worker-{number}") for number in range(3)]
    for house in houses:
        house.deposit(mint.fund(2))
    token = mint.fund(13)
    mint.rotate("sat")

    answers = at_once([partial(house.deposit, token) for house in houses * 3])

    assert all(answer == answers[0] for answer in answers)
    assert houses[0].available_msat() == 3 * 1_000 + 12_000


def test_deposits_at_once_into_one_account_sum_exactly(
    build_anywhere: Build, mint: MoodyMint
) -> None:
    """M2."""
    house = build_anywhere(mint)
    tokens = [mint.fund(13) for _ in range(12)]

    at_once([partial(house.deposit, token) for token in tokens])

    assert house.available_msat() == 12 * 12_000
    assert len({proof.key for proof in credits_of(house)}) == 24


def credits_of(house: House) -> list[Signed]:
    return [
        proof for event in house.log() if isinstance(event, Credited) for proof in event.proofs
    ]


def test_the_books_hold_no_secret_of_a_token(house: House, mint: MoodyMint) -> None:
    token = mint.fund(13)
    house.deposit(token)

    with house.store.snapshot() as query:
        states = b"".join(row[0] for row in query("SELECT state FROM stored_events"))

    assert states
    for proof in decode(token).proofs:
        assert proof.secret.encode() not in states
        assert bytes.fromhex(proof.secret) not in states
