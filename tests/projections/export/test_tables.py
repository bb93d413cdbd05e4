from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING

from domain.posting import EARNED, available, held
from projections.export import tables
from projections.statement import Line, Stand
from tests.domain.given import ALICE, AT, MINT, name

if TYPE_CHECKING:
    from collections.abc import Iterable

BOTH = (available(ALICE), held(ALICE))
URL = f"mint:{MINT}"
HELD = Line(7, 0, AT, name(9), "hold.held", *BOTH, 1500, (98_500, 1500))
PAID = Line(8, 0, AT, name(9), "hold.charged", BOTH[1], EARNED, 1500, (98_500, 0))
CAME = Line(2, 0, AT, name(8), "deposit.credited", URL, BOTH[0], 100_000, (-100_000,))
BEGUN = Stand((100_000, 0))
BALANCES = {BOTH[0]: 98_500, EARNED: 1500, URL: -100_000}


def rows(parts: Iterable[str]) -> list[list[str]]:
    return list(csv.reader(io.StringIO("".join(parts))))


def test_a_chart_has_debits_and_credits_of_the_same_total() -> None:
    *_, total = "".join(tables.chart_text(BALANCES)).splitlines()

    assert total.split() == ["total", "100.000", "100.000"]


def test_an_empty_chart_is_nought() -> None:
    assert "".join(tables.chart_text({})).split()[-2:] == ["0.000", "0.000"]


def test_a_chart_is_told_in_msat_to_programs() -> None:
    told = json.loads("".join(tables.chart_json(BALANCES, 9)))

    assert told["position"] == 9
    assert rows(tables.chart_csv(BALANCES))[1:] == [
        [*(str(cell) for cell in account.values()), "", "", ""] for account in told["accounts"]
    ]
    assert told["accounts"][2] == {
        "account": URL,
        "name": "Assets:Mint:Mint-example-99cc25d7",
        "debit_msat": 100_000,
        "credit_msat": 0,
    }


def test_a_clients_statement_has_what_is_available_beside_what_is_held() -> None:
    text = "".join(tables.statement_text(BOTH, BEGUN, [HELD, PAID], "")).splitlines()

    assert text[0].split()[-4:] == ["available", "held", "in", "USD"]
    assert text[1].split() == ["opening", "100.000", "0.000"]
    assert text[2].split()[2:6] == ["hold.held", "1.500", "98.500", "1.500"]
    assert text[3].split()[2:6] == ["hold.charged", "-1.500", "98.500", "0.000"]
    assert text[4].split() == ["closing", "98.500", "0.000"]


def test_what_we_have_grows_when_it_comes_in() -> None:
    (line,) = [tables.line_document(CAME, (URL,))]

    assert (line["amount_msat"], line["balance_msat"]) == (100_000, 100_000)
    assert tables.change_msat(CAME._replace(source=BOTH[0], destination=URL), (URL,)) < 0


def test_what_we_owe_grows_when_it_comes_in() -> None:
    assert tables.change_msat(CAME, BOTH) == 100_000
    assert tables.change_msat(PAID, (EARNED,)) == 1500


def test_a_statement_is_one_json_document_of_lines() -> None:
    told = json.loads("".join(tables.statement_json(BOTH, BEGUN, [HELD, PAID], "", 9)))

    assert told["opening"] == {"available_msat": 100_000, "held_msat": 0}
    assert told["closing"] == {"available_msat": 98_500, "held_msat": 0}
    assert [line["position"] for line in told["lines"]] == [7, 8]
    assert (told["accounts"], told["position"]) == (list(BOTH), 9)


def test_a_statement_is_a_table_from_opening_to_closing() -> None:
    came = CAME._replace(btc_usd="50000")

    heading, opening, *lines, closing = rows(
        tables.statement_csv((URL,), Stand((0,)), [came], "60000")
    )

    assert heading == [*tables.LINES, "balance_msat", "btc_usd", "amount_usd", "balance_usd"]
    assert (opening[2], opening[7:]) == ("opening", ["0", "", "", ""])
    what = ["2", AT.isoformat(), "deposit.credited", str(name(8)), URL, BOTH[0]]
    assert lines == [[*what, "100000", "100000", "50000", "0.05000000", "0.05000000"]]
    assert (closing[2], closing[7:]) == ("closing", ["100000", "60000", "", "0.06000000"])


def test_amounts_are_told_in_dollars_where_there_was_a_rate() -> None:
    held = HELD._replace(btc_usd="50000")
    text = "".join(tables.statement_text(BOTH, BEGUN, [held, PAID], "60000")).splitlines()
    chart = "".join(tables.chart_text(BALANCES, "50000")).splitlines()

    # 1,500 msat at 50,000 dollars for 100,000,000,000 of them, and 100,000 msat.
    assert text[2].split()[3:8] == ["1.500", "0.00075000", "98.500", "1.500", "0.05000000"]
    assert text[3].split()[3:6] == ["-1.500", "98.500", "0.000"]
    assert text[4].split()[-1] == "0.05910000"
    assert chart[0].split()[-2:] == ["in", "USD"]
    assert [line.split()[-1] for line in chart[1:]] == [
        *("0.04925000", "0.00075000", "0.05000000"),
        "0.05000000",
    ]


def test_programs_are_told_dollars_beside_msat() -> None:
    told = json.loads("".join(tables.chart_json(BALANCES, 9, "50000")))
    heading, *_, mint = rows(tables.chart_csv(BALANCES, "50000"))

    assert told["btc_usd"] == "50000"
    assert told["accounts"][2]["debit_usd"] == "0.05000000"
    assert dict(zip(heading, mint, strict=True)) == {
        "account": URL,
        "name": "Assets:Mint:Mint-example-99cc25d7",
        "debit_msat": "100000",
        "credit_msat": "0",
        "btc_usd": "50000",
        "debit_usd": "0.05000000",
        "credit_usd": "0.00000000",
    }


def test_below_zero_is_a_number_and_no_formula() -> None:
    paid = PAID._replace(btc_usd="50000")

    line = rows(tables.statement_csv(BOTH, BEGUN, [paid], ""))[2]

    assert line[-4:] == ["50000", "-0.00075000", "0.04925000", "0.00000000"]
