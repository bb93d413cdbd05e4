"""The `tallystick` command: one verb for each thing an operator does."""

from __future__ import annotations

import os
import sys
from contextlib import closing, contextmanager
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from typing import TYPE_CHECKING

import click

from app import (
    accounts,
    admin_verbs,
    backup,
    erasing,
    nostr_verbs,
    owing_verbs,
    provider_verbs,
    setting_verbs,
    verifying,
)
from app.accounts import WHEN, layout_option
from app.announcing import key_of, open_announcing
from app.archiving import write_archive
from app.auditing import first_password, open_operators
from app.environment import SettingsError, former_lines, load_settings
from app.gateways.mint.crypto import Seed
from app.house import signing_key
from app.logs import set_up_logs
from app.main import open_changes, open_providers
from app.metrics import SHARED
from app.office import (
    create_back_office,
    create_owing,
    create_sealing,
    open_reconciliation,
)
from app.processes import Child, Processes
from app.reconciling import (
    as_of_option,
    is_unexplained,
    items_of,
    now_rows,
    past_rows,
    show,
)
from app.sample.verb import seed_sample
from app.sealing.owed import OwedProofs
from app.sealing.prove import NotSealedError, Proofs
from app.sealing.sign import follow as follow_seals
from app.store.data_keys import DataKeys
from app.store.errors import StoreError
from app.store.liability_tables import LiabilityTables
from app.store.seals import Seals
from app.terminal import Progress, database_option, open_store_or_exit
from domain.errors import LedgerBrokenError, LedgerError
from projections.chart import NotToldError
from projections.follow import rebuild as rebuild_projections
from projections.moments import MomentError
from projections.sheets import SHEETS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from app.cashier.providers import Providers
    from app.changes import Changes
    from app.settings import Settings
    from app.staff.operators import Operators

STOP_WITHIN_S = 3700.0
"""Longer than gunicorn's own time to drain: streams that run are allowed to end."""

GUNICORN = ("-m", "gunicorn", "-c", str(Path(__file__).parents[1] / "gunicorn.conf.py"))


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="tallystick")
def main() -> None:
    """Sell an OpenAI-compatible API request by request for Cashu ecash."""


@main.command()
def serve() -> None:
    """Serve for real: gunicorn's workers and the back office, until SIGTERM or Ctrl-C.

    Settings come from the environment and from .env; see .env.example.
    """
    settings = _settings()
    for line in former_lines():
        click.echo(line, err=True)
    open_store_or_exit(settings.database_url)
    if settings.admin_password is None:
        _greet_first_operator(settings.database_url)
    children = Processes(STOP_WITHIN_S)
    children.stop_on_signals()
    counted = Path(mkdtemp(prefix="tallystick-metrics-"))
    environ = {SHARED: str(counted)}
    # Started here and once, so that there is a back office wherever there are workers.
    # They drain and end when this process is killed: a second one finds the port free.
    command = [sys.executable, "-m", "app.cli", "back-office"]
    children.start(Child("back office", command, environ, restart=True, ends_with_us=True))
    children.start(Child("gunicorn", [sys.executable, *GUNICORN], environ, ends_with_us=True))
    try:
        code = children.wait()
    finally:
        children.stop()
        rmtree(counted, ignore_errors=True)
    sys.exit(code)


@main.command("back-office")
def back_office() -> None:
    """Run the back office alone; beside another one it waits for that one's lease."""
    settings = _settings()
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

    Works while the service runs; writers wait only while the rows are swapped.
    """
    set_up_logs("WARNING")
    with closing(open_store_or_exit(database_url, is_there=True)) as store:
        with Progress("read") as progress:
            rebuild_projections(store, [sheet.name for sheet in SHEETS], progress)
        DataKeys(store).shred()
        seals = Seals(store)
        seals.forget()
        follow_seals(seals)
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
    settings = _settings()
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
    settings = _settings()
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
    except (StoreError, LedgerBrokenError) as error:
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
    settings = _settings()
    set_up_logs("WARNING")
    seed = Seed.from_mnemonic(settings.wallet_seed.get_secret_value())
    with closing(open_store_or_exit(settings.database_url, is_there=True)) as store:
        write_archive(store, create_sealing(settings, seed), file, before)


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
    with open_changes(_settings()) as changes:
        yield changes


@contextmanager
def _announcing() -> Iterator[nostr_verbs.Announcing]:
    set_up_logs("ERROR")
    with open_announcing(_settings()) as announcing:
        yield announcing


@contextmanager
def _liable() -> Iterator[owing_verbs.Liable]:
    settings = _settings()
    set_up_logs("WARNING")
    seed = Seed.from_mnemonic(settings.wallet_seed.get_secret_value())
    with closing(open_store_or_exit(settings.database_url, is_there=True)) as store:
        try:
            proofs = OwedProofs(LiabilityTables(store))
            yield owing_verbs.Liable(proofs, create_owing(settings, seed).make)
        except (StoreError, LedgerBrokenError) as error:
            raise click.ClickException(str(error)) from error


@contextmanager
def _providers() -> Iterator[Providers]:
    set_up_logs("WARNING")
    with open_providers(_settings()) as providers:
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
    with open_operators(_settings().database_url) as operators:
        yield operators


def _greet_first_operator(database_url: str) -> None:
    """Tell a password, once, to whoever opens a house without any operator.

    Only on a terminal: what a service manager keeps of our output is a log.
    """
    if not sys.stderr.isatty():
        return
    password = first_password(database_url)
    if password is not None:
        click.echo(
            "The house has no operator yet. At /admin/ sign in as admin with the password\n\n"
            f"    {password}\n\n"
            "It is not shown again; 'tallystick admin password' sets another.",
            err=True,
        )


def _settings() -> Settings:
    try:
        settings = load_settings()
        key_of(settings)
    except SettingsError as error:
        raise click.ClickException(str(error)) from error
    return settings


for verb in (*accounts.VERBS, *backup.VERBS, *verifying.VERBS, *erasing.VERBS, seed_sample):
    main.add_command(verb)
PARTS = ((admin, admin_verbs), (provider, provider_verbs), (settings, setting_verbs))
for part, named in PARTS:
    for verb in named.VERBS:
        part.add_command(verb)
main.add_command(nostr_verbs.group(_announcing))
main.add_command(owing_verbs.group(_liable))


if __name__ == "__main__":
    main()
