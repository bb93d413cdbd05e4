from __future__ import annotations

import csv
import io
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from app.web.admin.log import Log
from app.web.bearer import Bearer
from app.web.statement import Books, blueprint
from domain.identity import account_of_key
from projections.follow import catch_up
from projections.sheets import SHEETS
from tests.web.conftest import COST_MSAT, House, bearer

if TYPE_CHECKING:
    from collections.abc import Callable

    from werkzeug.test import TestResponse

    from projections.chart import Query

STATEMENT, USAGE = "/v1/balance/statement", "/v1/usage"


@pytest.fixture
def house(house: House) -> House:
    """The house with these doors too."""

    def look(read: Callable[[Query], Any]) -> Any:
        with house.store.snapshot() as query:
            return read(query)

    bearer_ = Bearer(house.deposits, house.store.account, house.store.key)
    log = Log(house.store.position, house.store.mapper.decode)
    house.app.register_blueprint(blueprint(Books(bearer_, look, log.movement)))
    return house


@pytest.fixture
def key(house: House) -> str:
    """The key of an account that has paid for two requests, and of which all is told."""
    api_key, other = house.key(1000), house.key(500)
    for each in (api_key, api_key, other):
        assert house.ask(each).status_code == 200
    follow(house)
    return api_key


def follow(house: House) -> None:
    for sheet in SHEETS:
        catch_up(house.store, sheet.name, lambda _done, _all: None)


def get(house: House, key: str, path: str, **query: str) -> TestResponse:
    return house.client.get(path, query_string=query, headers=bearer(key))


def told(house: House, key: str, path: str, **query: str) -> Any:
    answer = get(house, key, path, **query)
    assert answer.status_code == 200
    return answer.json


def test_a_statement_goes_from_the_first_deposit_to_what_is_there_now(
    house: House, key: str
) -> None:
    found = told(house, key, STATEMENT)

    assert found["account"] == str(account_of_key(key))
    assert found["opening"] == {"available_msat": 0, "held_msat": 0}
    assert found["closing"]["available_msat"] == house.wallet(key)["balance"]
    assert [line["event"] for line in found["lines"]] == [
        *("deposit.credited", "deposit.credited"),  # what came in, and the mint's fee
        *("hold.held", "hold.charged", "hold.charged") * 2,
    ]
    assert found["position"] == house.store.head()
    assert found["next"] is None


def test_nobody_sees_anothers_lines(house: House, key: str) -> None:
    mine = f"client:{account_of_key(key)}:"

    found = told(house, key, STATEMENT)

    for line in found["lines"]:
        assert mine in f"{line['source']} {line['destination']}"
        clients = [n for n in (line["source"], line["destination"]) if n.startswith("client:")]
        assert all(name.startswith(mine) for name in clients)


def test_read_in_parts_a_statement_loses_and_repeats_nothing(house: House, key: str) -> None:
    whole = told(house, key, STATEMENT)["lines"]

    lines: list[dict[str, Any]] = []
    link = f"{STATEMENT}?limit=2"
    while link:
        answer = house.client.get(link, headers=bearer(key))
        assert answer.json
        lines += answer.json["lines"]
        link = answer.headers.get("Link", "").partition(">")[0].removeprefix("<")

    assert lines == whole


def test_the_balance_as_of_a_moment_is_told(house: House, key: str) -> None:
    lines = told(house, key, STATEMENT)["lines"]

    before = told(house, key, STATEMENT, as_of=lines[3]["time"])

    assert before["available_msat"] == lines[2]["available_msat"]
    assert before["held_msat"] == lines[2]["held_msat"] > 0


def test_a_period_has_its_opening(house: House, key: str) -> None:
    lines = told(house, key, STATEMENT)["lines"]
    bounds = {"from": lines[2]["time"], "to": lines[-1]["time"]}

    found = told(house, key, STATEMENT, **bounds)

    assert found["opening"]["available_msat"] == lines[1]["available_msat"]
    assert found["lines"] == [line for line in lines if line["time"] < lines[-1]["time"]][2:]


def test_a_statement_can_be_opened_in_a_spreadsheet(house: House, key: str) -> None:
    answer = get(house, key, "/v1/wallet/statement", format="csv")

    rows = list(csv.reader(io.StringIO(answer.text)))
    assert answer.content_type == "text/csv; charset=utf-8"
    closing = dict(zip(rows[0], rows[-1], strict=True))
    assert closing["available_msat"] == str(house.wallet(key)["balance"])
    assert (closing["held_msat"], closing["btc_usd"], closing["held_usd"]) == ("0", "", "")
    assert answer.headers["Cache-Control"] == "no-store"


def test_before_there_was_a_rate_nothing_is_told_in_dollars(house: House, key: str) -> None:
    found = told(house, key, STATEMENT)

    assert [name for name in found["lines"][0] if "usd" in name] == []
    assert [name for name in found["closing"] if "usd" in name] == []


def test_dollars_stand_beside_msat_at_the_rate_of_then(house: House) -> None:
    api_key = house.key(1000)
    begin = house.store.now()
    house.ledger.observe_rate(uuid4(), "50000", ("here",))
    topped_up = house.client.post(
        "/v1/wallet/topup",
        json={"cashu_token": house.mint.fund(500)},
        headers=bearer(api_key),
    )
    house.ledger.observe_rate(uuid4(), "40000", ("here",))
    follow(house)

    found = told(house, api_key, STATEMENT, **{"from": begin.isoformat()})
    as_of = told(house, api_key, STATEMENT, as_of=begin.isoformat())
    now = told(house, api_key, STATEMENT, as_of=house.store.now().isoformat())

    assert topped_up.status_code == 200
    came, *_ = found["lines"]
    # 500,000 msat at 50,000 dollars for 100,000,000,000; what is there now at 40,000.
    assert (came["amount_msat"], came["amount_usd"]) == (500_000, "0.25000000")
    assert came["btc_usd"] == "50000"
    available = found["closing"]["available_msat"]
    worth = f"0.{available * 40:08d}"
    assert found["closing"] | {"held_msat": 0} == {
        "available_msat": available,
        "held_msat": 0,
        "available_usd": worth,
        "held_usd": "0.00000000",
        "btc_usd": "40000",
    }
    assert now["available_usd"] == worth
    assert set(found["opening"]) == {"available_msat", "held_msat"} < set(as_of)


def test_usage_is_told_by_day_and_model(house: House, key: str) -> None:
    found = told(house, key, USAGE)

    (line,) = found["usage"]
    assert line["model"] == "maker/plain"
    assert line["day"] == datetime.now(UTC).date().isoformat()
    assert line["requests"] == 2
    assert line["cost_msat"] == found["total"]["cost_msat"] == 2 * COST_MSAT


@pytest.mark.parametrize("group_by", ["day", "model", "none"])
def test_usage_can_be_added_up(house: House, key: str, group_by: str) -> None:
    (line,) = told(house, key, USAGE, group_by=group_by)["usage"]

    assert {"day", "model"} & set(line) == {group_by} - {"none"}
    assert line["requests"] == 2


def test_the_balance_as_of_a_moment_can_be_opened_in_a_spreadsheet(
    house: House, key: str
) -> None:
    house.ledger.observe_rate(uuid4(), "50000", ("here",))
    follow(house)
    now = house.store.now().isoformat()

    found = told(house, key, STATEMENT, as_of=now)
    answer = get(house, key, STATEMENT, as_of=now, format="csv")
    wrong = get(house, key, STATEMENT, as_of=now, format="xml")

    (row,) = csv.DictReader(io.StringIO(answer.text))
    assert row == {name: str(value) for name, value in found.items()}
    assert row["btc_usd"] == "50000"
    assert wrong.status_code == 400


def test_usage_is_of_its_own_account_and_of_its_days_alone(house: House, key: str) -> None:
    today = datetime.now(UTC).date()
    tomorrow, next_day = today + timedelta(days=1), today + timedelta(days=2)
    other = house.key(500)

    def requests(who: str, begin: date, end: date) -> int:
        days = {"from": begin.isoformat(), "to": end.isoformat()}
        return int(told(house, who, USAGE, **days)["total"]["requests"])

    assert requests(key, today, tomorrow) == requests(key, today, next_day) == 2
    assert requests(key, tomorrow, next_day) == 0
    assert requests(key, today - timedelta(days=3), today) == 0
    assert requests(other, today, tomorrow) == 0


def test_usage_can_be_opened_in_a_spreadsheet(house: House, key: str) -> None:
    answer = get(house, key, USAGE, format="csv", group_by="model")

    (row,) = csv.DictReader(io.StringIO(answer.text))
    assert (row["model"], row["cost_msat"]) == ("maker/plain", str(2 * COST_MSAT))


@pytest.mark.parametrize(
    ("path", "name", "value"),
    [
        (STATEMENT, "from", "yesterday"),
        (STATEMENT, "as_of", "2026-01-32"),
        (STATEMENT, "limit", "0"),
        (STATEMENT, "limit", "10001"),
        (STATEMENT, "after", "1"),
        (STATEMENT, "format", "xml"),
        (USAGE, "from", "2020-01-01"),
        (USAGE, "to", "2020-01-01T12:00:00Z"),
        (USAGE, "to", "tomorrow"),
        (USAGE, "group_by", "hour"),
        (USAGE, "format", "xml"),
    ],
)
def test_what_makes_no_sense_is_said_by_its_name(
    house: House, key: str, path: str, name: str, value: str
) -> None:
    answer = get(house, key, path, **{name: value})

    assert answer.status_code == 400
    assert answer.json
    assert answer.json["error"]["param"] == name


def test_as_of_goes_without_a_period(house: House, key: str) -> None:
    answer = get(house, key, STATEMENT, **{"as_of": "2026-01-01", "from": "2026-01-01"})

    assert answer.status_code == 400


@pytest.mark.parametrize("path", [STATEMENT, USAGE, "/v1/wallet/statement"])
def test_without_a_key_nothing_is_told(house: House, path: str) -> None:
    assert house.client.get(path).status_code == 401
    assert get(house, "sk-unknown", path).status_code == 401


def test_while_the_journal_is_made_anew_one_is_asked_to_come_again(
    house: House, key: str
) -> None:
    house.store.forget("journal")

    answer = get(house, key, STATEMENT)

    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "10"
    assert answer.json
    assert answer.json["error"]["code"] == "statement_not_ready"


def test_an_empty_future_is_no_error(house: House, key: str) -> None:
    tomorrow = (datetime.now(UTC) + timedelta(days=2)).date().isoformat()

    found = told(house, key, STATEMENT, **{"from": tomorrow})

    assert found["lines"] == []
    assert found["opening"] == found["closing"]
