"""The verbs of the `tallystick` command: one for each thing an operator does but to serve."""

from __future__ import annotations

import os
import sys
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from app.announcing import Announcing, open_announcing
from app.environment import SettingsError
from app.gateways.mint.crypto import Seed
from app.house import signing_key
from app.logs import set_up_logs
from app.main import open_changes, open_providers
from app.office import (
    create_back_office,
    create_owing,
    create_sealing,
    open_reconciliation,
)
from app.sample.verb import seed_sample
from app.sealing.owed import OwedProofs
from app.sealing.prove import NotSealedError, Proofs
from app.sealing.sign import follow as follow_seals
from app.serving import settings_or_exit
from app.staff.opening import open_operators
from app.store.data_keys import DataKeys
from app.store.errors import StoreError
from app.store.liability_tables import LiabilityTables
from app.store.locks import REBUILD
from app.store.seals import Seals
from app.terminal import Progress, database_option, open_both_or_exit, open_store_or_exit
from app.verbs import (
    accounts,
    backup,
    erase,
    nostr,
    owing,
    verify,
)
from app.verbs import (
    admin as admins,
)
from app.verbs import (
    provider as providers,
)
from app.verbs import (
    settings as changing,
)
from app.verbs.accounts import WHEN, layout_option
from app.verbs.archive import write_archive
from app.verbs.reconcile import (
    as_of_option,
    is_unexplained,
    items_of,
    now_rows,
    past_rows,
    show,
)
from domain.errors import LedgerBrokenError, LedgerError
from projections.chart import NotToldError
from projections.follow import rebuild as rebuild_projections
from projections.moments import MomentError
from projections.sheets import SHEETS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from app.cashier.providers import Providers
    from app.changes import Changes
    from app.staff.operators import Operators


@click.group()
def main() -> None:
    """All of them."""


@main.command("back-office")
def back_office() -> None:
    """Run the back office alone; beside another one it waits for that one's lease."""
    settings = settings_or_exit()
    try:
        create_back_office(settings).run()
    except (SettingsError, StoreError) as error:
        raise click.ClickException(str(error)) from error
    except KeyboardInterrupt:
        sys.exit(0)


@main.command()
@database_option
def rebuild(database_url: str) -> None:
    """Drop every projection, guard rows included, and make it again from the log.

    Works while the service runs; writers wait only while the rows are swapped and, on
    SQLite, for each index that is made, a second for a million events.
    """
    set_up_logs("WARNING")
    store, locks = open_both_or_exit(database_url, is_there=True)
    with closing(store), closing(locks):
        if not locks.take(REBUILD):
            raise click.ClickException("somebody else is rebuilding it just now")
        with Progress("read") as progress:
            rebuild_projections(store, [sheet.name for sheet in SHEETS], progress)
        DataKeys(store).shred()
        seals = Seals(store)
        seals.forget()
        follow_seals(seals)
        store.settle()
        click.echo(f"Every projection was made again from {store.head()} positions.")


@main.command()
@as_of_option
@layout_option
@click.option("--record/--no-record", default=True, help="Write what is news into the log.")
def reconcile(as_of: str | None, layout: str, *, record: bool) -> None:
    """Compare the log, the purse and what every mint says; exit 1 if they differ.

    Each proof that cannot be spent is listed under the name of the reason: in flight, stuck
    at mint, uncollected, or unexplained, which stops the owner's payouts and nothing else.
    Settings come from the environment and from .env, as for `serve`. Works while the service
    runs.
    """
    settings = settings_or_exit()
    set_up_logs("WARNING")
    items: list[dict[str, object]] = []
    try:
        if as_of is not None:
            with (
                closing(open_store_or_exit(settings.database_url, is_there=True)) as store,
                Progress("read") as progress,
            ):
                upto, rows = past_rows(store, as_of, progress)
            click.echo(f"up to position {upto} of the log", err=True)
        else:
            with open_reconciliation(settings) as reconciliation:
                reports = reconciliation.run(record=record)
            rows, items = now_rows(reports), items_of(reports)
    except MomentError as error:
        raise click.BadParameter(str(error), param_hint="--as-of") from error
    except (SettingsError, StoreError, LedgerError, NotToldError) as error:
        raise click.ClickException(str(error)) from error
    show(rows, layout, items)
    if is_unexplained(rows):
        sys.exit(1)


@main.command()
@click.option("--seal", is_flag=True, help="Sign what is new first, without the back office.")
@click.option("--key", "show_key", is_flag=True, help="Print the verifier key instead.")
def checkpoint(*, seal: bool, show_key: bool) -> None:
    """Print the newest checkpoint: a signed note of how long the log is, and its root.

    Settings come from the environment and from .env, as for `serve`.
    """
    settings = settings_or_exit()
    seed = Seed.from_mnemonic(settings.wallet_seed.get_secret_value())
    if show_key:
        click.echo(str(signing_key(settings, seed).verifier))
        return
    try:
        if seal:
            create_sealing(settings, seed).seal()
        proofs = Proofs(Seals(open_store_or_exit(settings.database_url)))
        click.echo(proofs.checkpoint().note, nl=False)
    except NotSealedError as error:
        raise click.ClickException("nothing is sealed yet") from error
    except (SettingsError, StoreError, LedgerBrokenError) as error:
        raise click.ClickException(str(error)) from error


@main.command()
@click.argument("position", type=click.IntRange(min=1))
@database_option
def prove(position: int, database_url: str) -> None:
    """Print the proof that the event at POSITION is under the newest checkpoint.

    The proof and the event's line of an export are all that tools/verify_ledger.py needs.
    """
    with closing(open_store_or_exit(database_url, is_there=True)) as store:
        try:
            click.echo(Proofs(Seals(store)).inclusion(position).text(), nl=False)
        except NotSealedError as error:
            message = f"no checkpoint covers an event at position {position}"
            raise click.ClickException(message) from error


@main.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--before", "before", required=True, metavar="WHEN", help=f"Up to {WHEN}.")
def archive(file: Path, before: str) -> None:
    """Write the log up to WHEN into FILE, sealed, signed and complete in itself.

    `verify --archive FILE` verifies it without the house, and `restore FILE` makes a ledger
    of it whose balances are the same as here at every moment. The log itself stays whole:
    nothing is ever removed from it. Settings come from the environment and from .env, as for
    `serve`. Works while the service runs; FILE appears when it is whole.
    """
    settings = settings_or_exit()
    set_up_logs("WARNING")
    seed = Seed.from_mnemonic(settings.wallet_seed.get_secret_value())
    with closing(open_store_or_exit(settings.database_url, is_there=True)) as store:
        try:
            sealing = create_sealing(settings, seed)
        except (SettingsError, StoreError) as error:
            raise click.ClickException(str(error)) from error
        write_archive(store, sealing, file, before)


@main.command()
@click.option(
    "--directory",
    envvar="DEMO_DIR",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(".demo"),
    show_default=True,
    help="Where the demo's data and demo.json live.",
)
@click.option(
    "--exit/--stay",
    "leave",
    envvar="DEMO_EXIT",
    default=False,
    help="Exit after the tour, or stay up until Ctrl-C.",
)
def demo(directory: Path, *, leave: bool) -> None:
    """Watch ecash buy a streamed answer: a real mint, a sample upstream, and the house.

    UPSTREAM_BASE_URL, when set, takes the place of the sample upstream.
    """
    click.echo("Getting ready.")
    # A program of its own: the client's package takes two seconds to import, and nobody who
    # serves needs it. It takes this one's place, so that signals reach it.
    words = ["-m", "app.demo", "--directory", str(directory), "--exit" if leave else "--stay"]
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, *words])  # noqa: S606  (our own program)


@main.group()
@click.pass_context
def provider(context: click.Context) -> None:
    """Say who is asked for models, with which key and on what terms.

    Every change is an event that says who made it. Keys are read from a file, the standard
    input or a variable, sealed with the seed, and never shown again. Settings come from the
    environment and from .env, as for `serve`.
    """
    context.obj = _providers


@main.group()
@click.pass_context
def settings(context: click.Context) -> None:
    """Show the settings, and change those that may change while the house is open.

    Every change is an event that says who made it, and goes before the environment. What the
    environment says comes from there and from .env, as for `serve`.
    """
    context.obj = _changes


@contextmanager
def _changes() -> Iterator[Changes]:
    set_up_logs("WARNING")
    with open_changes(settings_or_exit()) as changes:
        yield changes


@contextmanager
def _announcing() -> Iterator[Announcing]:
    set_up_logs("ERROR")
    with open_announcing(settings_or_exit()) as announcing:
        yield announcing


@contextmanager
def _liable() -> Iterator[owing.Liable]:
    settings = settings_or_exit()
    set_up_logs("WARNING")
    seed = Seed.from_mnemonic(settings.wallet_seed.get_secret_value())
    with closing(open_store_or_exit(settings.database_url, is_there=True)) as store:
        try:
            proofs = OwedProofs(LiabilityTables(store))
            yield owing.Liable(proofs, create_owing(settings, seed).make)
        except (SettingsError, StoreError, LedgerBrokenError) as error:
            raise click.ClickException(str(error)) from error


@contextmanager
def _providers() -> Iterator[Providers]:
    set_up_logs("WARNING")
    with open_providers(settings_or_exit()) as providers:
        yield providers


@main.group()
@click.pass_context
def admin(context: click.Context) -> None:
    """Say who may look after the house, at /admin/, and with which password.

    Each change is an event that says who made it; passwords are kept as argon2 hashes, and
    not in the log. While ADMIN_PASSWORD is set, it is the password of the operator `admin`.
    Settings come from the environment and from .env, as for `serve`.
    """
    context.obj = _operators


@contextmanager
def _operators() -> Iterator[Operators]:
    set_up_logs("WARNING")
    with open_operators(settings_or_exit().database_url) as operators:
        yield operators


for verb in (*accounts.VERBS, *backup.VERBS, *verify.VERBS, *erase.VERBS, seed_sample):
    main.add_command(verb)
PARTS = ((admin, admins), (provider, providers), (settings, changing))
for part, named in PARTS:
    for verb in named.VERBS:
        part.add_command(verb)
main.add_command(nostr.group(_announcing))
main.add_command(owing.group(_liable))
