"""The commands that verify: a ledger, an archive of one, and a receipt."""

from __future__ import annotations

import gzip
import sys
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import click

from app.logs import set_up_logs
from app.sealing.archive import check_archive
from app.sealing.check import check as check_seals
from app.sealing.check import verifies
from app.store.errors import BackupError, StoreError
from app.store.mapper import LedgerMapper
from app.store.opening import open_store
from app.store.seals import Seals
from app.terminal import Progress, database_option, open_store_or_exit, verifier_of
from domain.errors import LedgerError
from projections.checkpoint import CheckpointError
from projections.follow import verify as verify_log
from projections.receipt import LENGTH_MAX as RECEIPT_LENGTH_MAX
from projections.receipt import ReceiptError, opened

if TYPE_CHECKING:
    from typing import NoReturn

    from app.store.opening import Store
    from projections.checkpoint import VerifierKey

LONG = 250_000
"""From so many events on, a second process is worth what it takes to begin."""


@click.command()
@database_option
@click.option("--key", help="The house's verifier key; then signatures are verified as well.")
@click.option(
    "--archive",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Verify this file, made by `tallystick archive`, and no database.",
)
def verify(database_url: str, key: str | None, archive: Path | None) -> None:
    """Replay the log and check every invariant; exit 1 and name the first difference.

    The log is also compared, byte for byte, with all that was sealed and signed of it.
    Works while the service runs.
    """
    set_up_logs("WARNING")
    verifier = verifier_of(key) if key else None
    public = verifier.public if verifier else None
    if archive is not None:
        _verify_archive(archive, verifier)
        return
    with closing(open_store_or_exit(database_url, is_there=True)) as store:
        beside = store.head() >= LONG
        difference = (compared_beside if beside else compared)(store, database_url, public)
        head = store.head()
    if difference is not None:
        _differ(difference)
    click.echo(f"The log holds up to position {head}: 0 differences.")


@click.command("verify-receipt")
@click.argument("file", type=click.File())
@click.option("--key", required=True, help="The house's verifier key, as /v1/info tells it.")
def verify_receipt(file: TextIO, key: str) -> None:
    """Verify the receipt in FILE (- for the standard input); exit 1 if it is false.

    Nothing of the house is needed for it but the key: keep your own copy of that.
    """
    text = file.read(RECEIPT_LENGTH_MAX + 1)
    verifier = verifier_of(key)
    try:
        receipt = opened(text, verifier, verifies(verifier.public))
    except ReceiptError as error:
        click.echo(f"FALSE: {error}", err=True)
        sys.exit(1)
    click.echo(
        f"True: {receipt['house']} charged {receipt['charged_msat']} msat"
        f" for request {receipt['request_id']}, at position {receipt['position']}."
    )


VERBS = (verify, verify_receipt)


def compared(store: Store, _database_url: str, public: bytes | None) -> str | None:
    """Return the first difference: of the log and what was sealed of it, then of its replay."""
    with Progress("compared") as progress:
        difference = check_seals(Seals(store), progress, public)
    if difference is not None:
        return difference
    with Progress("verified") as progress:
        return verify_log(store, progress)


def compared_beside(store: Store, database_url: str, public: bytes | None) -> str | None:
    """Return the same; what was sealed is compared by a second process meanwhile.

    The two read the log alone, and neither needs the other: on two cores, a long log takes a
    quarter less time. Raises `click` errors.
    """
    with ProcessPoolExecutor(1, get_context("spawn")) as other:
        sealed = other.submit(_seals_compared, database_url, public)
        with Progress("verified") as progress:
            replayed = verify_log(store, progress)
        try:
            return sealed.result() or replayed
        except (StoreError, BrokenProcessPool) as error:
            raise click.ClickException(f"the seals were not compared: {error}") from error


def _seals_compared(database_url: str, public: bytes | None) -> str | None:
    with closing(open_store(database_url)[0]) as store:
        return check_seals(Seals(store), _quietly, public)


def _quietly(_done: int, _of: int) -> None:
    """Show no progress: the one who replays the log does."""


def _verify_archive(file: Path, verifier: VerifierKey | None) -> None:
    try:
        with (
            Progress("verified") as progress,
            gzip.open(file, "rt", encoding="utf-8") as lines,
        ):
            found = check_archive(lines, LedgerMapper(), progress, verifier)
    except (BackupError, LedgerError, CheckpointError) as error:
        _differ(str(error))
    except OSError as error:
        raise click.ClickException(str(error)) from error
    sealed = "sealed and signed" if verifier else "sealed, signatures not verified (--key),"
    click.echo(
        f"The archive holds: {found.events} events up to position {found.position},"
        f" {sealed} by {found.origin}: 0 differences."
    )


def _differ(difference: str) -> NoReturn:
    click.echo(f"DIFFERENCE: {difference}", err=True)
    sys.exit(1)
