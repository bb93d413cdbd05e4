"""Charts of accounts and statements written as text, CSV or JSON, line by line."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from projections.export.csv import Number, table
from projections.export.plain import is_ours, plain_name, sat
from projections.rates import usd
from projections.statement import Stand

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from projections.reprice import Repriced
    from projections.statement import Line

CHART = ("account", "name", "debit_msat", "credit_msat")
LINES = ("position", "time", "event", "stream", "source", "destination", "amount_msat")
REPRICED = ("model", "requests", "charged_msat", "would_be_msat", "difference_msat", "unpriced")
OPENING, CLOSING = "opening", "closing"
RATE, AMOUNT_USD = "btc_usd", "amount_usd"


def chart_rows(balances_msat: Mapping[str, int]) -> Iterator[tuple[str, str, int, int]]:
    """Yield (account, plain-text name, debit, credit) in msat, one of the two being 0."""
    for account, balance_msat in balances_msat.items():
        yield account, plain_name(account), max(0, -balance_msat), max(0, balance_msat)


def chart_text(balances_msat: Mapping[str, int], btc_usd: str = "") -> Iterator[str]:
    """Yield a trial balance in sat; over all accounts both columns have the same total."""
    rows = list(chart_rows(balances_msat))
    width = max([len("account"), *(len(row[0]) for row in rows)])
    dollars = "in USD" if btc_usd else ""
    heading = f"{'account':<{width}} {'debit, sat':>20} {'credit, sat':>20} {dollars:>20}"
    yield f"{heading.rstrip()}\n"
    for account, _, debit, credit in rows:
        cells = [sat(amount) if amount else "" for amount in (debit, credit)]
        worth = usd(debit or credit, btc_usd)
        yield f"{account:<{width}} {cells[0]:>20} {cells[1]:>20} {worth:>20}".rstrip() + "\n"
    debited, credited = sum(row[2] for row in rows), sum(row[3] for row in rows)
    # Of some accounts only the two may differ, and then neither is what they are worth.
    worth = usd(debited, btc_usd) if debited == credited else ""
    yield f"{'total':<{width}} {sat(debited):>20} {sat(credited):>20} {worth:>20}".rstrip()
    yield "\n"


def chart_csv(balances_msat: Mapping[str, int], btc_usd: str = "") -> Iterator[str]:
    """Yield a trial balance in msat, and in dollars where there was a rate."""
    heading = (*CHART, RATE, *map(in_usd, CHART[2:]))
    rows = (
        (*row, Number(btc_usd), *(Number(usd(amount_msat, btc_usd)) for amount_msat in row[2:]))
        for row in chart_rows(balances_msat)
    )
    yield from table(heading, rows)


def chart_json(balances_msat: Mapping[str, int], upto: int, btc_usd: str = "") -> Iterator[str]:
    """Yield a trial balance as one document; nothing of it is in dollars without a rate."""
    accounts = []
    for row in chart_rows(balances_msat):
        names = dict(zip(CHART[:2], row[:2], strict=True))
        accounts.append(names | worth(zip(CHART[2:], row[2:], strict=True), btc_usd))
    rate = {RATE: btc_usd} if btc_usd else {}
    yield json.dumps({"position": upto, **rate, "accounts": accounts}, indent=1) + "\n"


def statement_text(
    accounts: Sequence[str], opening: Stand, lines: Iterable[Line], closing_btc_usd: str
) -> Iterator[str]:
    """Yield a statement in sat: what came in and went out, and the balance after each.

    Beside it stand the amount and all balances together in dollars.
    """
    titles = [title.removesuffix("_msat") for title, _ in titled(accounts, opening.msat)]
    yield _text("time", "position", "event", ("amount, sat", "USD"), titles, "in USD")
    balances = opening.msat
    yield _stood_text(OPENING, accounts, opening)
    for line in lines:
        amount_msat, balances = change_msat(line, accounts), line.balances_msat
        amounts = sat(amount_msat), usd(amount_msat, line.btc_usd)
        row = (f"{line.at:%Y-%m-%dT%H:%M:%S.%fZ}", str(line.position), line.topic, amounts)
        text = _text(*row, *_stood(accounts, balances, line.btc_usd))
        yield f"{text[:-1]}  {line.source} -> {line.destination}\n"
    yield _stood_text(CLOSING, accounts, Stand(balances, closing_btc_usd))


def statement_csv(
    accounts: Sequence[str], opening: Stand, lines: Iterable[Line], closing_btc_usd: str
) -> Iterator[str]:
    """Yield a statement's opening, lines and closing as CSV, amounts in msat and dollars."""
    titles = [title for title, _ in titled(accounts, opening.msat)]
    heading = (*LINES, *titles, RATE, AMOUNT_USD, *map(in_usd, titles))
    yield from table(heading, _rows(accounts, opening, lines, closing_btc_usd))


def statement_json(
    accounts: Sequence[str],
    opening: Stand,
    lines: Iterable[Line],
    closing_btc_usd: str,
    upto: int,
) -> Iterator[str]:
    """Yield one JSON document, its lines one by one."""
    head = {"accounts": list(accounts), "position": upto}
    yield json.dumps({**head, OPENING: stood_document(accounts, opening)})[:-1] + ', "lines": ['
    balances, comma = opening.msat, ""
    for line in lines:
        balances = line.balances_msat
        yield f"{comma}\n{json.dumps(line_document(line, accounts))}"
        comma = ","
    closing = stood_document(accounts, Stand(balances, closing_btc_usd))
    yield f'\n], "{CLOSING}": {json.dumps(closing)}}}\n'


def line_document(line: Line, accounts: Sequence[str]) -> dict[str, Any]:
    """Return a line as JSON has it, with nothing in dollars before there was a rate."""
    document = dict(zip(LINES, _line(line, accounts), strict=True))
    amount = worth([("amount_msat", document["amount_msat"])], line.btc_usd)
    return {
        **document,
        **amount,
        **stood_document(accounts, Stand(line.balances_msat, line.btc_usd)),
    }


def stood_document(accounts: Sequence[str], stand: Stand) -> dict[str, Any]:
    """Return what accounts stood at as JSON has it, in dollars too if there was a rate."""
    rate = {RATE: stand.btc_usd} if stand.btc_usd else {}
    return worth(titled(accounts, stand.msat), stand.btc_usd) | rate


def worth(amounts_msat: Iterable[tuple[str, int]], btc_usd: str) -> dict[str, Any]:
    """Return amounts by their names, and beside them in dollars if there is a rate.

    >>> worth([("held_msat", 1000)], "50000")
    {'held_msat': 1000, 'held_usd': '0.00050000'}
    """
    named = dict(amounts_msat)
    if not btc_usd:
        return named
    return named | {in_usd(name): usd(msat, btc_usd) for name, msat in named.items()}


def in_usd(title: str) -> str:
    """Return what an amount is called in dollars.

    >>> in_usd("held_msat")
    'held_usd'
    """
    return f"{title.removesuffix('_msat')}_usd"


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
    accounts: Sequence[str], opening: Stand, lines: Iterable[Line], closing_btc_usd: str
) -> Iterator[tuple[Any, ...]]:
    balances = opening.msat
    yield _stood_row(OPENING, accounts, opening)
    for line in lines:
        balances = line.balances_msat
        row = _line(line, accounts)
        amount_usd = usd(row[-1], line.btc_usd)
        yield (*row, *_balances(accounts, Stand(balances, line.btc_usd), amount_usd))
    yield _stood_row(CLOSING, accounts, Stand(balances, closing_btc_usd))


def _stood_row(title: str, accounts: Sequence[str], stand: Stand) -> tuple[Any, ...]:
    return ("", "", title, "", "", "", "", *_balances(accounts, stand, ""))


def _balances(accounts: Sequence[str], stand: Stand, amount_usd: str) -> tuple[Any, ...]:
    """Return the cells of a line from its balances on."""
    balances = [balance_msat for _, balance_msat in titled(accounts, stand.msat)]
    dollars = [Number(usd(balance_msat, stand.btc_usd)) for balance_msat in balances]
    return (*balances, Number(stand.btc_usd), Number(amount_usd), *dollars)


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


def _stood_text(title: str, accounts: Sequence[str], stand: Stand) -> str:
    return _text("", "", title, ("", ""), *_stood(accounts, stand.msat, stand.btc_usd))


def _stood(
    accounts: Sequence[str], balances_msat: Sequence[int], btc_usd: str
) -> tuple[list[str], str]:
    """Return each balance in sat, and all together in dollars."""
    balances = [balance_msat for _, balance_msat in titled(accounts, balances_msat)]
    return [sat(balance_msat) for balance_msat in balances], usd(sum(balances), btc_usd)


def _text(
    time: str,
    position: str,
    event: str,
    amounts: tuple[str, str],
    balances: Sequence[str],
    balances_usd: str,
) -> str:
    after = " ".join(f"{balance:>18}" for balance in balances)
    amount, amount_usd = amounts
    return (
        f"{time:<26} {position:>9} {event:<18} {amount:>18} {amount_usd:>16} {after}"
        f" {balances_usd:>18}\n"
    )
