from __future__ import annotations

from typing import TYPE_CHECKING

from domain.invoice import Bill
from projections.follow import catch_up
from projections.invoices import INVOICES, find_invoice
from tests.domain.given import ALICE, AT, MINT
from tests.projections.story import Story, put

if TYPE_CHECKING:
    from uuid import UUID

    from tests.store.places import Place, Store


def open_invoice(story: Story, request: str) -> UUID:
    stream = story.new()
    bill = Bill(
        account_id=ALICE,
        mint=MINT,
        unit="sat",
        amount=1,
        quote="quote",
        request=request,
        purpose="topup",
        expires_at=AT,
    )
    story.ledger.open_invoice(stream, bill)
    return stream


def follow(store: Store) -> None:
    catch_up(store, INVOICES.name, lambda _done, _all: None)


def test_an_invoice_is_found_by_its_text_in_either_case(place: Place) -> None:
    story, store = Story(), place.open()
    story.deposit(ALICE, 10)
    first, second = open_invoice(story, "lnbc1FIRST"), open_invoice(story, "lnbc1second")
    put(store, story.entries)
    follow(store)

    assert find_invoice(store, "LNBC1first") == first
    assert find_invoice(store, "lnbc1second") == second
    assert find_invoice(store, "lnbc1third") is None


def test_one_that_was_not_followed_yet_is_found_in_the_log(place: Place) -> None:
    story, store = Story(), place.open()
    put(store, story.entries)
    follow(store)
    stream = open_invoice(story, "lnbc1new")
    put(store, story.entries)

    assert find_invoice(store, "LNBC1new") == stream
    assert find_invoice(store, "lnbc1old") is None


def test_two_invoices_of_one_text_do_not_stop_the_follower(place: Place) -> None:
    story, store = Story(), place.open()
    both = {open_invoice(story, "lnbc1same"), open_invoice(story, "lnbc1same")}
    put(store, story.entries)

    follow(store)

    assert find_invoice(store, "lnbc1same") in both
