"""To serve: gunicorn's workers and the back office, each a process of its own.

To import what all verbs need takes a second more, in which nobody is served.
"""

from __future__ import annotations

import sys
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from typing import TYPE_CHECKING

import click

from app.environment import SettingsError, former_lines, load_settings
from app.metrics import SHARED
from app.processes import Child, Processes
from app.public import key_of
from app.staff.opening import first_password
from app.terminal import open_store_or_exit

if TYPE_CHECKING:
    from app.settings import Settings

STOP_WITHIN_S = 3700.0
"""Longer than gunicorn's own time to drain: streams that run are allowed to end."""

GUNICORN = ("-m", "gunicorn", "-c", str(Path(__file__).parents[1] / "gunicorn.conf.py"))


@click.command()
def serve() -> None:
    """Serve for real: gunicorn's workers and the back office, until SIGTERM or Ctrl-C.

    Settings come from the environment and from .env; see .env.example.
    """
    settings = settings_or_exit()
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


def settings_or_exit() -> Settings:
    try:
        settings = load_settings()
        key_of(settings)
    except SettingsError as error:
        raise click.ClickException(str(error)) from error
    return settings


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
