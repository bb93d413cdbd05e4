"""The command that keeps a sealed copy of the log up to a day."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

import click

from app.sealing.archive import archived, end_before
from app.store.errors import StoreError
from app.store.seals import Seals
from app.terminal import Progress, private_file
from domain.errors import LedgerError
from projections.moments import MomentError, moment

if TYPE_CHECKING:
    from pathlib import Path

    from app.sealing.sign import Sealing
    from app.store.opening import Store


def write_archive(store: Store, sealing: Sealing, file: Path, before: str) -> None:
    """Write what the log holds from before a moment into `file`; raises `click` errors."""
    try:
        at = moment(before)
    except MomentError as error:
        raise click.BadParameter(str(error), param_hint="--before") from error
    try:
        with Progress("looked for the end at") as progress:
            end = end_before(store, at, progress)
        if not end:
            raise click.ClickException(f"the log holds nothing from before {before}")
        with (
            Progress("archived") as progress,
            private_file(file) as part,
            gzip.open(part, "wt", encoding="utf-8", newline="\n") as lines,
        ):
            lines.writelines(archived(Seals(store), sealing, end, progress))
    except (StoreError, LedgerError, OSError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"The log up to position {end} is in {file}, sealed; it stays here as well.")
