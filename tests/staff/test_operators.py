from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from app.staff.errors import OperatorThereError, PasswordError, UnknownOperatorError
from app.staff.passwords import Hasher, made_up
from domain.errors import InvalidOperatorError
from domain.operators import OperatorActed, OperatorSet
from domain.rights import SCOPES
from tests.staff.desk import QUICK_KIB, events_in, operators_of

if TYPE_CHECKING:
    from domain.rights import OperatorRow
    from tests.store.places import Store

PASSWORD, OTHER = "correct horse battery", "a password of the settings"


def test_an_operator_is_known_by_name_and_password_alone(store: Store) -> None:
    operators = operators_of(store)

    operators.add("ann", PASSWORD, ["withdraw", "audit"], "me")

    found = operators.with_password("ann", PASSWORD)
    assert found is not None
    assert (found.name, found.scopes) == ("ann", ("audit", "withdraw"))
    assert operators.with_password("ann", PASSWORD[:-1]) is None
    assert operators.with_password("bob", PASSWORD) is None
    assert operators.with_password("ann\x00", PASSWORD) is None


def test_the_log_holds_neither_password_nor_hash(store: Store) -> None:
    """M48."""
    operators_of(store).add("ann", PASSWORD, SCOPES, "me")

    with store.transaction() as query:
        log = repr(query("SELECT state FROM stored_events"))
        ((kept,),) = query("SELECT hash FROM operator_password")

    assert kept.startswith("$argon2id$")
    assert PASSWORD not in log + kept
    assert "argon2" not in log


def test_another_password_takes_the_place_of_the_one_before(store: Store) -> None:
    operators = operators_of(store)
    operators.add("ann", PASSWORD, SCOPES, "me")
    before = operators.known("ann")

    operators.set_password("ann", OTHER, "ann")

    after = operators.known("ann")
    assert operators.with_password("ann", PASSWORD) is None
    assert operators.with_password("ann", OTHER) == after
    assert before is not None
    assert after is not None
    assert after.version > before.version
    with store.transaction() as query:
        assert query("SELECT COUNT(*) FROM operator_password")[0][0] == 1


def test_the_first_operator_is_made_by_its_password(store: Store) -> None:
    operators = operators_of(store)

    operators.set_password("admin", PASSWORD, "me")

    found = operators.with_password("admin", PASSWORD)
    assert found is not None
    assert found.scopes == SCOPES


def test_the_password_of_the_settings_is_the_first_operators_and_goes_before(
    store: Store,
) -> None:
    operators_of(store).set_password("admin", PASSWORD, "me")
    operators = operators_of(store, OTHER)

    assert operators.with_password("admin", PASSWORD) is None
    assert operators.with_password("admin", OTHER) is not None


def test_the_operator_of_the_settings_is_recorded_when_they_come(store: Store) -> None:
    operators = operators_of(store, OTHER)
    assert operators.all() == []

    operators.with_password("admin", OTHER)
    operators.with_password("admin", OTHER)

    (event,) = events_in(store)
    assert isinstance(event, OperatorSet)
    assert (event.name, event.who, event.scopes) == ("admin", "settings", SCOPES)
    assert operators_of(store).with_password("admin", OTHER) is None


def test_two_processes_that_meet_the_first_operator_at_once_record_one(store: Store) -> None:
    class Late:
        """Books that are read just before somebody else writes, once."""

        def __init__(self) -> None:
            self.first = True

        def operators(self) -> dict[str, OperatorRow]:
            found = {} if self.first else store.operators()
            self.first = False
            return found

    operators_of(store, OTHER).with_password("admin", OTHER)
    late = operators_of(store, OTHER)
    late._books = Late()

    found = late.with_password("admin", OTHER)

    assert found is not None
    assert len(events_in(store)) == 1


def test_who_is_removed_is_known_no_more(store: Store) -> None:
    operators = operators_of(store)
    operators.add("ann", PASSWORD, SCOPES, "me")

    operators.remove("ann", "me")

    assert operators.with_password("ann", PASSWORD) is None
    with store.transaction() as query:
        assert query("SELECT COUNT(*) FROM operator_password")[0][0] == 0


def test_other_scopes_keep_the_password(store: Store) -> None:
    operators = operators_of(store)
    operators.add("ann", PASSWORD, SCOPES, "me")

    operators.set_scopes("ann", ["audit"], "me")

    found = operators.with_password("ann", PASSWORD)
    assert found is not None
    assert found.scopes == ("audit",)


def test_what_was_done_is_an_event_with_who_did_it(store: Store) -> None:
    operators_of(store).note("ann", "exported", "events as csv")

    (event,) = events_in(store)
    assert isinstance(event, OperatorActed)
    assert (event.who, event.act, event.about) == ("ann", "exported", "events as csv")


@pytest.mark.parametrize("short", ["", "x" * 11, "x" * 1001])
def test_a_password_is_neither_short_nor_endless(store: Store, short: str) -> None:
    with pytest.raises(PasswordError, match="12 to 1000"):
        operators_of(store).add("ann", short, SCOPES, "me")

    assert events_in(store) == []


def test_a_name_is_taken_once_and_scopes_are_needed(store: Store) -> None:
    operators = operators_of(store)
    operators.add("ann", PASSWORD, SCOPES, "me")

    with pytest.raises(OperatorThereError, match="ann"):
        operators.add("ann", PASSWORD, SCOPES, "me")
    with pytest.raises(InvalidOperatorError, match="scopes"):
        operators.add("bob", PASSWORD, [], "me")
    for change in (operators.remove, operators.sign_out):
        with pytest.raises(UnknownOperatorError, match="bob"):
            change("bob", "me")


def test_a_hash_that_is_damaged_opens_nothing() -> None:
    hasher = Hasher(memory_kib=QUICK_KIB)

    assert not hasher.is_right("$argon2id$broken", PASSWORD)
    assert not hasher.is_right(None, PASSWORD)


def test_a_password_that_is_made_up_is_long_and_another_each_time() -> None:
    assert len(made_up()) == 24
    assert made_up() != made_up()
