"""Of a mint's keysets only what their ids prove is believed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.gateways.errors import RefusedError
from app.gateways.mint.errors import (
    KeysetAmbiguousError,
    KeysetForgedError,
    KeysetUnknownError,
)
from app.gateways.mint.keysets import (
    FRESH_FOR_S,
    REFRESH_PAUSE_S,
    KeysetBook,
    KeysetOwners,
    split,
)
from app.gateways.mint.tokens import Proof, decode
from tests.doubles.mint import FakeMint

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.gateways.mint.client import MintClient

    Connect = Callable[..., MintClient]


class Clock:
    """A clock that only moves when told."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def book(fake_mint: FakeMint, connect: Connect, clock: Clock) -> KeysetBook:
    return KeysetBook(connect(fake_mint.url), clock=clock)


def test_what_is_known_is_not_asked_again(book: KeysetBook, fake_mint: FakeMint) -> None:
    first = book.active("sat")

    again, found = book.active("sat"), book.find(first.id)

    assert first == again == found
    assert (fake_mint.calls["keysets"], fake_mint.calls[f"keys/{first.id}"]) == (1, 1)


def test_a_rotation_is_noticed_when_the_list_is_old(
    book: KeysetBook, fake_mint: FakeMint, clock: Clock
) -> None:
    old = book.active("sat")
    new_id = fake_mint.rotate("sat")

    before = book.active("sat").id
    clock.now += FRESH_FOR_S
    after = book.active("sat").id

    assert (before, after) == (old.id, new_id)
    assert not book.find(old.id).active


def test_a_rotation_is_noticed_when_one_asks(book: KeysetBook, fake_mint: FakeMint) -> None:
    book.active("sat")
    new_id = fake_mint.rotate("sat")

    book.refresh()

    assert book.active("sat").id == new_id


def test_fees_are_asked_for_anew_for_a_keyset_that_is_held(
    book: KeysetBook, fake_mint: FakeMint, clock: Clock
) -> None:
    old = book.active("sat")
    new_id = fake_mint.rotate("sat")

    clock.now += REFRESH_PAUSE_S
    assert book.fees("sat", [old.id]).keys() == {old.id}
    assert book.fees("sat", [old.id, new_id]).keys() == {old.id, new_id}


def test_an_unknown_keyset_is_looked_for_once(
    book: KeysetBook, fake_mint: FakeMint, clock: Clock
) -> None:
    book.active("sat")
    new_id = fake_mint.rotate("sat")
    clock.now += 10

    assert book.find(new_id).active
    for _ in range(5):
        with pytest.raises(KeysetUnknownError):
            book.find("01" + "00" * 32)
    assert fake_mint.calls["keysets"] == 2


def test_a_short_id_is_resolved_within_its_mint(book: KeysetBook) -> None:
    keyset = book.active("msat")

    assert book.find(keyset.id[:16]) == keyset
    with pytest.raises(KeysetUnknownError):
        book.find("01" + "00" * 7)


def test_a_short_id_of_two_keysets_is_ambiguous(book: KeysetBook, fake_mint: FakeMint) -> None:
    real = fake_mint.active("sat")
    twin = fake_mint.keysets[fake_mint.rotate("msat")]
    del fake_mint.keysets[twin.id]
    twin.id = real.id[:16] + "00" * 25
    fake_mint.keysets[twin.id] = twin

    with pytest.raises(KeysetAmbiguousError):
        book.find(real.id[:16])


def test_keysets_of_version_1_are_known_too(connect: Connect) -> None:
    with FakeMint(keyset_version=1) as mint:
        book = KeysetBook(connect(mint.url))

        keyset = book.active("sat")

        assert keyset.id.startswith("00")
        assert book.find(keyset.id) == keyset


@pytest.mark.parametrize("version", [1, 2])
def test_an_id_that_is_not_the_keys_is_refused(connect: Connect, version: int) -> None:
    with (
        FakeMint("honest", keyset_version=version) as honest,
        FakeMint("evil", keyset_version=version) as evil,
    ):
        copied, clone = honest.active("sat").id, evil.active("sat")
        clone.id = copied
        evil.keysets[copied] = clone
        book = KeysetBook(connect(evil.url))

        with pytest.raises(KeysetForgedError) as forgery:
            book.find(copied)

        assert isinstance(forgery.value, RefusedError)


def test_the_fee_is_part_of_what_the_id_proves(book: KeysetBook, fake_mint: FakeMint) -> None:
    fake_mint.active("sat").fee_ppk = 0

    with pytest.raises(KeysetForgedError):
        book.active("sat")


def test_a_keyset_belongs_to_the_mint_that_showed_it_first(connect: Connect) -> None:
    owners = KeysetOwners()
    with FakeMint("same key") as honest, FakeMint("same key") as copy:
        keyset = KeysetBook(connect(honest.url), owners).active("sat")

        with pytest.raises(KeysetForgedError):
            KeysetBook(connect(copy.url), owners).find(keyset.id)

        assert KeysetBook(connect(honest.url), owners).find(keyset.id) == keyset


def test_the_cheapest_active_keyset_is_used(book: KeysetBook, fake_mint: FakeMint) -> None:
    dear = fake_mint.active("sat")
    cheap = fake_mint.rotate("sat", fee_ppk=0)
    dear.active = True

    assert book.active("sat").id == cheap


def test_a_unit_the_mint_does_not_have_is_refused(book: KeysetBook) -> None:
    with pytest.raises(KeysetUnknownError):
        book.active("usd")


@pytest.mark.parametrize(("inputs", "fee"), [(0, 0), (1, 1), (10, 1), (11, 2), (20, 2)])
def test_the_fee_is_rounded_up_once(book: KeysetBook, inputs: int, fee: int) -> None:
    keyset = book.active("sat")
    proofs = [Proof(keyset.id, 1, str(number), "") for number in range(inputs)]

    assert book.fee_for(proofs) == fee


def test_the_fee_of_inputs_from_several_keysets_is_their_sum(
    book: KeysetBook, fake_mint: FakeMint
) -> None:
    proofs = list(decode(fake_mint.fund(3)).proofs)
    fake_mint.rotate("sat", fee_ppk=900)
    proofs += decode(fake_mint.fund(1)).proofs

    assert book.fee_for(proofs) == 2


def test_the_fees_of_a_unit_are_listed_old_keysets_included(
    book: KeysetBook, fake_mint: FakeMint
) -> None:
    old = fake_mint.active("sat").id
    new = fake_mint.rotate("sat", fee_ppk=200)

    assert book.fees("sat") == {old: 100, new: 200}


def test_a_key_is_had_for_amounts_of_the_keyset_only(book: KeysetBook) -> None:
    keyset = book.active("sat")

    assert keyset.key(8) == keyset.keys[8]
    with pytest.raises(KeysetUnknownError):
        keyset.key(3)


@given(amount=st.integers(0, 2**64 - 1))
def test_an_amount_is_split_into_ascending_powers_of_two(amount: int) -> None:
    parts = split(amount)

    assert sum(parts) == amount
    assert list(parts) == sorted(set(parts))
    assert all(part.bit_count() == 1 for part in parts)


def test_nothing_below_zero_is_split() -> None:
    with pytest.raises(ValueError, match="split"):
        split(-1)
