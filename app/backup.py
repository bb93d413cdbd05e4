"""The commands that keep a copy of the ledger, and bring it back."""

from __future__ import annotations

import gzip
import os
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from app.logs import set_up_logs
from app.store.backup import dump, load
from app.store.errors import StoreError
from app.store.opening import open_store
from app.store.seals import Seals
from app.terminal import Progress, database_option, open_store_or_exit
from domain.errors import LedgerError

if TYPE_CHECKING:
    from collections.abc import Iterator

PRIVATE = 0o600


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@database_option
def backup(file: Path, database_url: str) -> None:
    """Write the whole log, and what was signed of it, to FILE, gzip-compressed.

    Works while the service runs; FILE appears when it is whole, and only its owner may read
    it. It holds no key and no token; with WALLET_SEED, which is not in it, it is all that
    is needed to restore the house, on SQLite or PostgreSQL.
    """
    set_up_logs("WARNING")
    with closing(open_store_or_exit(database_url, is_there=True)) as store, _clearly():
        head = store.head()
        with (
            Progress("saved") as progress,
            _whole(file) as part,
            gzip.open(part, "wt", encoding="utf-8", newline="\n") as lines,
        ):
            lines.writelines(dump(Seals(store), head, progress))
    click.echo(f"The log up to position {head} is in {file}.")


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@database_option
def restore(file: Path, database_url: str) -> None:
    """Fill an empty database from a backup FILE, and check every link of its chain.

    What happened after the backup is not in it. Start the back office with the same
    WALLET_SEED and the same mints: it asks them for what they have signed since, and moves
    on the counters, before new ecash is made. Then `tallystick reconcile` names what is
    missing.
    """
    set_up_logs("ERROR")
    with (
        closing(open_store_or_exit(database_url)) as store,
        _clearly(),
        Progress("restored") as progress,
        gzip.open(file, "rt", encoding="utf-8") as lines,
    ):
        count = load(store, lines, progress)
    with _clearly(), closing(open_store(database_url)[0]) as store:
        click.echo(f"{count} events are restored, up to position {store.head()}.")


VERBS = (backup, restore)


@contextmanager
def _clearly() -> Iterator[None]:
    try:
        yield
    except (StoreError, LedgerError, OSError, UnicodeDecodeError) as error:
        raise click.ClickException(str(error)) from error


@contextmanager
def _whole(file: Path) -> Iterator[Path]:
    """Yield a private file that takes the place of `file` in the end, or disappears."""
    part = file.with_name(f"{file.name}.{os.getpid()}.part")
    part.touch(PRIVATE, exist_ok=False)
    try:
        yield part
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)
