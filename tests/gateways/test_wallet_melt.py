"""A melt is paid, pending, unpaid or unknown; the wallet says which, and finds its change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from app.gateways.errors import (
    MintAnswerError,
    MintRefusedError,
    MintUnknownError,
    UnreachableError,
)
from app.gateways.mint.errors import InvoiceError
from app.gateways.mint.keysets import KeysetBook
from app.gateways.mint.wallet import Wallet
from app.gateways.mint.wire import QuoteState
from domain.deposit import Plan, blanks
from tests.doubles.mint import FakeMint, Fault
from tests.doubles.mint_items import Payment
from tests.gateways.invoices import invoice, invoice_msat
from tests.gateways.test_wallet import SEED, proofs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from app.gateways.mint.client import MintClient

    Connect = Callable[..., MintClient]

MELT, QUOTE = "melt/bolt11", "melt/quote/bolt11"
UNBALANCED = 11005


@pytest.fixture
def mint() -> Iterator[FakeMint]:
    with FakeMint(fee_ppk=0) as mint:
        yield mint


@pytest.fixture
def wallet(mint: FakeMint, connect: Connect) -> Wallet:
    client = connect(mint.url)
    return Wallet(client, KeysetBook(client), SEED)


def blank(mint: FakeMint, most: int = 14) -> Plan:
    return Plan(keyset_id=mint.active("sat").id, counter_from=3, amounts=blanks(most))


def retold(mint: FakeMint, monkeypatch: pytest.MonkeyPatch, **changed: Any) -> None:
    """Let the double answer about melts with something changed."""
    answered = mint.answer

    def answer(method: str, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        status, told = answered(method, path, body)
        return status, told | (changed if path.startswith("melt") else {})

    monkeypatch.setattr(mint, "answer", answer)


def test_what_a_payment_costs_is_asked_first(wallet: Wallet) -> None:
    terms = wallet.melt_quote(invoice_msat(49_001), "sat")
    exact = wallet.melt_quote(invoice_msat(49_001), "msat")

    assert (terms.amount, terms.fee_reserve) == (50, 2)
    assert exact.amount == 49_001
    assert terms.expiry is not None
    assert terms.quote not in repr(terms)


@pytest.mark.parametrize("changed", [{"amount": 51}, {"amount": 49}, {"fee_reserve": None}])
def test_a_mint_that_asks_for_another_amount_is_not_paid(
    wallet: Wallet,
    mint: FakeMint,
    monkeypatch: pytest.MonkeyPatch,
    changed: dict[str, int | None],
) -> None:
    retold(mint, monkeypatch, **changed)

    with pytest.raises(MintAnswerError):
        wallet.melt_quote(invoice(50), "sat")


@pytest.mark.parametrize("request_", ["lnbc500n1anything", invoice_msat(None)])
def test_an_invoice_without_amount_is_not_asked_about(wallet: Wallet, request_: str) -> None:
    with pytest.raises((InvoiceError, MintRefusedError)):
        wallet.melt_quote(request_, "sat")


def test_without_blank_outputs_the_mint_keeps_the_rest(wallet: Wallet, mint: FakeMint) -> None:
    quote = wallet.melt_quote(invoice(50), "sat").quote

    melted = wallet.melt(quote, proofs(mint, 64), None)

    assert (melted.state, melted.change) == (QuoteState.PAID, ())
    assert wallet.melt_state(quote, None) == melted
    assert "outputs" not in mint.bodies[-2]


def test_whether_there_is_change_is_for_the_mint_to_say(wallet: Wallet, mint: FakeMint) -> None:
    assert wallet.gives_change()
    mint.gives_change = False
    assert not wallet.gives_change()


@pytest.mark.parametrize("fault", [Fault.DROP_RESPONSE, Fault.GARBAGE])
def test_a_melt_whose_answer_was_lost_is_asked_about_not_repeated(
    wallet: Wallet, mint: FakeMint, fault: Fault
) -> None:
    quote, plan = wallet.melt_quote(invoice(50), "sat").quote, blank(mint)
    mint.fault(MELT, fault)
    with pytest.raises(MintUnknownError):
        wallet.melt(quote, proofs(mint, 64), plan)

    told = wallet.melt_state(quote, plan)

    assert told.state is QuoteState.PAID
    assert [(signed.counter, signed.amount) for signed in told.change] == [
        (3, 8),
        (4, 4),
        (5, 1),
    ]
    assert mint.calls[MELT] == 1


def test_a_melt_that_never_arrived_is_unpaid(wallet: Wallet, mint: FakeMint) -> None:
    quote, plan = wallet.melt_quote(invoice(50), "sat").quote, blank(mint)
    mint.fault(MELT, Fault.DROP_REQUEST)
    with pytest.raises(MintUnknownError):
        wallet.melt(quote, proofs(mint, 64), plan)

    assert wallet.melt_state(quote, plan).state is QuoteState.UNPAID


def test_change_a_quote_does_not_tell_is_restored(
    wallet: Wallet, mint: FakeMint, monkeypatch: pytest.MonkeyPatch
) -> None:
    quote, plan = wallet.melt_quote(invoice(50), "sat").quote, blank(mint)
    melted = wallet.melt(quote, proofs(mint, 64), plan)
    retold(mint, monkeypatch, change=None)

    assert wallet.melt_state(quote, plan) == melted
    assert mint.calls["restore"] == 1


def test_a_payment_that_cost_all_its_reserve_has_no_change(
    wallet: Wallet, mint: FakeMint
) -> None:
    quote = wallet.melt_quote(invoice(50), "sat").quote
    inputs = [*proofs(mint, 48), *proofs(mint, 4)]
    mint.fee_paid = 2

    melted = wallet.melt(quote, inputs, blank(mint, 2))

    assert (melted.state, melted.change) == (QuoteState.PAID, ())


@pytest.mark.parametrize("changed", [{"state": "ISSUED"}, {"change": "other keyset"}])
def test_what_no_melt_can_end_in_is_unknown(
    wallet: Wallet, mint: FakeMint, monkeypatch: pytest.MonkeyPatch, changed: dict[str, Any]
) -> None:
    quote, plan = wallet.melt_quote(invoice(50), "sat").quote, blank(mint)
    wallet.melt(quote, proofs(mint, 64), plan)
    if "change" in changed:
        (first, *_) = mint.melt_quotes[quote].change
        changed = {"change": [first | {"id": mint.active("msat").id}]}
    retold(mint, monkeypatch, **changed)

    with pytest.raises(MintAnswerError):
        wallet.melt_state(quote, plan)


def test_more_change_than_there_were_outputs_is_unknown(wallet: Wallet, mint: FakeMint) -> None:
    quote = wallet.melt_quote(invoice(50), "sat").quote
    wallet.melt(quote, proofs(mint, 64), blank(mint))

    with pytest.raises(MintAnswerError):
        wallet.melt_state(quote, blank(mint, 2))


def test_change_over_an_amount_the_keyset_has_not_is_unknown(
    wallet: Wallet, mint: FakeMint
) -> None:
    quote, plan = wallet.melt_quote(invoice(50), "sat").quote, blank(mint)
    wallet.melt(quote, proofs(mint, 64), plan)
    mint.melt_quotes[quote].change[0]["amount"] = 3

    with pytest.raises(MintUnknownError, match="cannot be read"):
        wallet.melt_state(quote, plan)


def test_a_refusal_is_believed_when_the_quote_is_unpaid(wallet: Wallet, mint: FakeMint) -> None:
    quote, plan = wallet.melt_quote(invoice(50), "sat").quote, blank(mint)

    with pytest.raises(MintRefusedError) as refusal:
        wallet.melt(quote, proofs(mint, 32), plan)

    assert refusal.value.code == UNBALANCED


def test_a_refusal_is_not_believed_while_the_quote_is_pending(
    wallet: Wallet, mint: FakeMint
) -> None:
    """The inputs are refused because they are with an earlier copy of the same request."""
    quote, plan, inputs = (
        wallet.melt_quote(invoice(50), "sat").quote,
        blank(mint),
        proofs(mint, 64),
    )
    mint.pays(Payment.PENDING)
    wallet.melt(quote, inputs, plan)
    mint.settle_pending(paid=True)

    assert wallet.melt(quote, inputs, plan).state is QuoteState.PAID


@pytest.mark.parametrize("fault", [Fault.SERVER_ERROR, Fault.DROP_REQUEST])
def test_a_refusal_is_not_believed_while_the_quote_cannot_be_asked(
    wallet: Wallet, mint: FakeMint, fault: Fault
) -> None:
    quote = wallet.melt_quote(invoice(50), "sat").quote
    mint.fault(f"{QUOTE}/{quote}", fault)

    with pytest.raises(MintUnknownError):
        wallet.melt(quote, proofs(mint, 32), blank(mint))


def test_a_mint_that_is_away_knows_what_it_did_and_we_do_not(connect: Connect) -> None:
    with FakeMint(fee_ppk=0) as mint:
        client = connect(mint.url)
        wallet = Wallet(client, KeysetBook(client), SEED)
        quote, plan = wallet.melt_quote(invoice(50), "sat").quote, blank(mint)
        inputs = proofs(mint, 64)

    with pytest.raises(UnreachableError):
        wallet.melt(quote, inputs, plan)
    with pytest.raises(MintUnknownError):
        wallet.melt_state(quote, plan)
