"""The commands about settings: what they are, where that comes from, and changing them."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from app.changes import Changes, SettingError
from app.store.errors import StoreError
from app.terminal import columns, who_is_here
from domain.errors import LedgerError

if TYPE_CHECKING:
    from collections.abc import Iterator

Opened = Callable[[], AbstractContextManager[Changes]]
"""Opens what changes settings; handed to the commands as click's object."""

VALUE_WIDTH_MAX = 50
HEAD = ("SETTING", "VALUE", "FROM", "LIVE")


@click.command("list")
@click.option("--live", is_flag=True, help="Only those that may be changed now.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.pass_obj
def list_settings(opened: Opened, *, live: bool, as_json: bool) -> None:
    """Show every setting, and where its value comes from.

    That is a change made here, the environment, the file .env, or the default. Those that
    are LIVE may be changed by `set`. Of secrets only whether they are set is shown.
    """
    with _clear(opened) as changes:
        found = [shown for shown in changes.all() if shown.may_change or not live]
    if as_json:
        click.echo(json.dumps([asdict(shown) for shown in found], indent=2, default=str))
        return
    rows = [
        (shown.name, _cut(shown.value), shown.source, "live" if shown.may_change else "")
        for shown in found
    ]
    for line in columns((HEAD, *rows)):
        click.echo(line)


@click.command()
@click.argument("name")
@click.pass_obj
def show(opened: Opened, name: str) -> None:
    """Show all there is to say of the setting NAME."""
    with _clear(opened) as changes:
        shown = changes.one(name)
    click.echo(f"{shown.name}={shown.value}")
    click.echo(shown.about)
    click.echo(f"from: {shown.source}")
    if shown.value != shown.given:
        click.echo(f"without the change: {shown.given}")
    if shown.at is not None:
        click.echo(f"last changed: {shown.at:%Y-%m-%d %H:%M:%S} UTC by {shown.who}")
    click.echo(f"may be changed while the house is open: {'yes' if shown.may_change else 'no'}")


@click.command("set")
@click.argument("name")
@click.argument("value")
@click.pass_obj
def set_setting(opened: Opened, name: str, value: str) -> None:
    """Let the setting NAME be VALUE from now on, in every process and on every host.

    VALUE is what the variable in .env would be. It goes before the environment until `unset`;
    all processes follow within seconds. Requests that were admitted are charged as they were.
    """
    with _clear(opened) as changes:
        written = changes.set(name, value, who_is_here())
    click.echo(f"{name.upper()} is {written or 'empty'} from now on.")


@click.command()
@click.argument("name")
@click.pass_obj
def unset(opened: Opened, name: str) -> None:
    """Let the setting NAME be what the environment says again."""
    with _clear(opened) as changes:
        written = changes.unset(name, who_is_here())
    click.echo(f"{name.upper()} is {written or 'empty'} again, as the environment says.")


@click.command()
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.pass_obj
def history(opened: Opened, name: str, *, as_json: bool) -> None:
    """Show every change of the setting NAME, oldest first, and who made it."""
    with _clear(opened) as changes:
        found = changes.history(name)
    if as_json:
        said = [{"at": past.at, "who": past.who, "value": past.value} for past in found]
        click.echo(json.dumps(said, indent=2, default=str))
        return
    if not found:
        click.echo(f"{name.upper()} was never changed while the house was open.")
    for past in found:
        said_now = "as the environment says" if past.value is None else past.value or "empty"
        click.echo(f"{past.at:%Y-%m-%d %H:%M:%S} UTC  {past.who}: {said_now}")


VERBS = (list_settings, show, set_setting, unset, history)


def _cut(value: str) -> str:
    return value if len(value) <= VALUE_WIDTH_MAX else value[: VALUE_WIDTH_MAX - 1] + "…"


@contextmanager
def _clear(opened: Opened) -> Iterator[Changes]:
    """Open what changes settings, and say in one line what went wrong with it."""
    try:
        with opened() as changes:
            yield changes
    except (SettingError, LedgerError, StoreError) as error:
        raise click.ClickException(str(error)) from error
