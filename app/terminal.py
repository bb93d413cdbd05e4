"""What the commands have in common on a terminal: the ledger's address, and progress."""

from __future__ import annotations

import getpass
import os
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from app.store.errors import StoreError
from app.store.opening import SQLITE, Store, open_store
from projections.checkpoint import CheckpointError, VerifierKey

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from app.store.locks import Locks

PRIVATE = 0o600

database_option = click.option(
    "--database-url",
    envvar="DATABASE_URL",
    default="sqlite:///tallystick.db",
    show_default=True,
    help="The ledger: sqlite:///FILE or postgresql://USER:PASSWORD@HOST/NAME.",
)


def open_store_or_exit(database_url: str, *, is_there: bool = False) -> Store:
    """Return the store, or end with one clear line; also when it should be there and is not.

    A command that only reads must not make an empty ledger and find it in order.
    """
    return open_both_or_exit(database_url, is_there=is_there)[0]


def open_both_or_exit(database_url: str, *, is_there: bool = False) -> tuple[Store, Locks]:
    """Return the store and its locks, in the same way."""
    path = Path(database_url.removeprefix(SQLITE))
    if is_there and database_url.startswith(SQLITE) and not path.exists():
        raise click.ClickException(f"DATABASE_URL: there is no ledger at {path}")
    try:
        return open_store(database_url)
    except StoreError as error:
        raise click.ClickException(f"DATABASE_URL: {error}") from error


def verifier_of(key: str) -> VerifierKey:
    """Return the verifier key that an option `--key` names; raises `click` errors."""
    try:
        return VerifierKey.read(key)
    except CheckpointError as error:
        raise click.BadParameter(str(error), param_hint="--key") from error


def who_is_here() -> str:
    """Say who sits at the terminal, as far as the system knows."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = "somebody"
    return f"{user} on the command line"[:100]


def columns(rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Yield the lines of a table whose columns are as wide as their widest cell.

    >>> list(columns([("a", "b"), ("long", "")]))
    ['a     b', 'long']
    """
    lines = list(rows)
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        yield "  ".join(cells).rstrip()


class WholeFile(click.File):
    """A text file that appears when it is whole; what is no file is written to as it stands.

    In the place of a pipe or of /dev/null there would be a file otherwise, for the whole
    machine, and all that was written there from then on.
    """

    def __init__(self) -> None:
        super().__init__("w", encoding="utf-8")

    def convert(
        self,
        value: str | os.PathLike[str] | IO[Any],
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> IO[Any]:
        """Return where to write; `click` closes it, and then it takes its place."""
        self.atomic = isinstance(value, str) and value != "-" and not _is_special(Path(value))
        return super().convert(value, param, ctx)


def _is_special(path: Path) -> bool:
    return path.exists() and not path.is_file()


@contextmanager
def private_file(file: Path) -> Iterator[Path]:
    """Yield a private file that takes the place of `file` in the end, or disappears.

    Raises `FileExistsError` if a pipe, a device or a folder is there: nothing is put in the
    place of these.
    """
    if _is_special(file):
        raise FileExistsError(f"{file} is there, and is no file")
    part = file.with_name(f"{file.name}.{os.getpid()}.part")
    part.touch(PRIVATE, exist_ok=False)
    try:
        yield part
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)


class Progress:
    """A progress bar on a terminal, a line every so often elsewhere."""

    def __init__(self, verb: str) -> None:
        self._verb = verb
        self._shown = -1

    def __enter__(self) -> Callable[[int, int], None]:
        return self._show

    def __exit__(self, *_: object) -> None:
        click.echo(err=True)

    def _show(self, done: int, whole: int) -> None:
        percent = 100 * done // max(whole, 1)
        if percent != self._shown:
            self._shown = percent
            end = "\r" if sys.stderr.isatty() else "\n"
            click.echo(f"{self._verb} {done} of {whole} ({percent} %){end}", nl=False, err=True)
