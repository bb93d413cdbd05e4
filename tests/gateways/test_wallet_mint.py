"""Minting a paid quote is done or not done; the wallet says which, or that nobody knows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from app.gateways.errors import MintRefusedError, MintUnknownError
from app.gateways.mint import crypto
from app.gateways.mint.keysets import KeysetBook
from app.gateways.mint.wallet import Wallet
from tests.doubles.mint import FakeMint, Fault
from tests.gateways.test_wallet import SEED, plan, sign

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from app.gateways.mint.client import MintClient

KEY = b"\x03" * 32
OUTPUTS_SIGNED, NOT_PAID, ISSUED, NOT_SIGNED_FOR = 11003, 20001, 20002, 20008
PATH = "mint/bolt11"


@pytest.fixture
def mint() -> Iterator[FakeMint]:
    with FakeMint(fee_ppk=0) as mint:
        yield mint


@pytest.fixture
def wallet(mint: FakeMint, connect: Callable[..., MintClient]) -> Wallet:
    client = connect(mint.url)
    return Wallet(client, KeysetBook(client), SEED)


def quote(wallet: Wallet, amount: int = 13) -> str:
    return wallet.client.mint_quote(amount, "sat", crypto.public_key(KEY)).quote


def test_a_paid_quote_is_minted_in_the_order_of_the_plan(
    wallet: Wallet, mint: FakeMint
) -> None:
    signed = wallet.mint(quote(wallet), plan(mint, 8, 1, 4, counter_from=7), KEY)

    assert [(each.counter, each.amount) for each in signed] == [(7, 8), (8, 1), (9, 4)]


def test_the_same_again_yields_the_same(wallet: Wallet, mint: FakeMint) -> None:
    name, wanted = quote(wallet), plan(mint, 8, 1, 4)

    assert wallet.mint(name, wanted, KEY) == wallet.mint(name, wanted, KEY)
    assert mint.calls[PATH] == 2


@pytest.mark.parametrize("fault", [Fault.DROP_RESPONSE, Fault.GARBAGE, Fault.OTHER_AMOUNT])
def test_what_was_issued_unheard_is_found_by_asking_again(
    wallet: Wallet, mint: FakeMint, fault: Fault
) -> None:
    name, wanted = quote(wallet), plan(mint, 1, 4, 8)
    mint.fault(PATH, fault)
    with pytest.raises(MintUnknownError):
        wallet.mint(name, wanted, KEY)

    assert [each.amount for each in wallet.mint(name, wanted, KEY)] == [1, 4, 8]


def test_an_unpaid_quote_is_refused(wallet: Wallet, mint: FakeMint) -> None:
    mint.pays_invoices = False

    with pytest.raises(MintRefusedError) as refused:
        wallet.mint(quote(wallet), plan(mint, 1, 4, 8), KEY)

    assert refused.value.code == NOT_PAID


def test_another_key_does_not_open_the_quote(wallet: Wallet, mint: FakeMint) -> None:
    with pytest.raises(MintRefusedError) as refused:
        wallet.mint(quote(wallet), plan(mint, 1, 4, 8), b"\x04" * 32)

    assert refused.value.code == NOT_SIGNED_FOR


def test_outputs_signed_for_another_transaction_do_not_make_a_quote_minted(
    wallet: Wallet, mint: FakeMint
) -> None:
    name = quote(wallet)
    for counter, amount in enumerate((1, 4, 8)):
        sign(mint, counter, amount)

    with pytest.raises(MintRefusedError) as refused:
        wallet.mint(name, plan(mint, 1, 4, 8), KEY)

    assert refused.value.code == OUTPUTS_SIGNED
    assert mint.mint_quotes[name].state == "PAID"


@pytest.mark.parametrize("signed", [(), (1, 4), (1, 4, 16)])
def test_a_quote_issued_for_other_outputs_is_not_ours(
    wallet: Wallet, mint: FakeMint, signed: tuple[int, ...]
) -> None:
    name = quote(wallet)
    wallet.mint(name, plan(mint, 1, 4, 8, counter_from=50), KEY)
    for counter, amount in enumerate(signed):
        sign(mint, counter, amount)

    with pytest.raises(MintRefusedError) as refused:
        wallet.mint(name, plan(mint, 1, 4, 8), KEY)

    assert refused.value.code == ISSUED


@pytest.mark.parametrize("fault", [Fault.DROP_REQUEST, Fault.RATE_LIMIT])
def test_a_mint_that_cannot_say_what_it_issued_leaves_it_unknown(
    wallet: Wallet, mint: FakeMint, fault: Fault
) -> None:
    name, wanted = quote(wallet), plan(mint, 1, 4, 8)
    signed = wallet.mint(name, wanted, KEY)
    mint.fault("restore", fault)

    with pytest.raises(MintUnknownError):
        wallet.mint(name, wanted, KEY)

    assert wallet.mint(name, wanted, KEY) == signed
