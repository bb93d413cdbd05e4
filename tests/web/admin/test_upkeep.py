"""What the back office does and what the mints said, as the pages tell it."""

from __future__ import annotations

import re
import time
from datetime import timedelta
from html import unescape
from typing import TYPE_CHECKING

import pytest

from app.cashier.enquiry import Enquiry
from app.cashier.errors import RefundPendingError
from app.cashier.reconcile import Reconciliation
from app.diary import Diary
from app.gateways.mint import crypto
from app.store.threads import changing_one_by_one
from domain.guards import ISSUED, REFUND
from domain.msat import Msat
from domain.operators import OperatorActed
from tests.cashier.house import ALICE, BOB, SEED
from tests.domain.given import MINT
from tests.doubles.mint import Fault
from tests.projections.story import Story
from tests.staff.desk import events_in
from tests.web.admin.conftest import TOKEN, View, view_of
from tests.web.admin.reading import rows

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from werkzeug.test import TestResponse

    from app.cashier.reconcile import Report
    from tests.cashier.conftest import Build
    from tests.cashier.house import House, MoodyMint
    from tests.store.places import Store


@pytest.fixture
def house(build: Build, mint: MoodyMint) -> House:
    house = build(mint)
    house.deposit(mint.fund(100))
    return house


def too_late(_stream: UUID) -> bool:
    raise TimeoutError("No answer.")


@pytest.fixture
def counter(house: House, desk: Store) -> View:
    """A signed-in browser at a house whose mint can be asked."""
    enquiry = Enquiry(
        house.store, {REFUND: house.refunds.resume, ISSUED: house.refunds.collected}
    )
    comparing = Reconciliation(house.ledger, house.mints, house.store, timedelta(hours=1))
    return at(house.store, desk, enquiry.ask, comparing.compare)


def at(
    store: Store,
    desk: Store,
    ask: Callable[[UUID], bool] | None = None,
    compare: Callable[[str], Report] | None = None,
) -> View:
    view = view_of(store, Story(), desk, ask_again=ask, compare=compare)
    assert view.sign_in().status_code == 303
    return view


def post(view: View, path: str, **form: str) -> TestResponse:
    token = TOKEN.search(view.page("/admin/jobs/"))
    assert token
    return view.browser.post(path, data={**form, "form_token": token[1]})


def test_a_movement_is_asked_about_again_and_that_is_an_event(
    counter: View, house: House
) -> None:
    refund = house.refunds.refund(ALICE)
    page = counter.page("/admin/unfinished/")
    assert page.count("Ask again") == 1

    before = post(counter, "/admin/unfinished/ask", movement=str(refund.refund_id))
    house.deposit(refund.token, BOB)
    after = post(counter, "/admin/unfinished/ask", movement=str(refund.refund_id))

    assert "It has no end yet." in before.text
    assert "It has come to its end." in after.text
    asked = [e for e in events_in(counter.desk) if isinstance(e, OperatorActed)][-2:]
    assert [(event.who, event.act, event.about) for event in asked] == [
        ("admin", "asked again", str(refund.refund_id))
    ] * 2


@pytest.mark.parametrize("movement", ["00000000-0000-4000-8000-0000000fffff"])
def test_what_is_over_is_said_to_be(counter: View, movement: str) -> None:
    answer = post(counter, "/admin/unfinished/ask", movement=movement)

    assert answer.status_code == 409
    assert "waits for no answer" in answer.text


def test_a_mint_that_does_not_answer_keeps_nobody(house: House, desk: Store) -> None:
    refund = house.refunds.refund(ALICE)
    view = at(house.store, desk, too_late)

    answer = post(view, "/admin/unfinished/ask", movement=str(refund.refund_id))

    assert answer.status_code == 409
    assert "No answer." in answer.text


def test_a_house_that_asks_no_mint_says_so(view: View) -> None:
    some = "00000000-0000-4000-8000-000000000001"

    assert post(view, "/admin/unfinished/ask", movement=some).status_code == 400
    assert post(view, "/admin/reconciliation/compare", mint=MINT).status_code == 400


def test_a_comparison_is_told_by_name_and_its_proofs_are_listed(
    counter: View, house: House, mint: MoodyMint
) -> None:
    """M42."""
    worth = f"{house.refunds.refund(ALICE).amount}.000"
    Reconciliation(house.ledger, house.mints, house.store, timedelta(hours=1)).run()

    page = counter.page("/admin/reconciliation/")
    proofs = counter.page("/admin/reconciliation/proofs", mint=mint.url, name="uncollected")

    (row,) = [row for row in rows(page) if len(row) == 8 and row[1][1:].isdigit()]
    assert row[2:] == [worth, "0.000", "0.000", "0.000", worth, "0.000"]
    assert "agrees" in page
    (total,) = re.findall(r"<tfoot>.*?([0-9.]+)</td></tr></tfoot>", proofs)
    assert total == worth
    assert "issued" in proofs


@pytest.mark.parametrize(
    ("stuck_after", "column"), [(timedelta(hours=1), 4), (timedelta(0), 5)]
)
def test_what_is_in_flight_or_stuck_leads_to_its_proofs(
    counter: View, house: House, mint: MoodyMint, stuck_after: timedelta, column: int
) -> None:
    """M42."""
    mint.fault("swap", Fault.DROP_REQUEST, times=1_000)
    with pytest.raises(RefundPendingError):
        house.refunds.refund(ALICE, Msat(30_000))
    Reconciliation(house.ledger, house.mints, house.store, stuck_after).run()

    page = counter.page("/admin/reconciliation/")
    (row,) = [row for row in rows(page) if len(row) == 8 and row[1][1:].isdigit()]
    (address,) = re.findall(r'href="([^"]*name=in-flight[^"]*)"', page)
    proofs = counter.page(unescape(address))

    assert row[column] == "32.000"
    assert [cell for place, cell in enumerate(row[4:], 4) if place != column] == ["0.000"] * 3
    (total,) = re.findall(r"<tfoot>.*?([0-9.]+)</td></tr></tfoot>", proofs)
    assert total == "32.000"
    assert "refund" in proofs


def test_a_mint_is_asked_now_and_names_what_is_gone(
    counter: View, house: House, mint: MoodyMint
) -> None:
    """M42."""
    Reconciliation(house.ledger, house.mints, house.store, timedelta(hours=1)).run()
    before = len(house.log())
    key = next(iter(house.store.kept()[1].proofs.rows))
    mint.spent.add(crypto.hash_to_curve(SEED.derive(*key).secret))

    answer = post(counter, "/admin/reconciliation/compare", mint=mint.url)

    assert answer.status_code == 200, answer.text
    assert "look into it" in answer.text
    assert "The mint says" in answer.text
    assert len(house.log()) == before
    mint.spent.clear()


def test_a_difference_that_is_none_is_not_looked_into(view: View) -> None:
    path = "/admin/reconciliation/proofs"

    assert view.get(path, mint=MINT, name="odd").status_code == 400
    assert view.get(path, mint="https://none.example", name="in-flight").status_code == 404


def test_a_house_that_never_compared_says_how(empty: View) -> None:
    assert "tallystick reconcile" in empty.page("/admin/reconciliation/")


def test_jobs_are_told_with_their_last_and_next_run_and_their_error(
    desk: Store, store: Store
) -> None:
    diary = Diary(changing_one_by_one(store))
    diary.expect({"rate": 60.0, "seal": 5.0})
    with pytest.raises(ValueError, match="no"), diary.watched("rate"):
        raise ValueError("no rate <b>")
    diary.write()

    page = at(store, desk).page("/admin/jobs/")

    rate, seal = [row for row in rows(page) if row[0] in {"rate", "seal"}]
    assert (rate[1], rate[2], rate[6], rate[7]) == ("failed", "1 min", "1", "1")
    assert rate[8].startswith("ValueError: no rate <b>")
    assert (seal[1], seal[3]) == ("not yet run", "")
    assert "alert" not in page


def test_a_back_office_that_is_silent_is_an_alarm(desk: Store, store: Store) -> None:
    diary = Diary(changing_one_by_one(store), lambda: time.time() - 600)
    diary.expect({"rate": 60.0})
    with diary.watched("rate"):
        pass
    diary.write()

    page = at(store, desk).page("/admin/jobs/")

    assert "has not been heard of for 10 min" in page


def test_a_house_without_a_back_office_is_an_alarm_too(empty: View) -> None:
    assert "No back office was ever heard of here" in empty.page("/admin/jobs/")
