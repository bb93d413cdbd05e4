"""The commands about Nostr: what the house says of itself there, and who has heard it."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING

import click

from app.announcing import Announcing
from app.store.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator


NO_ADDRESS = "There is nothing to tell others: set HTTP_URL, or have an onion service."


Opened = Callable[[], AbstractContextManager[Announcing]]
"""Opens what the commands need; handed to them as click's object."""


def group(opened: Opened) -> click.Group:
    """Return the commands."""

    @click.group()
    @click.pass_context
    def nostr(context: click.Context) -> None:
        """Say who this house is on Nostr, and see who has heard it.

        Settings come from the environment and from .env, as for `serve`, and from what was
        changed since.
        """
        context.obj = opened

    nostr.add_command(show)
    nostr.add_command(publish)
    return nostr


@click.command()
@click.pass_obj
def show(opened: Opened) -> None:
    """Show what would be published: the event, not signed, and where it would go.

    Nothing is sent. Without PROVIDER_ID the listing keeps the name (d) under which a relay has
    it already.
    """
    with _clear(opened) as about:
        draft, event = about.draft, about.draft.event(about.listed)
    click.echo(json.dumps(event, indent=2, ensure_ascii=False))
    if not draft.listing.urls:
        click.echo(NO_ADDRESS, err=True)
    if draft.public is None:
        click.echo("NSEC is not set: nothing is published.", err=True)
    if not draft.relays:
        click.echo("RELAYS is not set: nothing is published.", err=True)
    for url in draft.relays:
        click.echo(f"to {url}", err=True)


@click.command()
@click.pass_obj
def publish(opened: Opened) -> None:
    """Publish the listing now, where it is not as it should be; tell each relay's answer.

    Exit 1 if no relay has it then.
    """
    with _clear(opened) as about:
        if about.publisher is None:
            raise click.ClickException("set NSEC and RELAYS, or nothing can be published")
        if not about.draft.listing.urls:
            raise click.ClickException(NO_ADDRESS)
        click.echo(f"asking {len(about.draft.relays)} relays", err=True)
        visited = about.publisher.look()
    for each in visited:
        click.echo(f"{each.relay} {each.verdict} {each.message}".rstrip())
    if not any(each.is_good for each in visited):
        raise click.ClickException("no relay has the listing")


@contextmanager
def _clear(opened: Opened) -> Iterator[Announcing]:
    """Open what the commands need, and say in one line what went wrong with the store."""
    try:
        with opened() as about:
            yield about
    except StoreError as error:
        raise click.ClickException(str(error)) from error
