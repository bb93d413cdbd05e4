from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from domain.allowance import Rules
from domain.key import Changes
from domain.msat import Msat
from tests.domain.given import TERMS, USAGE, name
from tests.projections.story import Story
from tests.web.admin.conftest import fill, view_of
from tests.web.admin.reading import rows, sat_msat

if TYPE_CHECKING:
    from tests.store.places import Store

ALICE, BOB, CHILD = name(1), name(2), name(50)
END = datetime(2126, 1, 2, tzinfo=UTC)


def a_family() -> Story:
    """A parent with an end and a child with a limit, which has spent 700 msat."""
    story = Story()
    story.deposit(ALICE, 100)
    story.deposit(BOB, 100)
    rules = Rules(limit_msat=9_000, reset="weekly")
    story.ledger.make_key(CHILD, ALICE, name(51), rules)
    story.ledger.set_key(ALICE, ALICE, Changes(expires_at=END))
    hold_id = story.new()
    story.ledger.hold(hold_id, ALICE, Msat(2_000), TERMS, key_id=CHILD)
    story.ledger.charge(hold_id, ALICE, Msat(700), TERMS, USAGE, CHILD)
    return story


def test_an_accounts_page_tells_its_keys_and_what_each_has_spent(
    store: Store, desk: Store
) -> None:
    story = a_family()
    fill(store, story, seal=False)
    view = view_of(store, story, desk)
    view.sign_in()

    page = view.page("/admin/statement/", account=str(ALICE))
    keys = [row for row in rows(page) if row[0].endswith((" own", " child"))]
    other = view.page("/admin/statement/", account=str(BOB))

    assert [row[0].rpartition(" ")[2] for row in keys] == ["own", "child"]
    assert keys[0][1] == "none"
    assert keys[0][6].startswith("2126-01-02")
    assert keys[1][1].endswith(" weekly")
    assert [sat_msat(row[4]) for row in keys] == [700, 700]
    assert keys[1][5] == "1"
    assert 'aria-label="Keys"' not in other
    assert 'aria-label="Keys"' not in view.page("/admin/statement/", account="house:earned")


def test_a_child_is_found_by_its_id_and_its_event_names_it(store: Store, desk: Store) -> None:
    story = a_family()
    fill(store, story, seal=False)
    view = view_of(store, story, desk)
    view.sign_in()

    answer = view.get("/admin/accounts/", id=str(CHILD))
    of_key = view.page("/admin/events/", request=str(CHILD))
    last = view.page(f"/admin/events/{store.head()}")

    assert str(ALICE) in answer.headers["Location"]
    assert "key.made" in of_key
    assert str(CHILD) in last


def test_what_named_an_erased_account_is_shown_as_erased(store: Store, desk: Store) -> None:
    story = Story()
    for account_id in (ALICE, BOB):
        story.deposit(account_id, 100)
        story.ledger.set_key(account_id, account_id, Changes(refund_to="c2VhbGVk"))
    story.ledger.erase(ALICE, "me")
    fill(store, story, seal=False)
    view = view_of(store, story, desk)
    view.sign_in()
    head = store.head()

    of_alice, of_bob, erasure = (view.page(f"/admin/events/{head - n}") for n in (4, 1, 0))
    keys = view.page("/admin/statement/", account=str(ALICE))

    assert ">erased</dd>" in of_alice
    assert ">sealed</dd>" in of_bob
    assert "c2VhbGVk" not in of_alice + of_bob
    assert str(ALICE) in erasure
    assert "own erased" in [row[0].partition(" ")[2] for row in rows(keys)]
    assert "erased" not in view.page("/admin/statement/", account=str(BOB))
