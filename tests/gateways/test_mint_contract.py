"""What the house needs of a mint: a real nutshell gives it, and so does our double."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from app.gateways.errors import GatewayError, MintRefusedError
from app.gateways.mint import crypto
from app.gateways.mint.keysets import Keyset, KeysetBook, split
from app.gateways.mint.tokens import Proof, decode
from app.gateways.mint.wire import ProofState, QuoteState
from tests.gateways.invoices import invoice
from tests.gateways.outputs import Prepared, prepare

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from app.gateways.mint.client import MintClient
    from app.gateways.mint.wire import MeltQuote
    from tests.gateways.conftest import AnyMint

DOUBLE = pytest.param("fake_mint", id="double")
REAL = pytest.param("real_mint", id="nutshell", marks=pytest.mark.integration)


class Counter:
    """One side of a mint's counter: what a test has in hand when it deals with the mint."""

    def __init__(self, mint: AnyMint, client: MintClient) -> None:
        self.mint = mint
        self.client = client
        self.book = KeysetBook(client)

    def coins(self, amount: int, unit: str = "sat", lock_to: str | None = None) -> list[Proof]:
        return list(decode(self.mint.fund(amount, unit, lock_to=lock_to)).proofs)

    def outputs_for(self, proofs: Sequence[Proof], unit: str = "sat") -> Prepared:
        amount = sum(proof.amount for proof in proofs) - self.book.fee_for(proofs)
        return prepare(self.keyset(unit).id, split(amount))

    def keyset(self, unit: str = "sat") -> Keyset:
        return self.book.active(unit)

    def melt(self, amount: int, blank_outputs: int) -> tuple[MeltQuote, MeltQuote, Prepared]:
        """Let the mint pay an invoice; return the quote, the answer and the blank outputs."""
        quoted = self.client.melt_quote(invoice(amount), "sat")
        blanks = prepare(self.keyset().id, [1] * blank_outputs)
        inputs = self.coins(4 * amount)
        return quoted, self.client.melt(quoted.quote, inputs, blanks.outputs), blanks


def ys(proofs: Sequence[Proof]) -> list[str]:
    return [crypto.hash_to_curve(proof.secret) for proof in proofs]


@pytest.fixture(params=[DOUBLE, REAL])
def counter(request: pytest.FixtureRequest, connect: Callable[[str], MintClient]) -> Counter:
    mint: AnyMint = request.getfixturevalue(request.param)
    return Counter(mint, connect(mint.url))


def test_the_mint_says_that_it_speaks_what_recovery_needs(counter: Counter) -> None:
    info = counter.client.info()

    assert all(info.supports(nut) for nut in (7, 9, 11, 12, 20))
    assert info.name
    assert info.version


@pytest.mark.parametrize("unit", ["sat", "msat"])
def test_keyset_ids_are_those_of_the_keys(counter: Counter, unit: str) -> None:
    keyset = counter.keyset(unit)

    assert keyset.active
    assert keyset.unit == unit
    assert keyset.fee_ppk == 100
    assert counter.book.find(keyset.id[:16]) == keyset


@pytest.mark.parametrize("unit", ["sat", "msat"])
def test_a_swap_signs_what_was_asked_and_proves_it(counter: Counter, unit: str) -> None:
    inputs = counter.coins(100, unit)
    prepared = counter.outputs_for(inputs, unit)

    signatures = counter.client.swap(inputs, prepared.outputs)

    proofs, keyset = (
        prepared.proofs(signatures, counter.keyset(unit).keys),
        counter.keyset(unit),
    )
    assert sum(proof.amount for proof in proofs) == 99
    for output, signature, proof in zip(prepared.outputs, signatures, proofs, strict=True):
        key, dleq = keyset.key(proof.amount), signature.dleq
        assert dleq is not None
        assert crypto.dleq_holds_for_signature(key, output.b, signature.c, dleq.e, dleq.s)
        assert proof.dleq is not None
        assert crypto.dleq_holds_for_proof(key, proof.secret, proof.c, proof.dleq)


def test_what_was_swapped_is_spent_and_what_came_of_it_is_not(counter: Counter) -> None:
    inputs = counter.coins(10)
    prepared = counter.outputs_for(inputs)

    signatures = counter.client.swap(inputs, prepared.outputs)

    proofs = prepared.proofs(signatures, counter.keyset().keys)
    assert set(counter.client.states(ys(inputs)).values()) == {ProofState.SPENT}
    assert set(counter.client.states(ys(proofs)).values()) == {ProofState.UNSPENT}


def test_what_came_of_a_swap_can_be_swapped_again(counter: Counter) -> None:
    inputs = counter.coins(64)
    first = counter.outputs_for(inputs)
    proofs = first.proofs(counter.client.swap(inputs, first.outputs), counter.keyset().keys)

    second = counter.outputs_for(proofs)
    signatures = counter.client.swap(proofs, second.outputs)

    assert sum(signature.amount for signature in signatures) == 62


def test_spent_proofs_are_refused(counter: Counter) -> None:
    inputs = counter.coins(8)
    counter.client.swap(inputs, counter.outputs_for(inputs).outputs)

    with pytest.raises(MintRefusedError) as refusal:
        counter.client.swap(inputs, counter.outputs_for(inputs).outputs)

    assert refusal.value.code == 11001


def test_outputs_are_signed_once(counter: Counter) -> None:
    inputs, others = counter.coins(8), counter.coins(8)
    prepared = counter.outputs_for(inputs)
    counter.client.swap(inputs, prepared.outputs)

    with pytest.raises(MintRefusedError) as refusal:
        counter.client.swap(others, prepared.outputs)

    assert refusal.value.code == 11003
    assert set(counter.client.states(ys(others)).values()) == {ProofState.UNSPENT}


def test_a_swap_that_forgets_the_fee_is_refused(counter: Counter) -> None:
    inputs = counter.coins(8)

    with pytest.raises(MintRefusedError):
        counter.client.swap(inputs, prepare(counter.keyset().id, [8]).outputs)

    assert set(counter.client.states(ys(inputs)).values()) == {ProofState.UNSPENT}


def test_a_proof_of_a_wrong_signature_is_refused(counter: Counter) -> None:
    (proof,) = counter.coins(8)
    forged = Proof(proof.keyset_id, 8, proof.secret, crypto.public_key(crypto.random_key()))

    with pytest.raises(MintRefusedError) as refusal:
        counter.client.swap([forged], counter.outputs_for([forged]).outputs)

    assert refusal.value.code == 10001


def test_signatures_can_be_had_again(counter: Counter) -> None:
    inputs = counter.coins(100)
    prepared = counter.outputs_for(inputs)
    never_sent = prepare(counter.keyset().id, [1, 2])
    signatures = counter.client.swap(inputs, prepared.outputs)

    pairs = counter.client.restore([*never_sent.outputs, *prepared.outputs])

    assert sorted(pairs, key=lambda pair: pair[1].amount) == list(
        zip(prepared.outputs, signatures, strict=True)
    )


def test_what_the_mint_never_saw_is_unspent_too(counter: Counter) -> None:
    y = crypto.hash_to_curve("nobody made this")

    assert counter.client.states([y]) == {y: ProofState.UNSPENT}


def test_a_locked_proof_needs_its_signature(counter: Counter) -> None:
    key = crypto.random_key()
    (proof,) = counter.coins(8, lock_to=crypto.public_key(key))
    prepared = counter.outputs_for([proof])

    # Nutshell says this with code 0, which may mean anything: it is no refusal to us.
    with pytest.raises(GatewayError):
        counter.client.swap([proof], prepared.outputs)
    witness = f'{{"signatures":["{crypto.sign(key, proof.secret)}"]}}'
    opened = Proof(proof.keyset_id, 8, proof.secret, proof.c, witness=witness)
    signatures = counter.client.swap([opened], prepared.outputs)

    assert sum(signature.amount for signature in signatures) == 7


def test_a_locked_quote_is_minted_only_with_its_key(counter: Counter) -> None:
    key, thief = crypto.random_key(), crypto.random_key()
    quote = counter.client.mint_quote(4, "sat", crypto.public_key(key)).quote
    prepared = prepare(counter.keyset().id, [4])
    message = crypto.mint_message(quote, [prepared.outputs[0].b])
    assert counter.client.mint_quote_state(quote).state is QuoteState.PAID

    with pytest.raises(MintRefusedError):
        counter.client.mint(quote, prepared.outputs, crypto.sign(thief, message))
    signatures = counter.client.mint(quote, prepared.outputs, crypto.sign(key, message))

    assert [signature.amount for signature in signatures] == [4]
    assert counter.client.mint_quote_state(quote).state is QuoteState.ISSUED


def test_an_issued_quote_is_refused(counter: Counter) -> None:
    quote = counter.client.mint_quote(4, "sat").quote
    counter.client.mint_quote_state(quote)
    counter.client.mint(quote, prepare(counter.keyset().id, [4]).outputs)

    with pytest.raises(MintRefusedError):
        counter.client.mint(quote, prepare(counter.keyset().id, [4]).outputs)


def test_a_melt_pays_and_gives_the_rest_back(counter: Counter) -> None:
    quoted, paid, blanks = counter.melt(50, blank_outputs=8)

    change = blanks.proofs(paid.change, counter.keyset().keys)
    assert paid.state is QuoteState.PAID
    assert quoted.amount == 50
    assert quoted.fee_reserve is not None
    assert 200 - 50 - quoted.fee_reserve <= sum(proof.amount for proof in change) < 150
    assert set(counter.client.states(ys(change)).values()) == {ProofState.UNSPENT}


def test_how_a_melt_went_can_be_asked_again(counter: Counter) -> None:
    quoted, paid, blanks = counter.melt(20, blank_outputs=8)

    told = counter.client.melt_quote_state(quoted.quote)
    restored = counter.client.restore(blanks.outputs)

    assert told.state is QuoteState.PAID
    assert tuple(signature for _, signature in restored) == paid.change
