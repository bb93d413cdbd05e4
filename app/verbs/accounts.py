"""The commands for accountants: balances, statements, exports, and prices tried on the past."""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from app.logs import set_up_logs
from app.store.errors import StoreError
from app.terminal import Progress, WholeFile, database_option, open_store_or_exit
from domain.errors import LedgerError, PricingError
from domain.exact import exact
from domain.price_list import from_models_json
from projections.chain import Stored
from projections.chart import NotToldError, read_chart, read_rate
from projections.export import tables
from projections.export.beancount import beancount
from projections.export.csv import journal_csv, table
from projections.export.hledger import hledger
from projections.export.jsonl import jsonl
from projections.export.plain import sat
from projections.export.record import Selection, by_day, records
from projections.halving import CLOCKS_MAX
from projections.moments import MomentError, Period, day_of, moment
from projections.reprice import Repriced, reprice
from projections.statement import Statement, accounts_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from datetime import datetime
    from fractions import Fraction
    from typing import IO

    from app.store.opening import Store
    from domain.event import Event
    from domain.pricing import PriceBook

PAGE = 5_000
FORMATS = ("beancount", "hledger", "csv", "jsonl")
WHEN = "a date, which is when that day begins in UTC, or an RFC 3339 time"

account_option = click.option(
    "--account",
    metavar="NAME",
    help="Only this account, as `balance` names it, or a client's id for both it has.",
)
from_option = click.option("--from", "begin", metavar="WHEN", help=f"From {WHEN}.")
to_option = click.option("--to", "end", metavar="WHEN", help="To just before WHEN.")
layout_option = click.option(
    "--format",
    "layout",
    type=click.Choice(["text", "csv", "json"]),
    default="text",
    show_default=True,
    help="Text shows sat with three decimals; csv and json have msat.",
)


@click.command()
@database_option
@click.option("--as-of", metavar="WHEN", help=f"Just before WHEN: {WHEN}. Without it, now.")
@account_option
@layout_option
def balance(database_url: str, as_of: str | None, account: str | None, layout: str) -> None:
    """Show what every account stands at, now or as of any moment.

    Debits are what the house has or has lost, credits what it owes or has earned; over all
    accounts both have the same total. Dollars are at the newest rate the house had observed
    just then, to the eighth decimal; there are none before the first. Works while the service
    runs, and changes nothing.
    """
    at = _moment(as_of) if as_of else None
    with _reading(database_url) as store:
        upto, balances = read_chart(store, at)
        btc_usd = read_rate(store, at, upto)
    if account is not None:
        balances = {name: balances.get(name, 0) for name in accounts_of(account)}
    click.echo(f"up to position {upto} of the log", err=True)
    writers: dict[str, Callable[[], Iterator[str]]] = {
        "text": lambda: tables.chart_text(balances, btc_usd),
        "csv": lambda: tables.chart_csv(balances, btc_usd),
        "json": lambda: tables.chart_json(balances, upto, btc_usd),
    }
    sys.stdout.writelines(writers[layout]())


@click.command()
@click.argument("account")
@database_option
@from_option
@to_option
@layout_option
def statement(
    account: str, database_url: str, begin: str | None, end: str | None, layout: str
) -> None:
    """Show the opening, every line and the closing of ACCOUNT.

    ACCOUNT is a name as `balance` shows it, or a client's id, which shows what is available
    beside what is held. Dollars are at the rate of each event: the one it was priced at, else
    the newest observed until then, to the eighth decimal. Works while the service runs, and
    changes nothing.
    """
    accounts = accounts_of(account)
    with _reading(database_url) as store:
        told = Statement(store, accounts, _period(begin, end))
        click.echo(f"up to position {told.upto} of the log", err=True)
        opening, lines, closes = told.opening, told.lines(), told.closing_btc_usd
        first = next(lines, None)
        if first is None and not any(opening.msat):
            click.echo(f"nothing touched {account!r} until then", err=True)
        lines = chain(() if first is None else (first,), lines)
        writers: dict[str, Callable[[], Iterator[str]]] = {
            "text": lambda: tables.statement_text(accounts, opening, lines, closes),
            "csv": lambda: tables.statement_csv(accounts, opening, lines, closes),
            "json": lambda: tables.statement_json(accounts, opening, lines, closes, told.upto),
        }
        sys.stdout.writelines(writers[layout]())


@click.command()
@database_option
@click.option(
    "--format",
    "layout",
    type=click.Choice(FORMATS),
    required=True,
    help="beancount and hledger (which ledger reads too) hold the money in SAT to the msat;"
    " csv has a line for each arrow; jsonl has every event as it is stored.",
)
@from_option
@to_option
@account_option
@click.option("--daily", is_flag=True, help="Add up each day instead of telling each event.")
@click.option(
    "-o",
    "--output",
    type=WholeFile(),
    default="-",
    help="Write to this file, which appears when it is whole.",
)
def export(
    *,
    database_url: str,
    layout: str,
    begin: str | None,
    end: str | None,
    account: str | None,
    daily: bool,
    output: IO[str],
) -> None:
    """Write the books for other programs, in bounded memory.

    With --from, beancount and hledger files begin with the balances brought forward. Works
    while the service runs, and changes nothing.
    """
    wanted = Selection(_period(begin, end), frozenset(accounts_of(account) if account else ()))
    with _reading(database_url) as store, Progress("exported") as progress:
        output.writelines(exported(store, layout, wanted, progress, daily=daily))


@click.command("reprice")
@database_option
@click.option(
    "--models",
    "models_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    required=True,
    help="The other price book: a models.json as MODELS_PATH names one.",
)
@click.option("--margin", default="0", show_default=True, help="Raise its prices: 0.1 is 10 %.")
@from_option
@to_option
@layout_option
def reprice_command(
    *,
    database_url: str,
    models_file: Path,
    margin: str,
    begin: str | None,
    end: str | None,
    layout: str,
) -> None:
    """Show what the same usage would have earned under another price book.

    Every request charged in the period is priced again, at the rate it was admitted at.
    Works while the service runs, and changes nothing.
    """
    book, period = _book(models_file, margin), _period(begin, end)
    with _reading(database_url) as store, Progress("priced") as progress:
        stretch = _stretch(store, period)
        events = _events(store, stretch, progress)
        told = reprice(events, book, period, read_rate(store, None, stretch.after))
    rows = list(tables.repriced_rows(told))
    if layout == "csv":
        sys.stdout.writelines(table(tables.REPRICED, rows))
    elif layout == "json":
        document = [dict(zip(tables.REPRICED, row, strict=True)) for row in rows]
        sys.stdout.write(json.dumps(document, indent=1) + "\n")
    else:
        sys.stdout.writelines(_repriced_text(told))


VERBS = (balance, statement, export, reprice_command)


def exported(
    store: Store,
    layout: str,
    wanted: Selection,
    progress: Callable[[int, int], None],
    *,
    daily: bool = False,
) -> Iterator[str]:
    """Yield the lines of an export; of the log no more is read than the period can be in.

    What was before it is brought forward as the followers tell it. Raises `StoreError`,
    `LedgerError`, `NotToldError`.
    """
    begin, stretch = wanted.period.begin, _stretch(store, wanted.period)
    log = _stored(store, stretch, progress)
    each = records(log, wanted, read_rate(store, None, stretch.after))
    rolled = by_day(each) if daily else each
    if layout == "csv":
        return journal_csv(rolled)
    if layout == "jsonl":
        return jsonl(rolled, whole=wanted == Selection(Period()))
    written = beancount if layout == "beancount" else hledger
    if begin is None:
        return written(rolled)
    return written(rolled, day_of(begin), _brought(store, begin, wanted.accounts))


class Stretch(NamedTuple):
    """A part of the log: what is behind the position `after`, up to `upto`."""

    after: int
    upto: int


@contextmanager
def _reading(database_url: str) -> Iterator[Store]:
    """Open the ledger; whatever goes wrong while it is read is one clear line."""
    set_up_logs("WARNING")
    store = open_store_or_exit(database_url, is_there=True)
    try:
        yield store
    except (StoreError, LedgerError, NotToldError) as error:
        raise click.ClickException(str(error)) from error
    finally:
        store.close()


def _stretch(store: Store, period: Period) -> Stretch:
    """Return the part of the log that all events of `period` are in."""
    begin, end, head = *period, store.head()
    after = 0 if begin is None else store.first_since(begin - CLOCKS_MAX) - 1
    upto = head if end is None else store.first_since(end + CLOCKS_MAX) - 1
    return Stretch(after, min(upto, head))


def _brought(store: Store, begin: datetime, accounts: frozenset[str]) -> dict[str, int]:
    _, balances = read_chart(store, begin)
    return {
        name: balance_msat
        for name, balance_msat in balances.items()
        if not accounts or name in accounts
    }


def _stored(
    store: Store, stretch: Stretch, progress: Callable[[int, int], None]
) -> Iterator[Stored]:
    """Yield a part of the log as it is stored, a page in memory at a time."""
    (after, upto), place = stretch, store.position
    select = (
        f"SELECT {place}, originator_id, originator_version, topic, state FROM stored_events"  # noqa: S608
        f" WHERE {place} > ? AND {place} <= ? ORDER BY {place} LIMIT {PAGE}"
    )
    while after < upto:
        with store.snapshot() as query:
            rows = query(select, (after, upto))
        for position, stream, version, topic, state in rows:
            identity = bytes.fromhex(stream) if isinstance(stream, str) else stream.bytes
            yield Stored(position, identity, version, topic, bytes(state))
        after = rows[-1][0] if rows else upto
        progress(after, upto)


def _events(
    store: Store, stretch: Stretch, progress: Callable[[int, int], None]
) -> Iterator[Event]:
    for page in store.log(*stretch):
        yield from (entry.event for _, entry in page)
        progress(page[-1][0], stretch.upto)


def _repriced_text(told: Mapping[str, Repriced]) -> Iterator[str]:
    width = max([len("total"), *(len(model) for model in told)])
    yield f"{'model':<{width}} {'requests':>10} {'charged, sat':>18}"
    yield f" {'would be, sat':>18} {'difference, sat':>18} {'unpriced':>9}\n"
    for model, row in (*told.items(), ("total", sum(told.values(), Repriced()))):
        amounts = (row.charged_msat, row.would_be_msat, row.difference_msat)
        cells = " ".join(f"{sat(amount):>18}" for amount in amounts)
        name = model if model.isprintable() else ascii(model)
        yield f"{name:<{width}} {row.requests:>10} {cells} {row.unpriced:>9}\n"


def _book(path: Path, margin: str) -> PriceBook:
    try:
        factor: Fraction = exact(margin)
    except ValueError as error:
        raise click.BadParameter(f"{margin!r} {error}", param_hint="--margin") from error
    try:
        return from_models_json(json.loads(path.read_text()), factor)
    except (OSError, ValueError, PricingError) as error:
        raise click.ClickException(f"--models: {path}: {error}") from error


def _period(begin: str | None, end: str | None) -> Period:
    try:
        return Period.between(begin, end)
    except MomentError as error:
        raise click.UsageError(str(error)) from error


def _moment(text: str) -> datetime:
    try:
        return moment(text)
    except MomentError as error:
        raise click.BadParameter(str(error), param_hint="--as-of") from error
