"""M38, M43, M48: a withdrawal from the auditor's view, from its plan to its end."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from app.cashier.withdrawal import Withdrawals
from app.web.admin.session import FRESH_S
from domain.operators import OperatorActed
from domain.refund import Started
from projections.follow import catch_up
from projections.sheets import SHEETS
from tests.cashier.recipients import Bob
from tests.cashier.test_earnings import earn, free_msat
from tests.projections.story import Story
from tests.staff.desk import events_in, operators_of
from tests.web.admin.conftest import PASSWORD, TOKEN, View, view_of
from tests.web.admin.reading import rows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from werkzeug.test import TestResponse

    from tests.cashier.conftest import Build, OpenMint
    from tests.cashier.house import House, MoodyMint
    from tests.store.places import Store

FIELD = re.compile(r'<input type="hidden" name="([a-z_]+)" value="([^"]*)"')
ASKED = {"way": "lightning", "most_sat": "100"}


@pytest.fixture
def bob(open_mint: OpenMint, mint: MoodyMint) -> Iterator[Bob]:
    """The owner, of an address elsewhere."""
    bank = open_mint("bank", pays_invoices=False)
    mint.peers.append(bank)
    with Bob(bank) as bob:
        yield bob


@pytest.fixture
def house(build: Build, mint: MoodyMint, bob: Bob) -> House:
    """Alice has paid 1,000 sat in and spent 300 of it."""
    house = build(mint, allow=[bob.netloc], on_its_way=timedelta(0))
    earn(house, mint)
    return house


@pytest.fixture
def till(house: House, desk: Store) -> View:
    """A signed-in browser at a house that has earned something."""
    withdrawals = Withdrawals(house.payouts, house.refunds, house.mints, house.store)
    view = view_of(house.store, Story(), desk, withdrawals=withdrawals)
    tell(house)
    assert view.sign_in().status_code == 303
    return view


def tell(house: House) -> None:
    for sheet in SHEETS:
        catch_up(house.store, sheet.name, lambda _done, _all: None)


def post(view: View, what: str, **form: str) -> TestResponse:
    token = TOKEN.search(view.page("/admin/payouts/"))
    assert token
    form = {**form, "form_token": token[1]}
    return view.browser.post(f"/admin/payouts/{what}", data=form)


def planned(view: View, mint: MoodyMint, **form: str) -> dict[str, str]:
    """What the second form has in it when the first was sent."""
    answer = post(view, "plan", mint=mint.url, **{**ASKED, **form})
    assert answer.status_code == 200, answer.text
    return {name: text for name, text in FIELD.findall(answer.text) if name != "form_token"}


def test_a_withdrawal_is_shown_and_then_paid(
    till: View,
    house: House,
    mint: MoodyMint,
    bob: Bob,
) -> None:
    form = planned(till, mint, address=bob.address)
    assert bob.paid_sat == []

    answer = post(till, "withdraw", **form)
    tell(house)
    page = till.page(answer.headers["Location"])

    (paid,) = [row for row in rows(page) if "admin" in row]
    assert answer.status_code == 303
    assert len(bob.paid_sat) == 1
    assert paid[1].startswith("payout.paid")
    assert "It has been paid." in page
    assert free_msat(house) >= house.available_msat()


def test_the_same_form_twice_pays_once(
    till: View,
    mint: MoodyMint,
    bob: Bob,
) -> None:
    form = planned(till, mint, address=bob.address)

    answers = [post(till, "withdraw", **form) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [303, 303]
    assert len(bob.paid_sat) == 1


@pytest.mark.parametrize("password", [None, "", "wrong"])
def test_without_a_fresh_password_no_money_moves(
    till: View,
    mint: MoodyMint,
    bob: Bob,
    password: str | None,
) -> None:
    till.clock.now_s += FRESH_S
    form = planned(till, mint, address=bob.address)
    given = {} if password is None else {"password": password}

    answer = post(till, "withdraw", **form, **given)

    assert answer.status_code == 403
    assert 'name="password"' in answer.text
    assert bob.paid_sat == []


def test_the_password_given_with_the_form_is_fresh_for_some_minutes(
    till: View,
    mint: MoodyMint,
    bob: Bob,
) -> None:
    till.clock.now_s += FRESH_S
    form = planned(till, mint, address=bob.address)

    first = post(till, "withdraw", **form, password=PASSWORD)
    second = post(till, "withdraw", **planned(till, mint, address=bob.address))

    assert (first.status_code, second.status_code) == (303, 303)
    assert len(bob.paid_sat) == 2


def test_a_token_is_shown_once_and_again_until_it_is_redeemed(
    till: View,
    house: House,
    mint: MoodyMint,
) -> None:
    """M48: the log names no token, and who looked at it again is an event."""
    shown = post(till, "withdraw", **planned(till, mint, way="token"))
    tell(house)
    movement = next(stream for stream, _ in tokens_out(house))

    again = post(till, "token", movement=str(movement))

    token = next(word for word in re.split(r"[<>\s]", shown.text) if word.startswith("cashuB"))
    assert token in again.text
    assert token not in till.page("/admin/payouts/")
    assert token not in repr(house.log())
    assert acts(till)[-1] == ("admin", "fetched a token", str(movement))
    assert "no-store" in again.headers["Cache-Control"]


def tokens_out(house: House) -> list[Any]:
    entries = [placed.entry for page in house.store.log() for placed in page]
    return [(each.stream, each) for each in entries if isinstance(each.event, Started)]


def acts(view: View) -> list[tuple[str, str, str]]:
    return [
        (event.who, event.act, event.about)
        for event in events_in(view.desk)
        if isinstance(event, OperatorActed)
    ]


@pytest.mark.parametrize(
    ("form", "status", "says"),
    [
        ({"way": "by post"}, 400, "no such way"),
        ({"most_sat": ""}, 400, "how much"),
        ({"most_sat": "-5"}, 400, "amount in sat"),
        ({"most_sat": "1e9"}, 400, "amount in sat"),
        ({"way": "lightning"}, 400, "Lightning address"),
        ({"address": "nonsense"}, 409, "alert"),
        ({"address": "owner@127.0.0.1"}, 409, "alert"),
        ({"way": "token", "mint": "https://other.example"}, 409, "is trusted here"),
        ({"way": "token", "most_sat": "0.5"}, 409, "alert"),
    ],
)
def test_what_makes_no_sense_is_told_and_begins_nothing(
    till: View,
    house: House,
    mint: MoodyMint,
    form: dict[str, str],
    status: int,
    says: str,
) -> None:
    before = len(house.log())

    answer = post(till, "plan", **{"mint": mint.url, **ASKED, **form})

    assert answer.status_code == status, answer.text
    assert says in answer.text
    assert len(house.log()) == before


def test_who_may_only_read_sees_no_form(till: View) -> None:
    operators_of(till.desk).add("reader", PASSWORD, ["audit"], "a test")
    till.browser.delete_cookie("tallystick_auditor", path="/admin")
    till.sign_in(name="reader")

    page = till.page("/admin/payouts/")

    operators_of(till.desk).remove("reader", "a test")
    assert "What the owner could take" in page
    assert "Show the plan" not in page
