"""What is refused before any mint is asked to swap; nothing of it is recorded."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from app.cashier.errors import FeesExceedTokenError, MintDownError, TokenRefusedError
from app.gateways.mint import crypto
from app.gateways.mint.tokens import Dleq, Proof, Token, decode, encode
from domain.errors import KeysetTakenError
from tests.cashier.house import ALICE, House, MoodyMint, changed, v3

if TYPE_CHECKING:
    from tests.cashier.conftest import Build, OpenMint

KEY = crypto.public_key((1).to_bytes(32, "big"))
HTLC = json.dumps(["HTLC", {"nonce": "1", "data": "00" * 32, "tags": []}])
P2PK_MALFORMED = json.dumps(["P2PK", {"nonce": "1", "data": "no key"}])


def assert_untouched(house: House, *mints: MoodyMint) -> None:
    assert house.store.head() == 0
    assert house.available_msat() == 0
    assert all(mint.calls["swap"] == 0 for mint in mints)


def test_a_mint_that_is_not_trusted_is_never_called(
    house: House, mint: MoodyMint, second_mint: MoodyMint
) -> None:
    """M6: there is no swap between mints, so that none can be interrupted."""
    token = second_mint.fund(13)

    with pytest.raises(TokenRefusedError, match="not accepted here"):
        house.deposit(token)

    assert second_mint.calls.total() == mint.calls.total() == 0
    assert_untouched(house, mint)


def test_a_mint_with_another_mints_keys_gains_nothing(
    build: Build, open_mint: OpenMint
) -> None:
    honest, copy = open_mint("same key"), open_mint("same key")
    house = build(honest, copy)
    house.deposit(honest.fund(13))

    with pytest.raises(TokenRefusedError):
        house.deposit(copy.fund(1_000_000))

    assert copy.calls["swap"] == 0
    assert house.available_msat() == 12_000


def test_not_even_after_a_restart(build: Build, open_mint: OpenMint) -> None:
    """The books know whose keyset it is, when the new process does not yet."""
    honest, copy = open_mint("same key"), open_mint("same key")
    build(honest, copy).deposit(honest.fund(13))
    restarted = build(honest, copy, owner="worker-2")

    with pytest.raises(KeysetTakenError):
        restarted.deposit(copy.fund(1_000_000))

    assert copy.calls["swap"] == 0
    assert restarted.available_msat() == 12_000
    restarted.moody = ()


def test_a_copied_keyset_id_with_other_keys_is_refused(
    build: Build, open_mint: OpenMint
) -> None:
    honest, evil = open_mint("honest"), open_mint("evil")
    house = build(honest, evil)
    copied, clone = honest.active("sat").id, evil.active("sat")
    evil.keysets[copied] = clone
    clone.id = copied

    with pytest.raises(TokenRefusedError):
        house.deposit(evil.fund(1_000_000))

    assert_untouched(house, honest, evil)


@pytest.mark.parametrize(("unit", "label"), [("msat", "sat"), ("sat", "msat")])
def test_a_relabelled_unit_is_refused(
    house: House, mint: MoodyMint, unit: str, label: str
) -> None:
    token = changed(mint.fund(100_000, unit), lambda token: replace(token, unit=label))

    with pytest.raises(TokenRefusedError, match=f"says {label}"):
        house.deposit(token)

    assert_untouched(house, mint)


def test_a_unit_that_is_no_bitcoin_is_refused(build: Build, open_mint: OpenMint) -> None:
    mint = open_mint(units=("sat", "usd"))
    house = build(mint)

    with pytest.raises(TokenRefusedError, match="usd"):
        house.deposit(mint.fund(13, "usd"))

    assert_untouched(house, mint)


def test_a_token_locked_to_a_key_is_refused(house: House, mint: MoodyMint) -> None:
    with pytest.raises(TokenRefusedError, match="locked"):
        house.deposit(mint.fund(13, lock_to=KEY))

    assert_untouched(house, mint)


@pytest.mark.parametrize("secret", [HTLC, P2PK_MALFORMED, '["NEW",{}]', '["'])
def test_a_lock_of_any_other_kind_is_refused(
    house: House, mint: MoodyMint, secret: str
) -> None:
    def lock(token: Token) -> Token:
        return replace(token, proofs=(replace(token.proofs[0], secret=secret),))

    with pytest.raises(TokenRefusedError, match="locked"):
        house.deposit(changed(mint.fund(8), lock))

    assert_untouched(house, mint)


@pytest.mark.parametrize("scalar", ["11" * 32, "00" * 32, "ff" * 32])
@pytest.mark.parametrize("part", ["e", "s", "r"])
def test_a_wrong_proof_of_the_mints_signature_is_refused(
    house: House, mint: MoodyMint, part: str, scalar: str
) -> None:
    def forged(token: Token) -> Token:
        first, *others = token.proofs
        assert first.dleq is not None
        parts = {"e": first.dleq.e, "s": first.dleq.s, "r": first.dleq.r, part: scalar}
        return replace(token, proofs=(replace(first, dleq=Dleq(**parts)), *others))

    with pytest.raises(TokenRefusedError, match="not signed by its mint"):
        house.deposit(changed(mint.fund(13), forged))

    assert_untouched(house, mint)


def test_a_raised_amount_is_refused_when_it_can_be_told(house: House, mint: MoodyMint) -> None:
    def raised(token: Token) -> Token:
        return replace(token, proofs=(replace(token.proofs[0], amount=2**40),))

    with pytest.raises(TokenRefusedError):
        house.deposit(changed(mint.fund(1), raised))

    assert_untouched(house, mint)


def test_a_keyset_its_mint_does_not_have_is_refused(house: House, mint: MoodyMint) -> None:
    def misnamed(token: Token) -> Token:
        proofs = tuple(replace(proof, keyset_id="01" + "00" * 32) for proof in token.proofs)
        return replace(token, proofs=proofs)

    with pytest.raises(TokenRefusedError):
        house.deposit(changed(mint.fund(13), misnamed))

    assert_untouched(house, mint)


@pytest.mark.parametrize("amount", [0, -1, True, False, 2**63 + 1, 8.0, "8", None])
def test_an_amount_that_is_none_is_refused(
    house: House, mint: MoodyMint, amount: object
) -> None:
    proof = table_of(decode(mint.fund(8)).proofs[0])

    with pytest.raises(TokenRefusedError):
        house.deposits.read(v3(mint.url, [{**proof, "amount": amount}]))

    assert mint.calls.total() == 0


def test_amounts_that_are_huge_together_are_refused(house: House, mint: MoodyMint) -> None:
    proofs = [table_of(decode(mint.fund(8)).proofs[0]) for _ in range(3)]

    with pytest.raises(TokenRefusedError):
        house.deposits.read(v3(mint.url, [{**proof, "amount": 2**62} for proof in proofs]))


def test_the_same_proof_twice_is_refused(house: House, mint: MoodyMint) -> None:
    proof = decode(mint.fund(8)).proofs[0]

    for text in (
        encode(Token(mint.url, "sat", (proof, proof))),
        encode(Token(mint.url, "sat", (proof, replace(proof, amount=4)))),
        v3(mint.url, [table_of(proof), table_of(proof)]),
    ):
        with pytest.raises(TokenRefusedError, match="twice"):
            house.deposits.read(text)

    assert mint.calls.total() == 0


def test_what_is_no_token_is_refused_without_being_repeated(house: House) -> None:
    with pytest.raises(TokenRefusedError) as refusal:
        house.deposits.read("cashuBsecretsecret")

    assert "secretsecret" not in str(refusal.value)


@pytest.mark.parametrize(("amount", "fee_ppk"), [(1, 100), (3, 2_000), (7, 3_000)])
def test_a_token_the_fees_would_eat_is_refused(
    build: Build, open_mint: OpenMint, amount: int, fee_ppk: int
) -> None:
    mint = open_mint(fee_ppk=fee_ppk)
    house = build(mint)

    with pytest.raises(FeesExceedTokenError):
        house.deposit(mint.fund(amount))

    assert_untouched(house, mint)


def test_a_token_the_fees_leave_something_of_is_taken(
    build: Build, open_mint: OpenMint
) -> None:
    mint = open_mint(fee_ppk=2_000)

    credited = build(mint).deposit(mint.fund(7))

    assert (credited.fee_msat, credited.credited_msat) == (6_000, 1_000)


def test_a_mint_that_is_away_is_waited_for(house: House, mint: MoodyMint) -> None:
    token = mint.fund(13)
    mint.go_away()

    with pytest.raises(MintDownError):
        house.deposit(token)

    assert_untouched(house, mint)
    mint.come_back()
    assert house.deposit(token, ALICE).credited_msat == 12_000


def table_of(proof: Proof) -> dict[str, Any]:
    return {
        "id": proof.keyset_id,
        "amount": proof.amount,
        "secret": proof.secret,
        "C": proof.c,
    }
