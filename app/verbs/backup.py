"""The commands that keep a copy of the ledger, and bring it back."""

from __future__ import annotations

import gzip
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from app.logs import set_up_logs
from app.store.backup import dump, load
from app.store.data_keys import DataKeys
from app.store.errors import StoreError
from app.store.kept_keys import Copied, dump_keys, read_keys
from app.store.opening import open_store
from app.store.seals import Seals
from app.store.threads import one_by_one
from app.terminal import Progress, database_option, open_store_or_exit, private_file
from domain.errors import LedgerError
from domain.ledger import Ledger

if TYPE_CHECKING:
    from collections.abc import Iterator
    from uuid import UUID

    from app.store.opening import Store

WHO = "the backup of the keys"


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@database_option
@click.option(
    "--keys",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the keys of accounts here, in place of what is there.",
)
def backup(file: Path, database_url: str, keys: Path | None) -> None:
    """Write the whole log, and what was signed of it, to FILE, gzip-compressed.

    Works while the service runs; FILE appears when it is whole, and only its owner may read
    it. It holds no key and no token; with WALLET_SEED, which is not in it, it is all that
    is needed to restore the house's money, on SQLite or PostgreSQL. The addresses in it are
    sealed: with --keys, what opens them is written to a file of its own, which takes the
    place of the one before. Keep only the newest of that, or what is erased comes back.
    """
    set_up_logs("WARNING")
    with closing(open_store_or_exit(database_url, is_there=True)) as store, _clearly():
        head = store.head()
        with (
            Progress("saved") as progress,
            private_file(file) as part,
            gzip.open(part, "wt", encoding="utf-8", newline="\n") as lines,
        ):
            lines.writelines(dump(Seals(store), head, progress))
        # After the log: then there is a key for all that it holds, and what is erased
        # meanwhile is named as such beside the keys.
        if keys is not None:
            with private_file(keys) as part, part.open("w", encoding="utf-8") as kept:
                kept.writelines(dump_keys(DataKeys(store)))
    click.echo(f"The log up to position {head} is in {file}.")


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@database_option
@click.option(
    "--keys",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The newest file of keys; without it, sealed addresses stay unreadable.",
)
def restore(file: Path, database_url: str, keys: Path | None) -> None:
    """Fill an empty database from a backup FILE, and check every link of its chain.

    What happened after the backup is not in it. Start the back office with the same
    WALLET_SEED and the same mints: it asks them for what they have signed since, and moves
    on the counters, before new ecash is made. Then `tallystick reconcile` names what is
    missing. An account that was erased stays erased: by the log, and also by the file of
    --keys if the log is older.
    """
    set_up_logs("ERROR")
    with _clearly():
        copied = _copied(keys)
    with (
        closing(open_store_or_exit(database_url)) as store,
        _clearly(),
        Progress("restored") as progress,
        gzip.open(file, "rt", encoding="utf-8") as lines,
    ):
        count = load(store, lines, progress)
    with _clearly(), closing(open_store(database_url)[0]) as store:
        _erase_again(store, copied.erased)
        kept = DataKeys(store).restore(copied.keys)
        store.settle()
        click.echo(f"{kept} keys of accounts are restored.", err=True)
        click.echo(f"{count} events are restored, up to position {store.head()}.")


VERBS = (backup, restore)


def _copied(keys: Path | None) -> Copied:
    if keys is None:
        return Copied([], [])
    with keys.open(encoding="utf-8") as lines:
        return read_keys(lines)


def _erase_again(store: Store, erased: list[UUID]) -> None:
    """Record what an older log has forgotten: that accounts were erased."""
    ledger = Ledger(one_by_one(store), "restoring")
    known = set(DataKeys(store).erased())
    for account_id in erased:
        if account_id not in known and (store.account(account_id) or store.key(account_id)):
            ledger.erase(account_id, WHO)


@contextmanager
def _clearly() -> Iterator[None]:
    try:
        yield
    except (StoreError, LedgerError, OSError, UnicodeDecodeError) as error:
        raise click.ClickException(str(error)) from error
