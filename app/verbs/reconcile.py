"""The command that compares the books with the mints, now or as of a past moment."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import click

from projections.export.csv import table
from projections.export.plain import sat
from projections.moments import moment
from projections.past import as_of as past_as_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from app.cashier.reconcile import Report
    from projections.past import Log, Past

FIGURES = ("booked", "free", "in_flight", "stuck", "uncollected", "unexplained")
COLUMNS = ("mint", *(f"{figure}_msat" for figure in FIGURES), "asked_at", "trouble")
as_of_option = click.option(
    "--as-of",
    metavar="WHEN",
    help="Just before WHEN, as far as the log tells: the mints are not asked then.",
)
Row = dict[str, str | int | None]


def now_rows(reports: Sequence[Report]) -> list[Row]:
    """Return a row for each mint that was asked, or could not be asked."""
    rows = []
    for report in reports:
        row: Row = {**dict.fromkeys(COLUMNS), "mint": report.mint, "trouble": report.trouble}
        if report.compared is not None:
            row |= {
                f"{figure}_msat": getattr(report.compared, f"{figure}_msat")
                for figure in FIGURES
            }
            row["asked_at"] = report.at.isoformat()
        rows.append(row)
    return rows


def past_rows(
    log: Log, when: str, progress: Callable[[int, int], None]
) -> tuple[int, list[Row]]:
    """Return a position of the log and a row for each mint, just before `when`.

    Raises `MomentError`.
    """
    upto, told = past_as_of(log, moment(when), progress)
    return upto, [_past_row(mint, past) for mint, past in told.items()]


def _past_row(mint: str, past: Past) -> Row:
    return {
        "mint": mint,
        "booked_msat": past.booked_msat,
        "free_msat": past.free_msat,
        "in_flight_msat": past.in_flight_msat,
        "stuck_msat": past.compared.stuck_msat if past.compared else None,
        "uncollected_msat": past.uncollected_msat,
        "unexplained_msat": past.unexplained_msat,
        "asked_at": past.asked_at.isoformat() if past.asked_at else None,
        "trouble": "" if past.asked_at else "never asked until then",
    }


def show(rows: Sequence[Row], layout: str, items: Sequence[Mapping[str, object]]) -> None:
    """Write what was found to standard output."""
    if layout == "json":
        document = {"mints": rows, "items": items}
        sys.stdout.write(json.dumps(document, indent=1) + "\n")
    elif layout == "csv":
        sys.stdout.writelines(table(COLUMNS, (tuple(row.values()) for row in rows)))
    else:
        sys.stdout.writelines(_text(rows, items))


def items_of(reports: Sequence[Report]) -> list[dict[str, object]]:
    """Return every proof that cannot be spent just now, and why: the drill-down."""
    return [
        {
            "mint": report.mint,
            "name": item.name,
            "keyset_id": item.key.keyset_id,
            "counter": item.key.counter,
            "amount_msat": item.amount_msat,
            "movement": str(item.movement) if item.movement else None,
            "state_at_mint": item.state,
        }
        for report in reports
        for item in report.items
    ]


def is_unexplained(rows: Sequence[Row]) -> bool:
    return any(row["unexplained_msat"] for row in rows)


def _text(rows: Sequence[Row], items: Sequence[Mapping[str, object]]) -> Iterator[str]:
    for row in rows:
        yield f"{row['mint']}\n"
        for figure in FIGURES:
            amount = row[f"{figure}_msat"]
            shown = sat(amount) if isinstance(amount, int) else "unknown"
            yield f"  {figure.replace('_', ' '):<12} {shown:>20} sat\n"
        yield f"  {'asked':<12} {row['asked_at'] or row['trouble']}\n"
    for item in items:
        amount_msat = item["amount_msat"]
        worth = sat(amount_msat) if isinstance(amount_msat, int) else ""
        yield f"{item['name']}: {worth} sat, {item['keyset_id']} #{item['counter']}"
        yield f", {item['state_at_mint']} at the mint, movement {item['movement']}\n"
