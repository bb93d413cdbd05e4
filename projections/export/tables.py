"""Charts of accounts and statements written as text, CSV or JSON, line by line."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from projections.export.csv import table
from projections.export.plain import is_ours, plain_name, sat

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from projections.reprice import Repriced
    from projections.statement import Line

CHART = ("account", "name", "debit_msat", "credit_msat")
LINES = ("position", "time", "event", "stream", "source", "destination", "amount_msat")
REPRICED = ("model", "requests", "charged_msat", "would_be_msat", "difference_msat", "unpriced")
OPENING, CLOSING = "opening", "closing"


def chart_rows(balances_msat: Mapping[str, int]) -> Iterator[tuple[str, str, int, int]]:
    """Yield (account, plain-text name, debit, credit) in msat, one of the two being 0."""
    for account, balance_msat in balances_msat.items():
        yield account, plain_name(account), max(0, -balance_msat), max(0, balance_msat)


def chart_text(balances_msat: Mapping[str, int]) -> Iterator[str]:
    """Yield a trial balance in sat; over all accounts both columns have the same total."""
    rows = list(chart_rows(balances_msat))
    width = max([len("account"), *(len(row[0]) for row in rows)])
    yield f"{'account':<{width}} {'debit, sat':>20} {'credit, sat':>20}\n"
    for account, _, debit, credit in rows:
        cells = [sat(amount) if amount else "" for amount in (debit, credit)]
        yield f"{account:<{width}} {cells[0]:>20} {cells[1]:>20}\n"
    debited, credited = sum(row[2] for row in rows), sum(row[3] for row in rows)
    yield f"{'total':<{width}} {sat(debited):>20} {sat(credited):>20}\n"


def chart_csv(balances_msat: Mapping[str, int]) -> Iterator[str]:
    yield from table(CHART, chart_rows(balances_msat))


def chart_json(balances_msat: Mapping[str, int], upto: int) -> Iterator[str]:
    rows = [dict(zip(CHART, row, strict=True)) for row in chart_rows(balances_msat)]
    yield json.dumps({"position": upto, "accounts": rows}, indent=1) + "\n"


def statement_text(
    accounts: Sequence[str], opening_msat: Sequence[int], lines: Iterable[Line]
) -> Iterator[str]:
    """Yield a statement in sat: what came in and went out, and the balance after each."""
    titles = [title.removesuffix("_msat") for title, _ in titled(accounts, opening_msat)]
    after = " ".join(f"{title:>18}" for title in titles)
    yield f"{'time':<26} {'position':>9} {'event':<18} {'amount, sat':>18} {after}\n"
    balances = opening_msat
    yield _text("", "", OPENING, "", accounts, balances)
    for line in lines:
        amount = sat(change_msat(line, accounts))
        balances = line.balances_msat
        row = (f"{line.at:%Y-%m-%dT%H:%M:%S.%fZ}", str(line.position), line.topic, amount)
        text = _text(*row, accounts, balances)
        yield f"{text[:-1]}  {line.source} -> {line.destination}\n"
    yield _text("", "", CLOSING, "", accounts, balances)


def statement_csv(
    accounts: Sequence[str], opening_msat: Sequence[int], lines: Iterable[Line]
) -> Iterator[str]:
    """Yield a statement's opening, lines and closing as CSV, amounts in msat."""
    heading = [*LINES, *(title for title, _ in titled(accounts, opening_msat))]
    yield from table(heading, _rows(accounts, opening_msat, lines))


def statement_json(
    accounts: Sequence[str], opening_msat: Sequence[int], lines: Iterable[Line], upto: int
) -> Iterator[str]:
    """Yield one JSON document, its lines one by one."""
    head = {"accounts": list(accounts), "position": upto}
    opening = dict(titled(accounts, opening_msat))
    yield json.dumps({**head, OPENING: opening})[:-1] + ', "lines": ['
    balances, comma = opening_msat, ""
    for line in lines:
        balances = line.balances_msat
        yield f"{comma}\n{json.dumps(line_document(line, accounts))}"
        comma = ","
    yield f'\n], "{CLOSING}": {json.dumps(dict(titled(accounts, balances)))}}}\n'


def line_document(line: Line, accounts: Sequence[str]) -> dict[str, Any]:
    """Return a line as JSON has it."""
    document = dict(zip(LINES, _line(line, accounts), strict=True))
    return {**document, **dict(titled(accounts, line.balances_msat))}


def titled(accounts: Sequence[str], balances_msat: Sequence[int]) -> Iterator[tuple[str, int]]:
    """Yield the name and the sum of each balance, what we have being positive."""
    for account, balance_msat in zip(accounts, balances_msat, strict=True):
        part = f"{account.rpartition(':')[2]}_msat" if len(accounts) > 1 else "balance_msat"
        yield part, -balance_msat if is_ours(account) else balance_msat


def change_msat(line: Line, accounts: Sequence[str]) -> int:
    """Return an arrow's amount, below zero if it takes away; from one to another, above."""
    away = line.source in accounts and line.destination not in accounts
    ours = is_ours(line.source if away else line.destination)
    return -line.amount_msat if away != ours else line.amount_msat


def repriced_rows(told: Mapping[str, Repriced]) -> Iterator[tuple[Any, ...]]:
    """Yield a row for each model, in the order of `REPRICED`."""
    for model, row in told.items():
        amounts = (row.requests, row.charged_msat, row.would_be_msat, row.difference_msat)
        yield (model, *amounts, row.unpriced)


def _rows(
    accounts: Sequence[str], opening_msat: Sequence[int], lines: Iterable[Line]
) -> Iterator[tuple[Any, ...]]:
    balances = opening_msat
    yield ("", "", OPENING, "", "", "", "", *(msat for _, msat in titled(accounts, balances)))
    for line in lines:
        balances = line.balances_msat
        yield (*_line(line, accounts), *(msat for _, msat in titled(accounts, balances)))
    yield ("", "", CLOSING, "", "", "", "", *(msat for _, msat in titled(accounts, balances)))


def _line(line: Line, accounts: Sequence[str]) -> tuple[Any, ...]:
    return (
        line.position,
        line.at.isoformat(),
        line.topic,
        str(line.stream),
        line.source,
        line.destination,
        change_msat(line, accounts),
    )


def _text(
    time: str,
    position: str,
    event: str,
    amount: str,
    accounts: Sequence[str],
    balances_msat: Sequence[int],
) -> str:
    after = " ".join(f"{sat(msat):>18}" for _, msat in titled(accounts, balances_msat))
    return f"{time:<26} {position:>9} {event:<18} {amount:>18} {after}\n"
