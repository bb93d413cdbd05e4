"""The command that fills an empty ledger with a sample."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from app.logs import set_up_logs
from app.sample.year import sample
from app.sealing.sign import follow as follow_seals
from app.store.errors import StoreError
from app.store.seals import Seals
from app.terminal import Progress, database_option, open_store_or_exit
from projections.follow import retell
from projections.guard import keep
from projections.moments import MomentError, moment, start_of_day
from projections.sheets import SHEETS

if TYPE_CHECKING:
    from app.store.opening import Store
    from domain.event import Entry

EVENTS_DEFAULT, EVENTS_MAX = 10_000, 10_000_000
TRANSACTION = 4_000
"""Entries in one transaction: enough that its own cost is nothing beside theirs."""
YEARS = range(1971, 9999)


@click.command("seed-sample")
@database_option
@click.option(
    "--events",
    type=click.IntRange(1, EVENTS_MAX),
    default=EVENTS_DEFAULT,
    show_default=True,
    help="How long the log is to be; the last movement may make it a few events longer.",
)
@click.option("--seed", default=1, show_default=True, help="Another seed, another sample.")
@click.option(
    "--until",
    metavar="WHEN",
    help="When the sample ends: a date, which is when that day begins in UTC, or an RFC 3339"
    " time. Without it, the beginning of today.",
)
def seed_sample(database_url: str, events: int, seed: int, until: str | None) -> None:
    """Fill an empty ledger with a sample, to try reports and pages on.

    A year of a busy house, less when it is short: clients, deposits, requests, refunds,
    payouts, invoices, a rate an hour, at mints that do not exist. The same seed, events and
    end make the same log to the byte, and `verify` accepts it. Never a house's own ledger:
    one that holds an event is refused.
    """
    set_up_logs("WARNING")
    end = _end(until)
    with closing(open_store_or_exit(database_url)) as store:
        if head := store.head():
            raise click.ClickException(
                f"the ledger has events up to position {head}; a sample needs an empty one"
            )
        try:
            fill_sample(store, seed, events, end)
        except StoreError as error:
            raise click.ClickException(str(error)) from error
        click.echo(f"A sample of {store.head()} events is in the ledger, up to {end:%Y-%m-%d}.")


def fill_sample(store: Store, seed: int, events: int, end: datetime) -> None:
    """Write a sample into an empty store, and tell it to every follower."""
    _fill(store, seed, events, end)
    with Progress("told") as progress:
        retell(store, [sheet.name for sheet in SHEETS], progress)
    follow_seals(Seals(store))
    store.settle()


def _fill(store: Store, seed: int, events: int, end: datetime) -> None:
    head = 0
    gathered: list[Entry] = []
    with Progress("made") as progress:
        for entries, rows in sample(seed, events, end):
            gathered += entries
            if len(gathered) >= TRANSACTION:
                head = store.append(gathered, rows, head)
                keep(rows)
                gathered = []
                progress(head, max(head, events))
        if gathered:
            head = store.append(gathered, rows, head)
            progress(head, head)


def _end(until: str | None) -> datetime:
    if until is None:
        return start_of_day(datetime.now(UTC))
    try:
        end = moment(until)
    except MomentError as error:
        raise click.BadParameter(str(error), param_hint="--until") from error
    if end.year not in YEARS:
        raise click.BadParameter(f"{until} leaves no room for a year", param_hint="--until")
    return end
