from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from domain.hold import Charged
from tests.domain.given import ALICE
from tests.store.places import drop_guards_of_the_log
from tests.store.work import a_day, fund, ledger_on, serve, verified

if TYPE_CHECKING:
    from tests.store.places import Place, Store


@pytest.fixture
def worked(place: Place) -> Store:
    """A store after a day's work, about which verify has nothing to say."""
    store = place.open()
    a_day(store, ALICE)
    assert verified(store) is None
    return store


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        ("UPDATE balance SET available_msat = available_msat + 1", "accounts"),
        ("UPDATE balance SET held_msat = held_msat + 1", "accounts"),
        ("UPDATE balance SET mint = 'https://evil.example'", "accounts"),
        ("DELETE FROM balance", "accounts"),
        ("DELETE FROM open_hold", "holds"),
        ("UPDATE open_hold SET amount_msat = 1", "holds"),
        ("UPDATE open_hold SET owner = 'nobody'", "holds"),
        ("UPDATE balance SET keyed = 0", "accounts"),
        ("UPDATE open_hold SET key_id = account_id", "holds"),
        ("DELETE FROM api_key WHERE parent_id IS NOT NULL", "keys"),
        ("UPDATE api_key SET limit_msat = 10000000 WHERE limit_msat > 0", "keys"),
        ("UPDATE api_key SET spent_msat = 0 WHERE limit_msat > 0", "keys"),
        ("UPDATE api_key SET parent_id = NULL", "keys"),
        ("UPDATE api_key SET expires_at = NULL", "keys"),
        ("UPDATE api_key SET refund_to = 'evil'", "keys"),
        ("UPDATE api_key SET models = '[]'", "keys"),
        ("DELETE FROM open_movement WHERE kind = 'issued'", "movements"),
        ("UPDATE open_movement SET version = 9 WHERE kind = 'deposit'", "movements"),
        ("UPDATE keyset_counter SET next_counter = 0", "keysets"),
        ("DELETE FROM proof WHERE state = 'out'", "proofs"),
        ("UPDATE proof SET state = 'free', movement_id = NULL", "proofs"),
        ("UPDATE proof SET amount = amount + 1 WHERE state = 'free'", "proofs"),
        ("UPDATE newest_rate SET btc_usd = '1'", "rates"),
        ("UPDATE provider SET models = '[]'", "providers"),
        ("UPDATE operator SET scopes = '[\"withdraw\"]'", "operators"),
        ("UPDATE setting SET set_to = NULL", "settings"),
    ],
)
def test_a_guard_row_that_differs_is_named(
    place: Place, worked: Store, statement: str, says: str
) -> None:
    place.run(statement)

    found = verified(worked)

    assert found is not None
    assert found.startswith(f"{says} ")
    assert "the log says" in found


def test_a_false_amount_in_the_log_is_named(place: Place, worked: Store) -> None:
    _edit(place, "hold.charged", '"cost_msat":7000', '"cost_msat":6000')

    found = verified(worked)

    assert found is not None
    assert "hold.charged" in found
    assert "the parts of the cost do not add up" in found


def test_a_false_amount_that_adds_up_is_named_by_the_rows(place: Place, worked: Store) -> None:
    _edit(
        place,
        "hold.charged",
        '"cost_msat":7000,"from_hold_msat":7000',
        '"cost_msat":6000,"from_hold_msat":6000',
    )

    found = verified(worked)

    assert found is not None
    assert found.startswith(f"accounts {ALICE}")


def test_a_state_that_cannot_be_read_is_named(place: Place, worked: Store) -> None:
    _edit(place, "hold.held", '"amount_msat":', '"amount_msat":x')

    assert "a stored hold.held is damaged" in (verified(worked) or "")


def test_a_kind_that_is_not_ours_is_named(place: Place, worked: Store) -> None:
    drop_guards_of_the_log(place)
    place.run("UPDATE stored_events SET topic = 'os:system' WHERE topic = 'hold.released'")
    place.run("UPDATE stored_events SET topic = 'os:system' WHERE topic = 'rate.observed'")

    assert "unknown kind: 'os:system'" in (verified(worked) or "")


@pytest.mark.parametrize(
    ("topic", "says"),
    [
        ("hold.held", "ends a hold that is not open"),
        ("deposit.received", "follows nothing"),
        ("refund.started", "follows nothing"),
    ],
)
def test_a_beginning_that_is_gone_is_named(
    place: Place, worked: Store, topic: str, says: str
) -> None:
    drop_guards_of_the_log(place)
    place.run(f"DELETE FROM stored_events WHERE topic = '{topic}'")  # noqa: S608

    assert says in (verified(worked) or "")


def test_an_end_that_is_gone_is_named(place: Place, worked: Store) -> None:
    drop_guards_of_the_log(place)
    place.run("DELETE FROM stored_events WHERE topic = 'hold.charged'")

    assert (verified(worked) or "").startswith(f"accounts {ALICE}")


def test_a_second_end_is_named(place: Place, worked: Store) -> None:
    place.run(
        "INSERT INTO stored_events (originator_id, originator_version, topic, state)"
        " SELECT originator_id, 3, topic, state FROM stored_events"
        " WHERE topic = 'hold.charged'"
    )

    found = verified(worked)

    assert found is not None
    assert found.endswith("ends a hold that is not open")


def test_the_first_of_several_is_named(place: Place) -> None:
    store = place.open()
    ledger = ledger_on(store)
    fund(ledger, ALICE, 100)
    first, _second = (serve(ledger, ALICE, 20_000, 7_000) for _ in range(2))
    _edit(place, "hold.charged", '"cost_msat":7000', '"cost_msat":6000')

    found = verified(store)

    assert str(first) in (found or "")
    assert isinstance(store.history(first)[-1].event, Charged)


def _edit(place: Place, topic: str, old: str, new: str) -> None:
    """Rewrite the stored bytes of every event of a kind."""
    if place.engine == "sqlite":
        state = f"CAST(replace(CAST(state AS TEXT), '{old}', '{new}') AS BLOB)"
    else:
        state = f"convert_to(replace(convert_from(state, 'UTF8'), '{old}', '{new}'), 'UTF8')"
    drop_guards_of_the_log(place)
    update = f"UPDATE stored_events SET state = {state} WHERE topic = '{topic}'"  # noqa: S608
    place.run(update)
