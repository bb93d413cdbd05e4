from __future__ import annotations

from dataclasses import replace

import pytest

from domain.allowance import KeyRow, Rules
from domain.erasure import WHO_MAX, AccountErased, Erase
from domain.errors import (
    AccountErasedError,
    ChildKeyError,
    MovementEndedError,
    UnknownAccountError,
)
from domain.event import Entry
from domain.key import Changes, KeySet, MakeKey, SetKey
from tests.domain.given import ALICE, AT, BOB, LATER, deposited, fold, hold, made, name

CHILD, SALT = name(50), name(52)
FUNDED = deposited()
ERASE = Erase(ALICE, "me")
WITH_ADDRESS = Changes(refund_to="AAEC", models=("gpt-x",))


def bound() -> tuple[Entry, ...]:
    """A funded account that has an address."""
    return *FUNDED, made(SetKey(ALICE, ALICE, WITH_ADDRESS), fold(*FUNDED))


def test_an_erased_account_has_its_money_and_no_address() -> None:
    history = bound()

    erased = made(ERASE, fold(*history))

    rows = fold(*history, erased)
    assert erased == Entry(ALICE, 2, AccountErased(at=LATER, who="me"))
    assert rows.key(ALICE) == KeyRow(2, LATER, rules=Rules(models=("gpt-x",)), erased=1)
    account = rows.accounts.get(ALICE)
    assert account is not None
    assert (account.available_msat, account.keyed) == (100_000, 1)


def test_an_account_that_was_never_bound_is_erased_too() -> None:
    rows = fold(*FUNDED, made(ERASE, fold(*FUNDED)))

    assert rows.key(ALICE) == KeyRow(1, LATER, erased=1)


def test_an_account_that_was_bound_before_it_had_money_is_erased_too() -> None:
    first = made(SetKey(BOB, BOB, WITH_ADDRESS), fold())

    assert made(Erase(BOB, "me"), fold(first)).version == 2


def test_what_was_erased_is_not_erased_again() -> None:
    erased = made(ERASE, fold(*FUNDED))
    later = made(SetKey(ALICE, ALICE, Changes(reset="daily")), fold(*FUNDED, erased))

    again = made(Erase(ALICE, "another"), fold(*FUNDED, erased, later), erased, later)

    assert again == erased


def test_an_erased_account_takes_no_new_address_and_all_else() -> None:
    rows = fold(*FUNDED, made(ERASE, fold(*FUNDED)))

    with pytest.raises(AccountErasedError):
        made(SetKey(ALICE, ALICE, WITH_ADDRESS), rows)
    assert made(SetKey(ALICE, ALICE, Changes(limit_msat=90_000)), rows).version == 2
    assert made(replace(hold(), key_id=ALICE), rows)


def test_nobody_is_erased_who_is_not_there_and_no_child() -> None:
    child = made(MakeKey(CHILD, ALICE, SALT, Rules()), fold(*FUNDED))

    with pytest.raises(UnknownAccountError):
        made(ERASE, fold())
    with pytest.raises(ChildKeyError):
        made(Erase(CHILD, "me"), fold(*FUNDED, child))


def test_a_history_without_an_erasure_answers_for_none() -> None:
    bind = Entry(ALICE, 1, KeySet(at=AT, by=ALICE, rules=Rules()))

    with pytest.raises(MovementEndedError):
        ERASE.replay([bind])


def test_who_wanted_it_is_told_in_few_words() -> None:
    erased = made(Erase(ALICE, "x" * 1_000), fold(*FUNDED)).event

    assert isinstance(erased, AccountErased)
    assert erased.who == "x" * WHO_MAX
