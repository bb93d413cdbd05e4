"""A day's work at a store: deposits, holds and charges through the ledger's own door."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

from app.store.group import OneByOne
from domain.allowance import Rules
from domain.catalogue import Provider
from domain.deposit import Claim, Received
from domain.key import Changes
from domain.ledger import Ledger
from domain.msat import Msat
from domain.operators import NoteAct, SetOperator
from domain.provider import ListModels, SetProvider
from domain.purse import Purse, split
from domain.refund import Issued, Started
from domain.setting import ChangeSetting
from projections.follow import verify
from projections.guard import TABLES
from tests.domain.given import KEYSET, MINT, TERMS, USAGE, signed

if TYPE_CHECKING:
    from domain.event import Entry
    from domain.guards import GuardRows
    from tests.store.places import Store

FAR = datetime(2126, 1, 1, tzinfo=UTC)


def ledger_on(store: Store, owner: str = "worker-1") -> Ledger:
    return Ledger(OneByOne(store.commit).record, owner)


def claim_of(account_id: UUID, sat: int, mint: str = MINT) -> Claim:
    return Claim(
        account_id=account_id,
        mint=mint,
        unit="sat",
        face_msat=sat * 1000,
        fee_msat=0,
        sealed=b"sealed",
    )


def fund(
    ledger: Ledger,
    account_id: UUID,
    sat: int,
    deposit_id: UUID | None = None,
    keyset_id: str = KEYSET,
) -> Entry:
    """Deposit `sat`; return the intent of the deposit, whose credit is version 2."""
    begun = ledger.receive_token(
        deposit_id or uuid4(), claim_of(account_id, sat), keyset_id, split(sat)
    )
    assert isinstance(begun.event, Received)
    ledger.credit_deposit(begun, signed(begun.event.plan))
    return begun


def serve(
    ledger: Ledger,
    account_id: UUID,
    held_msat: int,
    cost_msat: int,
    key_id: UUID | None = None,
) -> UUID:
    """Serve one request from its hold to its charge."""
    hold_id = uuid4()
    ledger.hold(hold_id, account_id, Msat(held_msat), TERMS, key_id=key_id)
    ledger.charge(hold_id, account_id, Msat(cost_msat), TERMS, USAGE, key_id)
    return hold_id


def refund(ledger: Ledger, account_id: UUID, sat: int) -> tuple[Entry, Issued]:
    """Give `sat` back; return the intent and the token, which nobody has collected yet."""
    purse = Purse(MINT, "sat", KEYSET, {})
    begun = ledger.start_refund(uuid4(), account_id, purse, Msat.from_sat(sat))
    assert isinstance(begun.event, Started)
    draft = begun.event.draft
    return begun, ledger.issue_refund(begun, draft, signed(draft.plan))


def add_provider(ledger: Ledger, name: str | None = None) -> UUID:
    """Record a provider of one model, called as nobody is if there is no `name`."""
    provider_id = uuid4()
    name = name or f"p-{provider_id.hex[:12]}"
    provider = Provider(base_url="https://a.example")
    ledger.change_provider(SetProvider(provider_id, 0, name, "me", provider))
    price = {"prompt": "0.1", "completion": "0.2"}
    models = ({"id": "gpt-x", "pricing": price},)
    ledger.change_provider(ListModels(provider_id, 1, name, "me", models))
    return provider_id


def add_operator(ledger: Ledger) -> None:
    """Record an operator called as nobody is, and one thing that they do."""
    operator_id = uuid4()
    name = f"o-{operator_id.hex[:12]}"
    ledger.change_operator(SetOperator(operator_id, 0, name, "me", ("audit",), uuid4()))
    ledger.change_operator(NoteAct(uuid4(), name, "exported"))


def changes_of(store: Store, name: str) -> int:
    """Return how often a setting was changed."""
    row = store.settings().get(name)
    return row.version if row else 0


def a_day(store: Store, account_id: UUID) -> None:
    """A deposit, requests served and running, a child key, tokens out and on their way."""
    ledger = ledger_on(store)
    fund(ledger, account_id, 1_000)
    serve(ledger, account_id, 60_000, 7_000)
    ledger.hold(uuid4(), account_id, Msat(50_000), TERMS)
    refund(ledger, account_id, 100)
    ledger.start_refund(uuid4(), account_id, Purse(MINT, "sat", KEYSET, {}), Msat(64_000))
    ledger.receive_token(uuid4(), claim_of(account_id, 3), KEYSET, split(3))
    child_id = uuid4()
    ledger.make_key(child_id, account_id, uuid4(), Rules(limit_msat=9_000, reset="daily"))
    serve(ledger, account_id, 6_000, 4_000, child_id)
    ledger.set_key(account_id, account_id, Changes(expires_at=FAR, models=("gpt-x", "gpt-y")))
    ledger.observe_rate(uuid4(), "50000", ("a",))
    add_provider(ledger)
    add_operator(ledger)
    version = changes_of(store, "name")
    ledger.change_setting(ChangeSetting("name", version, "My house", "me"))


def tables(rows: GuardRows) -> dict[str, object]:
    """Guard rows as something that can be compared."""
    return {name: dict(getattr(rows, name).rows) for name in TABLES}


def silent(_done: int, _of: int) -> None:
    """Show no progress."""


def verified(store: Store) -> str | None:
    return verify(store, silent)
