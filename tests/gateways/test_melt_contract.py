"""What becomes of a melt, as a real nutshell with a pretended node tells it, and our double."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from app.gateways.errors import MintRefusedError, MintUnknownError
from app.gateways.mint import crypto
from app.gateways.mint.crypto import Seed
from app.gateways.mint.keysets import KeysetBook
from app.gateways.mint.tokens import decode
from app.gateways.mint.wallet import Wallet
from app.gateways.mint.wire import ProofState, QuoteState
from domain.deposit import Plan, blanks
from tests.doubles.mint import FakeMint
from tests.doubles.mint_items import Payment
from tests.gateways.conftest import free_port
from tests.gateways.invoices import invoice
from tests.integration.mint import RealMint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from app.gateways.mint.client import MintClient
    from app.gateways.mint.tokens import Proof
    from app.gateways.mint.wallet import Melted
    from domain.deposit import Signed
    from tests.gateways.conftest import AnyMint

AMOUNT, FUNDS, INPUT_FEE = 50, 64, 1
DOUBLE = pytest.param("fake_payer", id="double")
REAL = pytest.param("real_payer", id="nutshell", marks=pytest.mark.integration)


class Till:
    """One payment at a mint: its inputs, its blank outputs and the wallet that makes it."""

    def __init__(self, mint: AnyMint, client: MintClient) -> None:
        self.mint = mint
        self.wallet = Wallet(client, KeysetBook(client), Seed(b"\x07" * 32))
        self.inputs = list(decode(mint.fund(FUNDS)).proofs)
        keyset_id = self.wallet.keysets.active("sat").id
        # Counters of its own: the books of a real mint outlive a test.
        counter = int.from_bytes(crypto.random_key()[:3], "big")
        self.plan = Plan(
            keyset_id=keyset_id, counter_from=counter, amounts=blanks(FUNDS - AMOUNT)
        )
        self.quote = self.wallet.melt_quote(invoice(AMOUNT), "sat").quote

    def melt(self) -> Melted:
        return self.wallet.melt(self.quote, self.inputs, self.plan)

    def state(self) -> Melted:
        return self.wallet.melt_state(self.quote, self.plan)

    def ended(self) -> Melted:
        """Ask until there is an end; nutshell stumbles when it is asked while it starts."""
        for _ in range(100):
            with suppress(MintUnknownError):
                told = self.state()
                if told.state is not QuoteState.PENDING:
                    return told
            time.sleep(0.1)
        pytest.fail("the melt does not end")

    def input_states(self) -> set[ProofState]:
        ys = [crypto.hash_to_curve(proof.secret) for proof in self.inputs]
        return set(self.wallet.client.states(ys).values())

    def take_back(self, inputs: Sequence[Proof]) -> int:
        """Swap proofs to ourselves, and return what came of it."""
        worth = sum(proof.amount for proof in inputs) - INPUT_FEE
        counter = self.plan.counter_from + 100
        keyset_id = self.plan.keyset_id
        plan = Plan(keyset_id=keyset_id, counter_from=counter, amounts=tuple([1] * worth))
        return sum(signed.amount for signed in self.wallet.swap(inputs, plan))


@pytest.fixture(scope="module")
def real_payer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealMint]:
    directory = tmp_path_factory.mktemp("payer")
    with RealMint(free_port(), directory, private_key="a mint that pays") as mint:
        yield mint


@pytest.fixture
def fake_payer() -> Iterator[FakeMint]:
    with FakeMint() as mint:
        yield mint


@pytest.fixture(params=[DOUBLE, REAL])
def mint(request: pytest.FixtureRequest) -> AnyMint:
    mint: AnyMint = request.getfixturevalue(request.param)
    return mint


def worth(change: Sequence[Signed]) -> int:
    return sum(signed.amount for signed in change)


def test_a_melt_that_settles_gives_change_that_can_be_spent(
    mint: AnyMint, connect: Callable[..., MintClient]
) -> None:
    mint.pays(Payment.SETTLED)
    till = Till(mint, connect(mint.url))
    assert till.wallet.gives_change()
    assert till.state().state is QuoteState.UNPAID

    melted = till.melt()

    assert melted.state is QuoteState.PAID
    # One sat is what the payment cost.
    assert worth(melted.change) == FUNDS - AMOUNT - INPUT_FEE - 1
    assert till.state() == melted
    assert till.wallet.restored(till.plan) == melted.change
    assert till.input_states() == {ProofState.SPENT}
    change = [till.wallet.proof(signed) for signed in melted.change]
    assert till.take_back(change) == worth(melted.change) - INPUT_FEE


def test_a_melt_done_already_is_told_so_and_pays_nothing_twice(
    mint: AnyMint, connect: Callable[..., MintClient]
) -> None:
    mint.pays(Payment.SETTLED)
    till = Till(mint, connect(mint.url))

    first, again = till.melt(), till.melt()

    assert first == again


@pytest.mark.parametrize("paid", [True, False])
def test_a_pending_melt_ends_later_well_or_not(
    mint: AnyMint, connect: Callable[..., MintClient], *, paid: bool
) -> None:
    mint.pays(Payment.PENDING)
    till = Till(mint, connect(mint.url))
    assert till.melt().state is QuoteState.PENDING
    assert till.state().state is QuoteState.PENDING
    assert till.input_states() == {ProofState.PENDING}

    mint.settle_pending(paid=paid)

    ended = till.ended()
    if paid:
        assert ended.state is QuoteState.PAID
        assert till.input_states() == {ProofState.SPENT}
        assert FUNDS - AMOUNT - 3 <= worth(ended.change) < FUNDS - AMOUNT
    else:
        assert ended.state is QuoteState.UNPAID
        assert till.take_back(till.inputs) == FUNDS - INPUT_FEE


def test_a_melt_that_fails_leaves_the_inputs_to_their_owner(
    mint: AnyMint, connect: Callable[..., MintClient]
) -> None:
    mint.pays(Payment.FAILED)
    till = Till(mint, connect(mint.url))

    # A mint says so of payments that succeed later: not before the state is asked is it told.
    with pytest.raises(MintUnknownError):
        till.melt()

    assert till.state().state is QuoteState.UNPAID
    assert till.take_back(till.inputs) == FUNDS - INPUT_FEE


def test_a_melt_the_mint_knows_nothing_of_is_not_taken_for_paid(
    mint: AnyMint, connect: Callable[..., MintClient]
) -> None:
    """Nutshell 0.20 gives the inputs back, later ones and our double keep them pending."""
    mint.pays(Payment.UNKNOWN)
    till = Till(mint, connect(mint.url))

    with pytest.raises(MintUnknownError):
        till.melt()

    assert till.state().state in {QuoteState.UNPAID, QuoteState.PENDING}
    assert ProofState.SPENT not in till.input_states()


def test_inputs_spent_elsewhere_pay_nothing(
    mint: AnyMint, connect: Callable[..., MintClient]
) -> None:
    mint.pays(Payment.SETTLED)
    till = Till(mint, connect(mint.url))
    till.take_back(till.inputs)

    with pytest.raises(MintRefusedError):
        till.melt()

    assert till.state().state is QuoteState.UNPAID


@pytest.mark.integration
def test_a_melt_that_outlasts_our_patience_is_found_paid_with_its_change(
    real_payer: RealMint, connect: Callable[..., MintClient]
) -> None:
    real_payer.pays(Payment.SETTLED, after_s=3.0)
    till = Till(real_payer, connect(real_payer.url, read_timeout_s=1.0))
    with pytest.raises(MintUnknownError):
        till.melt()

    told = till.ended()

    assert told.state is QuoteState.PAID
    assert FUNDS - AMOUNT - 3 <= worth(told.change) < FUNDS - AMOUNT
