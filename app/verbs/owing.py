"""The commands about what is owed to all clients: the signed total, and each account's part."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TextIO

import click

from app.sealing.check import verifies
from app.sealing.prove import NotSealedError
from app.terminal import verifier_of
from projections.checkpoint import text_of
from projections.liabilities import AMOUNTS, Liabilities
from projections.owing import LENGTH_MAX, OwedError, proven, told_in

if TYPE_CHECKING:
    from typing import Any
    from uuid import UUID

    from app.sealing.owed import OwedProofs
    from projections.owing import Proven

NOT_YET = "what is owed was not signed yet; --sign does it now"
NOT_NOW = "nothing was signed: the log is empty, or another process seals just now"


@dataclass(frozen=True, slots=True)
class Liable:
    """What the commands need; `sign` signs anew what is owed now, `None` if it cannot."""

    proofs: OwedProofs
    sign: Callable[[], Liabilities | None]


Opened = Callable[[], AbstractContextManager[Liable]]
"""Opens what the commands need, or ends with one clear line; handed to them by click."""

as_json = click.option("--json", "wants_json", is_flag=True, help="Print one JSON document.")


def group(opened: Opened) -> click.Group:
    """Return the commands."""

    @click.group()
    @click.pass_context
    def liabilities(context: click.Context) -> None:
        """Show what is owed to all clients, signed, and prove each account's part of it.

        It is a Merkle sum tree: nobody can be left out of the total, or be in it with less,
        without a proof that fails. The back office signs it every hour. Settings come from
        the environment and from .env, as for `serve`.
        """
        context.obj = opened

    for verb in (show, proof, verify):
        liabilities.add_command(verb)
    return liabilities


@click.command()
@click.option("--sign", "anew", is_flag=True, help="Add up and sign what is owed now, first.")
@as_json
@click.pass_obj
def show(opened: Opened, *, anew: bool, wants_json: bool) -> None:
    """Print the newest signed total: five lines and the signature, as /liabilities has them.

    The lines are the house's name, how many events of the log are in it, the root of the log
    up to there, what is owed in msat, and the root of the tree of all accounts.
    """
    with opened() as about:
        if anew and about.sign() is None:
            raise click.ClickException(NOT_NOW)
        try:
            note = about.proofs.note()
        except NotSealedError as error:
            raise click.ClickException(NOT_YET) from error
    if wants_json:
        click.echo(json.dumps(_document(told_in(text_of(note))) | {"note": note}, indent=1))
    else:
        click.echo(note, nl=False)


@click.command()
@click.argument("account", type=click.UUID)
@click.pass_obj
def proof(opened: Opened, account: UUID) -> None:
    """Print the proof that what ACCOUNT is owed is in the newest signed total, as JSON.

    It is what its owner gets at /v1/wallet/liability-proof: it names the account, so give
    it to nobody else.
    """
    with opened() as about:
        try:
            proved = about.proofs.of(account)
        except NotSealedError as error:
            message = f"nothing was owed to {account} when it was signed"
            raise click.ClickException(message) from error
    click.echo(json.dumps(proved.document(), indent=1))


@click.command()
@click.argument("file", type=click.File())
@click.option("--key", required=True, help="The house's verifier key, as /v1/info tells it.")
@as_json
def verify(file: TextIO, key: str, *, wants_json: bool) -> None:
    """Verify the proof in FILE (- for the standard input); exit 1 if it proves nothing.

    Nothing of the house is needed for it but the key: keep your own copy of that.
    """
    verifier = verifier_of(key)
    try:
        found = proven(file.read(LENGTH_MAX + 1), verifier, verifies(verifier.public))
    except (OwedError, UnicodeDecodeError) as error:
        click.echo(f"FALSE: {error}", err=True)
        sys.exit(1)
    click.echo(json.dumps(_proved(found), indent=1) if wants_json else _said(found))


def _document(told: Liabilities) -> dict[str, Any]:
    return {
        "house": told.origin,
        "events": told.size,
        "log_root": told.log_root.hex(),
        "total_msat": told.total.msat,
        "root": told.total.hash.hex(),
    }


def _proved(found: Proven) -> dict[str, Any]:
    amounts = dict(zip(AMOUNTS, found.owed.amounts_msat, strict=True))
    return {"account": str(found.owed.account_id), **amounts, **_document(found.told)}


def _said(found: Proven) -> str:
    owed, told = found.owed, found.told
    return (
        f"True: {told.origin} owes {owed.total_msat} msat to {owed.account_id}, part of"
        f" {told.total.msat} msat owed to all, as of the first {told.size} events."
    )
