"""A swap is done or not done; the wallet says which, or that nobody knows yet."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from app.gateways.errors import MintRefusedError, MintUnknownError, UnreachableError
from app.gateways.mint import crypto
from app.gateways.mint.crypto import Seed
from app.gateways.mint.errors import KeysetError
from app.gateways.mint.keysets import KeysetBook
from app.gateways.mint.mints import Mints, UntrustedMintError
from app.gateways.mint.tokens import Token, decode, encode
from app.gateways.mint.wallet import Wallet
from app.gateways.mint.wire import ProofState
from domain.deposit import Plan
from tests.doubles.mint import FakeMint, Fault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from app.gateways.mint.client import MintClient
    from app.gateways.mint.tokens import Proof

    Connect = Callable[..., MintClient]

SEED = Seed.from_mnemonic("abandon " * 11 + "about")
ALREADY_SPENT, OUTPUTS_SIGNED = 11001, 11003


@pytest.fixture
def mint() -> Iterator[FakeMint]:
    with FakeMint(fee_ppk=0) as mint:
        yield mint


@pytest.fixture
def wallet(mint: FakeMint, connect: Connect) -> Wallet:
    client = connect(mint.url)
    return Wallet(client, KeysetBook(client), SEED)


def plan(mint: FakeMint, *amounts: int, counter_from: int = 0) -> Plan:
    keyset_id = mint.active("sat").id
    return Plan(keyset_id=keyset_id, counter_from=counter_from, amounts=amounts)


def proofs(mint: FakeMint, amount: int = 13) -> list[Proof]:
    return list(decode(mint.fund(amount)).proofs)


def sign(mint: FakeMint, counter: int, amount: int) -> None:
    """Let the mint sign the output of a counter, as if for another transaction."""
    keyset_id = mint.active("sat").id
    derived = SEED.derive(keyset_id, counter)
    mint.sign(crypto.blind(derived.secret, derived.blinding), amount, keyset_id)


def spend(mint: FakeMint, inputs: list[Proof]) -> None:
    mint.spent |= {crypto.hash_to_curve(proof.secret) for proof in inputs}


def test_signatures_come_in_the_order_of_the_plan(wallet: Wallet, mint: FakeMint) -> None:
    """Though the mint is asked by amount, so that it cannot tell change from the rest."""
    signed = wallet.swap(proofs(mint), plan(mint, 8, 1, 4, counter_from=7))

    assert [(each.counter, each.amount) for each in signed] == [(7, 8), (8, 1), (9, 4)]
    asked = [output["amount"] for output in mint.bodies[-1]["outputs"]]
    assert asked == [1, 4, 8]


def test_the_same_swap_again_yields_the_same(wallet: Wallet, mint: FakeMint) -> None:
    inputs, wanted = proofs(mint), plan(mint, 8, 1, 4)

    first, again = wallet.swap(inputs, wanted), wallet.swap(inputs, wanted)

    assert first == again == wallet.restored(wanted)
    assert mint.calls["swap"] == 2


@pytest.mark.parametrize("fault", [Fault.DROP_RESPONSE, Fault.GARBAGE, Fault.OTHER_AMOUNT])
def test_a_swap_whose_answer_was_lost_is_found_by_asking_again(
    wallet: Wallet, mint: FakeMint, fault: Fault
) -> None:
    inputs, wanted = proofs(mint), plan(mint, 1, 4, 8)
    mint.fault("swap", fault)
    with pytest.raises(MintUnknownError):
        wallet.swap(inputs, wanted)

    signed = wallet.swap(inputs, wanted)

    assert [each.amount for each in signed] == [1, 4, 8]


def test_what_comes_of_a_swap_can_be_spent_and_shows_who_signed_it(
    wallet: Wallet, mint: FakeMint
) -> None:
    signed = wallet.swap(proofs(mint), plan(mint, 1, 4, 8))

    made = [wallet.proof(each) for each in signed]

    keyset = wallet.keysets.active("sat")
    for proof in made:
        assert proof.dleq is not None
        assert crypto.dleq_holds_for_proof(
            keyset.key(proof.amount), proof.secret, proof.c, proof.dleq
        )
    assert decode(encode(Token(mint.url, "sat", tuple(made)))).amount == 13
    assert len(wallet.swap(made, plan(mint, 1, 4, 8, counter_from=3))) == 3


def test_a_signature_without_proof_makes_a_proof_without_one(
    wallet: Wallet, mint: FakeMint
) -> None:
    (signed,) = wallet.swap(proofs(mint, 8), plan(mint, 8))
    bare = type(signed)(
        keyset_id=signed.keyset_id, counter=signed.counter, amount=8, c=signed.c
    )

    assert wallet.proof(bare).dleq is None
    assert wallet.proof(bare).c == wallet.proof(signed).c


def test_spent_inputs_are_refused(wallet: Wallet, mint: FakeMint) -> None:
    inputs = proofs(mint)
    spend(mint, inputs)

    with pytest.raises(MintRefusedError) as refusal:
        wallet.swap(inputs, plan(mint, 1, 4, 8))

    assert refusal.value.code == ALREADY_SPENT


@pytest.mark.parametrize("counters", [(0,), (0, 1), (2,), (0, 1, 2)])
def test_outputs_signed_for_another_swap_are_refused(
    wallet: Wallet, mint: FakeMint, counters: tuple[int, ...]
) -> None:
    """The inputs were not taken, so that it cannot have been this swap."""
    for counter in counters:
        sign(mint, counter, (1, 4, 8)[counter])

    with pytest.raises(MintRefusedError) as refusal:
        wallet.swap(proofs(mint), plan(mint, 1, 4, 8))

    assert refusal.value.code == OUTPUTS_SIGNED


@pytest.mark.parametrize("amounts", [(2, 4, 8), (1, 4, 16), (16,)])
def test_outputs_signed_over_other_amounts_are_refused_though_the_inputs_are_spent(
    wallet: Wallet, mint: FakeMint, amounts: tuple[int, ...]
) -> None:
    inputs = proofs(mint)
    spend(mint, inputs)
    for counter, amount in enumerate(amounts):
        sign(mint, counter, amount)

    with pytest.raises(MintRefusedError) as refusal:
        wallet.swap(inputs, plan(mint, 1, 4, 8))

    assert refusal.value.code == ALREADY_SPENT


def test_some_outputs_signed_and_the_inputs_spent_is_unknown(
    wallet: Wallet, mint: FakeMint
) -> None:
    """A mint that does not do a swap as one thing, or does not tell all it has signed."""
    inputs = proofs(mint)
    spend(mint, inputs)
    sign(mint, 0, 1)

    with pytest.raises(MintUnknownError, match="some of the outputs"):
        wallet.swap(inputs, plan(mint, 1, 4, 8))


def test_some_inputs_spent_is_refused(wallet: Wallet, mint: FakeMint) -> None:
    inputs = proofs(mint)
    spend(mint, inputs[:1])

    with pytest.raises(MintRefusedError) as refusal:
        wallet.swap(inputs, plan(mint, 1, 4, 8))

    assert refusal.value.code == ALREADY_SPENT


def test_pending_inputs_are_unknown_whatever_else_the_mint_refuses(
    wallet: Wallet, mint: FakeMint
) -> None:
    inputs = proofs(mint)
    spend(mint, inputs[:1])
    mint.pending.add(crypto.hash_to_curve(inputs[1].secret))

    with pytest.raises(MintUnknownError, match="pending"):
        wallet.swap(inputs, plan(mint, 1, 4, 8))


@pytest.mark.parametrize("path", ["restore", "checkstate"])
def test_a_refusal_is_not_believed_while_the_mint_cannot_be_asked_further(
    wallet: Wallet, mint: FakeMint, path: str
) -> None:
    inputs = proofs(mint)
    spend(mint, inputs)
    mint.fault(path, Fault.SERVER_ERROR)

    with pytest.raises(MintUnknownError):
        wallet.swap(inputs, plan(mint, 1, 4, 8))
    with pytest.raises(MintRefusedError):
        wallet.swap(inputs, plan(mint, 1, 4, 8))


def test_a_keyset_that_cannot_be_looked_up_says_nothing_about_the_swap(
    wallet: Wallet, mint: FakeMint
) -> None:
    unknown = Plan(keyset_id="01" + "00" * 32, counter_from=0, amounts=(1,))

    with pytest.raises(MintUnknownError, match="cannot be looked up"):
        wallet.swap(proofs(mint, 1), unknown)

    assert mint.calls["swap"] == 0


def test_a_signature_by_another_key_than_published_is_not_taken(
    wallet: Wallet, mint: FakeMint
) -> None:
    inputs, wanted = proofs(mint), plan(mint, 1, 4, 8)
    wallet.swap(inputs, wanted)
    for signature in mint.signed.values():
        signature["dleq"] = {"e": "11" * 32, "s": "22" * 32}

    with pytest.raises(MintUnknownError, match="not by the key"):
        wallet.swap(inputs, wanted)


def test_what_was_signed_of_a_plan_is_told_in_its_order(wallet: Wallet, mint: FakeMint) -> None:
    for counter, amount in ((2, 8), (0, 2)):
        sign(mint, counter, amount)

    restored = wallet.restored(plan(mint, 1, 4, 8))

    assert [(each.counter, each.amount) for each in restored] == [(0, 2), (2, 8)]


def test_states_are_told_in_the_order_they_were_asked(wallet: Wallet, mint: FakeMint) -> None:
    keyset_id = mint.active("sat").id
    signed = wallet.swap(proofs(mint), plan(mint, 1, 4, 8))
    spend(mint, [wallet.proof(signed[1])])

    states = wallet.states([(keyset_id, counter) for counter in (2, 1, 0)])

    assert states == [ProofState.UNSPENT, ProofState.SPENT, ProofState.UNSPENT]


def test_another_keyset_is_one_the_mint_uses_now(wallet: Wallet, mint: FakeMint) -> None:
    assert wallet.other_keyset("sat") == mint.active("sat").id
    new_id = mint.rotate("sat")

    assert wallet.other_keyset("sat") == new_id
    with pytest.raises(KeysetError):
        wallet.other_keyset("usd")


def test_a_mint_that_is_not_there_has_done_nothing(connect: Connect) -> None:
    with FakeMint(fee_ppk=0) as mint:
        client = connect(mint.url)
        wallet = Wallet(client, KeysetBook(client), SEED)
        inputs, wanted = proofs(mint), plan(mint, 1, 4, 8)
        wallet.keysets.active("sat")

    with pytest.raises(UnreachableError):
        wallet.swap(inputs, wanted)


def test_only_the_mints_that_were_named_have_a_wallet(mint: FakeMint) -> None:
    mints = Mints([f"{mint.url}/"], SEED, connect_timeout_s=1.0, timeout_s=1.0)

    assert mints.get(mint.url).url == mint.url
    assert mints.urls == (mint.url,)
    assert [wallet.url for wallet in mints] == [mint.url]
    for url in (f"{mint.url}/", f"{mint.url}.evil.example", "https://mint.example", ""):
        with pytest.raises(UntrustedMintError):
            mints.get(url)
