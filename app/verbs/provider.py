"""The commands about providers: who is asked for models, with which key, on what terms."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from app.cashier.errors import CashierError
from app.cashier.providers import Providers, Shown
from app.gateways.errors import GatewayError
from app.gateways.mint.errors import SealError
from app.store.errors import StoreError
from app.terminal import columns, who_is_here
from domain.errors import InvalidProviderError, LedgerError, PricingError
from domain.model_list import read_models

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import IO

KEY_CHARACTERS_MAX = 4_000
MODELS_CHARACTERS_MAX = 32 * 1024 * 1024

Opened = Callable[[], AbstractContextManager[Providers]]
"""Opens what sets providers up; handed to the commands as click's object."""

Command = Callable[..., Any]


def terms(command: Command) -> Command:
    """Add the options that say what a provider is like."""
    for option in reversed(
        (
            click.option(
                "--key-file",
                type=click.File(),
                help="Read our key at the provider from this file; - for the standard input.",
            ),
            click.option(
                "--key-env",
                metavar="NAME",
                help="Read our key from this variable of the environment.",
            ),
            click.option("--fee", help="The factor on the provider's prices, as in 1.05."),
            click.option(
                "--priority",
                type=int,
                help="Of providers that cost the same, the lowest is first.",
            ),
            click.option(
                "--models",
                "models_file",
                type=click.File(),
                help="What it sells and asks for it, in the shape of models.json.",
            ),
            click.option(
                "--refresh/--no-refresh",
                "lists",
                default=None,
                help="Whether its own list of models and prices is asked for again and again.",
            ),
            click.option(
                "--only",
                multiple=True,
                metavar="PATTERN",
                help="Of its own list take ids like this, as in 'openai/*'. May be repeated.",
            ),
        )
    ):
        command = option(command)
    return command


@click.command("list")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.pass_obj
def list_providers(opened: Opened, *, as_json: bool) -> None:
    """Show every provider. Keys are never shown."""
    with _clear(opened) as providers:
        found = providers.all()
    if as_json:
        click.echo(json.dumps([asdict(shown) for shown in found], indent=2))
        return
    rows = [HEAD, *(_cells(shown) for shown in found)]
    for line in columns(rows):
        click.echo(line)


@click.command()
@click.argument("name")
@click.argument("base_url")
@terms
@click.option("--disabled", is_flag=True, help="Do not ask it yet.")
@click.pass_obj
def add(opened: Opened, /, name: str, base_url: str, *, disabled: bool, **given: Any) -> None:
    """Ask NAME, at BASE_URL, for models as well.

    BASE_URL is as OpenAI's clients want it: with /v1 if it has one. Every process that serves
    knows of it within seconds.
    """
    changes, document = _given(given)
    with _clear(opened) as providers:
        providers.add(
            name,
            base_url,
            who_is_here(),
            changes.pop("api_key", ""),
            enabled=not disabled,
            **changes,
        )
        _list(providers, name, document)
        if given["lists"]:
            _refresh(providers, name, accept=False)
    click.echo(f"{name} was added.")


@click.command("set")
@click.argument("name")
@click.option("--base-url", help="The new address.")
@click.option("--no-key", is_flag=True, help="Ask it without credentials.")
@click.option("--all-models", is_flag=True, help="Take all ids of its own list again.")
@terms
@click.pass_obj
def set_provider(
    opened: Opened,
    /,
    name: str,
    base_url: str | None,
    *,
    no_key: bool,
    all_models: bool,
    **given: Any,
) -> None:
    """Change what is given of the provider NAME, and nothing else.

    The provider `default` is that of the settings; what is changed here goes before them.
    """
    changes, document = _given(given)
    if no_key:
        changes["api_key"] = ""
    if all_models:
        changes["only"] = ()
    if not changes and base_url is None and document is None:
        raise click.UsageError("Nothing is to be changed.")
    with _clear(opened) as providers:
        providers.change(name, who_is_here(), base_url=base_url, **changes)
        _list(providers, name, document)
    click.echo(f"{name} was changed.")


@click.command()
@click.argument("name")
@click.confirmation_option(prompt="Shall it be asked no more, and its key be forgotten?")
@click.pass_obj
def remove(opened: Opened, name: str) -> None:
    """Ask the provider NAME no more; its key is forgotten, its history stays."""
    with _clear(opened) as providers:
        providers.remove(name, who_is_here())
    click.echo(f"{name} was removed.")


@click.command()
@click.argument("name")
@click.pass_obj
def enable(opened: Opened, name: str) -> None:
    """Ask the provider NAME again."""
    with _clear(opened) as providers:
        providers.change(name, who_is_here(), enabled=True)
    click.echo(f"{name} is asked.")


@click.command()
@click.argument("name")
@click.pass_obj
def disable(opened: Opened, name: str) -> None:
    """Ask the provider NAME no more, and keep all that is known of it."""
    with _clear(opened) as providers:
        providers.change(name, who_is_here(), enabled=False)
    click.echo(f"{name} is not asked.")


@click.command()
@click.argument("name")
@click.option("--accept", is_flag=True, help="Take prices however far they have jumped.")
@click.pass_obj
def refresh(opened: Opened, name: str, *, accept: bool) -> None:
    """Ask the provider NAME for its models and prices now, and sell by them."""
    with _clear(opened) as providers:
        _refresh(providers, name, accept=accept)


VERBS = (list_providers, add, set_provider, remove, enable, disable, refresh)
HEAD = ("NAME", "ADDRESS", "KEY", "FEE", "PRIORITY", "MODELS", "REFRESHED", "ASKED")


def _cells(shown: Shown) -> tuple[str, ...]:
    return (
        shown.name,
        shown.base_url,
        "yes" if shown.has_key else "no",
        shown.fee,
        str(shown.priority),
        str(shown.models),
        "yes" if shown.lists else "no",
        "yes" if shown.enabled else "no",
    )


@contextmanager
def _clear(opened: Opened) -> Iterator[Providers]:
    """Open what sets providers up, and say in one line what went wrong with it."""
    try:
        with opened() as providers:
            yield providers
    except InvalidProviderError as error:
        raise click.UsageError(str(error)) from error
    except (CashierError, GatewayError, LedgerError, StoreError) as error:
        raise click.ClickException(str(error)) from error
    except SealError as error:
        raise click.ClickException("its key was sealed by another WALLET_SEED") from error


def _given(given: dict[str, Any]) -> tuple[dict[str, Any], object]:
    """Return the terms that were given, and the models, `None` if none were."""
    changes = {
        name: given[name] for name in ("fee", "priority", "lists") if given[name] is not None
    }
    if given["only"]:
        changes["only"] = tuple(given["only"])
    api_key = _key(given["key_file"], given["key_env"])
    if api_key is not None:
        changes["api_key"] = api_key
    return changes, _document(given["models_file"])


def _key(file: IO[str] | None, variable: str | None) -> str | None:
    """Return our key from where it is kept; on the command line everybody could read it."""
    if file is not None and variable is not None:
        raise click.UsageError("Name one of --key-file and --key-env.")
    if file is not None:
        text = file.read(KEY_CHARACTERS_MAX).strip()
    elif variable is not None:
        text = os.environ.get(variable, "").strip()
    else:
        return None
    if not text:
        raise click.UsageError("There is no key where it was to be read from.")
    return text


def _document(file: IO[str] | None) -> object:
    if file is None:
        return None
    try:
        found: object = json.loads(file.read(MODELS_CHARACTERS_MAX))
        read_models(found)
    except (ValueError, RecursionError, PricingError) as error:
        raise click.UsageError(f"--models: {error}") from error
    return found


def _list(providers: Providers, name: str, document: object) -> None:
    if document is not None:
        count = providers.list_models(name, document, who_is_here())
        click.echo(f"{name} sells {count} models.")


def _refresh(providers: Providers, name: str, *, accept: bool) -> None:
    found = providers.refresh(name, who_is_here(), accept=accept)
    click.echo(f"{name} sells {len(found.models)} models.")
    if found.gone:
        click.echo(f"No longer listed: {', '.join(found.gone)}")
    if found.held_back:
        click.echo(
            f"Their prices have jumped, and stay as they were until --accept:"
            f" {', '.join(found.held_back)}",
            err=True,
        )
    if found.ignored:
        click.echo(f"{found.ignored} entries without a price were left out.", err=True)
