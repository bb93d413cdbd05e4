"""The command that erases what names a client, and leaves the money and the log as they are."""

from __future__ import annotations

from contextlib import closing
from hashlib import sha256
from typing import TYPE_CHECKING
from uuid import UUID

import click

from app.cashier.vault import BY_SEED
from app.logs import set_up_logs
from app.store.data_keys import DataKeys
from app.store.errors import StoreError
from app.store.threads import one_by_one
from app.terminal import Progress, database_option, open_store_or_exit, who_is_here
from domain.allowance import Rules
from domain.errors import LedgerError
from domain.ledger import Ledger
from domain.personal import sealed_in
from projections.export.plain import sat

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from app.store.opening import Store
    from domain.allowance import KeyRow
    from domain.personal import Sealed

CODE_CHARACTERS = 8


@click.command()
@click.argument("account")
@database_option
@click.option("--confirm", metavar="CODE", help="Erase: the code that was shown without it.")
def erase(account: str, database_url: str, confirm: str | None) -> None:
    """Make the addresses of ACCOUNT, a client's id, unreadable for ever.

    Asked first without --confirm: that shows what will be gone, and a code. The log keeps
    every byte, so that its proofs hold; what is destroyed is the one key under which the
    account's addresses are sealed. Its money stays and can be refunded as a token. Works
    while the service runs. docs/operating/erasure.md tells what else has to be done.
    """
    set_up_logs("WARNING")
    account_id = _id(account)
    with closing(open_store_or_exit(database_url, is_there=True)) as store:
        try:
            _erase(store, account_id, confirm)
        except (StoreError, LedgerError) as error:
            raise click.ClickException(str(error)) from error


VERBS = (erase,)


def _erase(store: Store, account_id: UUID, confirm: str | None) -> None:
    keys, row = DataKeys(store), store.key(account_id)
    code = _code(account_id, row, keys.find(account_id))
    if confirm is None:
        with Progress("read") as progress:
            sealed = list(_sealed(store, account_id, progress))
        click.echo("".join(_shown(store, account_id, row, sealed)), nl=False)
        click.echo(
            "Nothing was erased. It cannot be undone. To erase:\n"
            f"    tallystick erase {account_id} --confirm {code}"
        )
        return
    erased = row is not None and row.erased
    if not erased and confirm != code:
        raise click.BadParameter(
            "is not the code of what the account is like now; ask again without it",
            param_hint="--confirm",
        )
    event = Ledger(one_by_one(store), "erasing").erase(account_id, who_is_here())
    # First the event, then the key: killed between the two, it is asked again, or the back
    # office destroys it.
    keys.shred()
    click.echo(f"Erased at {event.at.isoformat()}, by {event.who}.")
    click.echo("Write the backup of the keys anew, and delete every older one.", err=True)


def _shown(
    store: Store, account_id: UUID, row: KeyRow | None, sealed: list[Sealed]
) -> Iterator[str]:
    rules, account = row.rules if row else Rules(), store.account(account_id)
    yield f"account         {account_id}\n"
    if account is not None:
        yield f"available       {sat(account.available_msat)} sat\n"
        yield f"held            {sat(account.held_msat)} sat\n"
    yield f"refund address  {'yes' if rules.refund_to else 'none'}\n"
    yield f"sealed texts    {len(sealed)} in the log\n"
    if row is not None and row.erased:
        yield "erased          yes, before\n"
    old = sum(each.text[:1] == BY_SEED for each in sealed)
    if old:
        yield (
            f"{old} of them were sealed by an older version, under the seed alone. The house"
            " will show them no more, but whoever has both the log and WALLET_SEED can"
            " read them.\n"
        )


def _sealed(
    store: Store, account_id: UUID, progress: Callable[[int, int], None]
) -> Iterator[Sealed]:
    """Yield every text in the log that names the owner of an account."""
    head = store.head()
    for page in store.log(0, head):
        for _, entry in page:
            found = sealed_in(entry.event)
            if found is not None and found.account_id == account_id:
                yield found
        progress(page[-1][0], head)


def _code(account_id: UUID, row: KeyRow | None, wrapped: bytes | None) -> str:
    """Return what stands for an account as it is just now."""
    version = row.version if row else 0
    told = b"%b %d %b" % (account_id.bytes, version, wrapped or b"")
    return sha256(told).hexdigest()[:CODE_CHARACTERS]


def _id(account: str) -> UUID:
    try:
        return UUID(account)
    except ValueError as error:
        message = "is no account's id; an account is never named by its key"
        raise click.BadParameter(message, param_hint="ACCOUNT") from error
