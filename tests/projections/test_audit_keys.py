from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from domain.allowance import Rules
from domain.donation import Donate
from domain.erasure import AccountErased, Erase
from domain.event import Entry
from domain.hold import Charge
from domain.key import Changes, KeyMade, KeyReset, KeySet, MakeKey, ResetKey, SetKey
from projections.audit import Auditor
from tests.domain.given import ALICE, AT, BOB, TERMS, USAGE, deposited, fold, hold, made, name

if TYPE_CHECKING:
    from domain.command import Command

CHILD, BY_CHILD = name(50), name(202)


def story() -> list[Entry]:
    """A child key is made, bound, reset, and spends; its parent gives something away."""
    told: list[Entry] = [*deposited()]

    def then(command: Command) -> None:
        told.append(made(command, fold(*told), *told))

    then(MakeKey(CHILD, ALICE, name(52), Rules(limit_msat=5_000)))
    then(SetKey(CHILD, ALICE, Changes(models=("gpt-x",))))
    then(ResetKey(CHILD, ALICE))
    then(replace(hold(BY_CHILD, 5_000), key_id=CHILD))
    then(Charge(BY_CHILD, ALICE, 40, TERMS, USAGE, CHILD))
    then(Donate(name(600), ALICE, 1_000))
    return told


STORY = story()
MADE, SET, RESET, HELD, CHARGED = STORY[2:7]


def read(entries: list[Entry]) -> str:
    return Auditor().read(enumerate(entries, 1)) or ""


def retold(entry: Entry, **fields: Any) -> list[Entry]:
    """The story with one of its entries falsified."""
    event = msgspec.structs.replace(entry.event, **fields)
    return [each._replace(event=event) if each is entry else each for each in STORY]


def test_a_true_story_of_keys_is_believed() -> None:
    auditor = Auditor()

    assert auditor.read(enumerate(STORY, 1)) is None
    assert list(auditor.books.differences(auditor.rows)) == []
    assert auditor.books.balances_msat["house:donated"] == 1_000
    assert auditor.rows.key(CHILD).total_msat == auditor.rows.key(ALICE).total_msat == 40


KEYS = {
    "above the limit": (HELD, {"amount_msat": 5_001}, "Balance limit exceeded"),
    "another's money": (HELD, {"account_id": BOB}, "another account's money"),
    "an unknown key": (HELD, {"key_id": name(51)}, "is not known"),
    "the end of another key": (CHARGED, {"key_id": ALICE}, "another key's hold"),
    "changed by a stranger": (SET, {"by": BOB}, "another account's key"),
    "reset by itself": (RESET, {"by": CHILD}, "another account's key"),
}


@pytest.mark.parametrize(("entry", "fields", "says"), KEYS.values(), ids=KEYS)
def test_a_key_that_did_what_it_may_not_is_found(
    entry: Entry, fields: dict[str, Any], says: str
) -> None:
    assert says in read(retold(entry, **fields))


@pytest.mark.parametrize("entry", [MADE, SET, RESET])
def test_a_change_of_rules_out_of_its_place_is_found(entry: Entry) -> None:
    moved = [each._replace(version=9) if each is entry else each for each in STORY]

    assert "is version 9 after" in read(moved)


def test_a_window_of_a_key_that_was_never_made_is_found() -> None:
    stranger = Entry(name(59), 1, KeyReset(at=AT, by=name(59)))

    assert "is not known" in read([*STORY, stranger])


def test_an_account_binds_itself_and_is_no_child_afterwards() -> None:
    bound = Entry(ALICE, 1, KeySet(at=AT, by=ALICE, rules=Rules()))
    child = Entry(ALICE, 1, KeyMade(at=AT, parent_id=BOB, salt=ALICE, rules=Rules()))
    grandchild = KeyMade(at=AT, parent_id=CHILD, salt=ALICE, rules=Rules())

    assert read([*STORY, bound]) == ""
    assert "makes a key that is there" in read([*STORY, child])
    assert "a child of a child" in read([*STORY, Entry(name(58), 1, grandchild)])


def test_an_erasure_is_believed_once_and_an_address_after_it_is_not() -> None:
    told = [*deposited()]
    erased = made(Erase(ALICE, "me"), fold(*told))
    address = KeySet(at=AT, by=ALICE, rules=Rules(refund_to="AAEC"))
    bound = KeySet(at=AT, by=ALICE, rules=Rules(reset="daily"))
    again = AccountErased(at=AT, who="me")

    assert read([*told, erased, Entry(ALICE, 2, bound)]) == ""
    assert "gives an erased account" in read([*told, erased, Entry(ALICE, 2, address)])
    assert "erases what is erased" in read([*told, erased, Entry(ALICE, 2, again)])
    assert "is version 3 after 1" in read([*told, erased, Entry(ALICE, 3, bound)])


def test_a_child_is_not_erased() -> None:
    erased = AccountErased(at=AT, who="me")

    assert "erases a child" in read([*STORY, Entry(CHILD, 4, erased)])


def test_an_account_that_is_bound_is_erased_too() -> None:
    told = [*STORY]
    told.append(made(Erase(ALICE, "me"), fold(*told)))

    assert read(told) == ""
