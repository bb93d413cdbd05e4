"""The commands about operators: who may look after the house, and by which password."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

import click

from app.staff.errors import StaffError
from app.staff.operators import Operators
from app.staff.passwords import LENGTH_MAX
from app.store.errors import StoreError
from app.terminal import who_is_here
from domain.errors import LedgerError
from domain.rights import FIRST, SCOPES

if TYPE_CHECKING:
    from collections.abc import Iterator

Opened = Callable[[], AbstractContextManager[Operators]]
"""Opens what changes operators; handed to the commands as click's object."""

Command = Callable[..., Any]


def scopes(command: Command) -> Command:
    """Add the option that says what an operator may do."""
    option = click.option(
        "--scope",
        "wanted",
        multiple=True,
        required=True,
        type=click.Choice(SCOPES),
        help="What they may do: read the books, carry them out, be paid what was earned,"
        " change the house. May be repeated.",
    )
    return option(command)


@click.command()
@click.argument("name", default=FIRST)
@click.pass_obj
def password(opened: Opened, name: str) -> None:
    """Set the password of the operator NAME, by default of the first one, `admin`.

    It is asked for on a terminal, and else read from the first line of the standard input.
    All sessions of theirs end.
    """
    with _clear(opened) as operators:
        if name != FIRST and operators.known(name) is None:
            raise click.ClickException(f"There is no operator '{name}'.")
        operators.set_password(name, _password(), who_is_here())
    click.echo(f"The password of {name} is set.")


@click.command()
@click.argument("name")
@scopes
@click.pass_obj
def add(opened: Opened, name: str, wanted: tuple[str, ...]) -> None:
    """Let NAME look after the house as well, within the scopes that are given.

    The password is read as `password` reads it.
    """
    with _clear(opened) as operators:
        operators.add(name, _password(), wanted, who_is_here())
    click.echo(f"{name} was added.")


@click.command("scopes")
@click.argument("name")
@scopes
@click.pass_obj
def set_scopes(opened: Opened, name: str, wanted: tuple[str, ...]) -> None:
    """Let NAME do what the scopes say, and nothing else. Their sessions end."""
    with _clear(opened) as operators:
        operators.set_scopes(name, wanted, who_is_here())
    click.echo(f"{name} was changed.")


@click.command("list")
@click.pass_obj
def list_operators(opened: Opened) -> None:
    """Show every operator and what they may do."""
    with _clear(opened) as operators:
        found = operators.all()
    for operator in found:
        click.echo(f"{operator.name:<20} {', '.join(operator.scopes)}")
    if not found:
        click.echo("There is no operator yet: tallystick admin password", err=True)


@click.command()
@click.argument("name")
@click.confirmation_option(prompt="Shall they be let in no more?")
@click.pass_obj
def remove(opened: Opened, name: str) -> None:
    """Let NAME in no more; their sessions end, and what they did stays in the log."""
    with _clear(opened) as operators:
        operators.remove(name, who_is_here())
    click.echo(f"{name} was removed.")


@click.command("sign-out")
@click.argument("name")
@click.pass_obj
def sign_out(opened: Opened, name: str) -> None:
    """End every session of NAME, wherever it is."""
    with _clear(opened) as operators:
        operators.sign_out(name, who_is_here())
    click.echo(f"{name} is signed out everywhere.")


VERBS = (password, add, set_scopes, list_operators, remove, sign_out)


@contextmanager
def _clear(opened: Opened) -> Iterator[Operators]:
    """Open what changes operators, and say in one line what went wrong with it."""
    try:
        with opened() as operators:
            yield operators
    except (StaffError, LedgerError, StoreError) as error:
        raise click.ClickException(str(error)) from error


def _password() -> str:
    """Return a password that nobody else can read on the way: never an argument."""
    if sys.stdin.isatty():
        text: str = click.prompt("Password", hide_input=True, confirmation_prompt=True)
        return text
    return sys.stdin.readline(LENGTH_MAX + 2).rstrip("\r\n")
