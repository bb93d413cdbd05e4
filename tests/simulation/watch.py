"""What must hold after every step of a simulation, and what must hold when all is over."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING
from uuid import uuid5

from app.cashier.keys import ATTEMPTS_MAX
from app.gateways.mint import tokens
from domain.guards import FREE, ISSUED, OUT
from domain.hold import Charged
from domain.identity import OWNER, account_of_token, deposit_of_token, hold_of_request
from domain.invoice import InvoiceCredited
from domain.payout import PayoutPaid, PayoutStarted
from domain.reclaim import SweepStarted
from domain.refund import Issued, Started
from projections.audit import Auditor
from projections.follow import verify
from tests.integration.soundness import OF_THE_HOUSE
from tests.simulation.house import SEED
from tests.simulation.mint import hashed, read_token
from tests.simulation.stage import ViolationError
from tests.simulation.store import PlainStore

if TYPE_CHECKING:
    from collections.abc import Container
    from uuid import UUID

    from app.store.reads import Placed
    from domain.event import Event
    from domain.guards import ProofKey
    from tests.simulation.clients import Client
    from tests.simulation.house import World
    from tests.simulation.owner import Owner

MSAT_PER_SAT = 1_000
ATTEMPTS = range(ATTEMPTS_MAX)
CHEAP = (
    "SELECT 'accounts', COUNT(*), SUM(available_msat), SUM(held_msat) FROM balance"
    " UNION ALL SELECT 'holds', COUNT(*), SUM(amount_msat), 0 FROM open_hold"
    " UNION ALL SELECT 'proofs', COUNT(*), SUM(amount), SUM(counter) FROM proof"
    " UNION ALL SELECT 'counters', COUNT(*), SUM(next_counter), 0 FROM keyset_counter"
    " UNION ALL SELECT 'movements', COUNT(*), SUM(version), 0 FROM open_movement"
)


class Watch:
    """Reads the log as it grows and believes nothing; raises `ViolationError`."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._auditor = Auditor()
        self._store = PlainStore(world.disk, world.stage.now)
        self._position = 0
        self._seen = -1

    def look(self) -> None:
        """Check what was committed since the last look, and what it has come to."""
        done = self._world.stage.told.counts.get("transactions", 0)
        if done == self._seen:
            return
        self._seen = done
        for page in self._store.log(self._position):
            if found := self._auditor.read(page):
                raise ViolationError(found)
            self._position = page[-1].position
            self._check_draws(page)
        self._check_books()
        self._check_rows()
        self._check_purse()

    def newest(self, stream: UUID) -> Event | None:
        history = self._store.history(stream)
        return history[-1].event if history else None

    def expect_credited(self, token: str, account_id: UUID) -> None:
        """Check that what a client was told of its deposit is so, and outlives everybody."""
        read = read_token(token)
        event = self.newest(deposit_of_token(tokens.token_id(read.proofs)))
        if getattr(event, "credited_msat", None) is None:
            raise ViolationError(f"a client was told of a credit that nobody wrote: {event}")
        if getattr(event, "account_id", None) != account_id:
            raise ViolationError("a client's token was credited to another")

    def is_swept(self, token: str) -> bool:
        """Tell whether the house has begun to take back a token that nobody collected."""
        ys = {hashed(proof.secret) for proof in read_token(token).proofs}
        return any(
            isinstance(entry.event, SweepStarted)
            and ys & {_y(spent.key) for spent in entry.event.swap.inputs}
            for page in self._store.log()
            for _, entry in page
        )

    def finish(self, clients: list[Client], owner: Owner) -> None:
        """Check all again when nothing is left to be done."""
        self.look()
        if found := verify(self._store, lambda _done, _all: None):
            raise ViolationError(found)
        if owners := self._store.hold_owners():
            raise ViolationError(f"holds were left open by {owners}")
        kinds = {row.kind for _, row in self._store.open_movements()}
        if kinds - {ISSUED}:
            raise ViolationError(f"movements were left open: {kinds}")
        events = {entry.stream: entry.event for page in self._store.log() for _, entry in page}
        for client in clients:
            self._check_client(client, events)
        self._check_tokens(events)
        self._check_payments(clients, owner, events)
        self._check_mints(clients)

    def close(self) -> None:
        self._store.close()

    def _check_draws(self, page: list[Placed]) -> None:
        """Check that the owner takes nothing that is not the house's own."""
        starts = (each.entry.event for each in page)
        if any(_drawn_by(event) == OWNER for event in starts):
            self._world.stage.told.count("draws")
            balances_msat = self._auditor.books.balances_msat
            owns_msat = sum(balances_msat[name] for name in OF_THE_HOUSE)
            if owns_msat < 0:
                raise ViolationError(f"the owner has drawn, and owns {owns_msat} msat")

    def _check_books(self) -> None:
        books = self._auditor.books
        if books.total_msat:
            raise ViolationError(f"all accounts together are {books.total_msat} msat")
        for row in self._auditor.rows.accounts.rows.values():
            if row.available_msat < 0 or row.held_msat < 0:
                raise ViolationError(f"an account is below 0: {row}")

    def _check_rows(self) -> None:
        """Compare the guard rows with those of the log, by what they add up to."""
        rows = self._auditor.rows
        accounts = rows.accounts.rows.values()
        holds, proofs = rows.holds.rows.values(), rows.proofs.rows
        told = {
            "accounts": (
                len(accounts),
                sum(row.available_msat for row in accounts),
                sum(row.held_msat for row in accounts),
            ),
            "holds": (len(holds), sum(row.amount_msat for row in holds), 0),
            "proofs": (
                len(proofs),
                sum(row.amount for row in proofs.values()),
                sum(key.counter for key in proofs),
            ),
            "counters": (
                len(rows.keysets.rows),
                sum(row.next_counter for row in rows.keysets.rows.values()),
                0,
            ),
            "movements": (
                len(rows.movements.rows),
                sum(row.version for row in rows.movements.rows.values()),
                0,
            ),
        }
        with self._store.snapshot() as query:
            kept = {name: tuple(n or 0 for n in sums) for name, *sums in query(CHEAP)}
        if kept != told:
            raise ViolationError(f"the guard rows are {kept}, the log says {told}")

    def _check_purse(self) -> None:
        """Check that what the books call free can be spent, and covers what is owed."""
        ours = self._world.ours
        for key, row in self._auditor.rows.proofs.rows.items():
            if row.state == FREE and _y(key) in ours.spent | ours.pending:
                raise ViolationError(f"a proof that is spent is called free: {key}")

    def _check_client(self, client: Client, events: dict[UUID, Event]) -> None:
        diary = client.diary
        charged = {
            stream: event for stream, event in events.items() if isinstance(event, Charged)
        }
        unpaid = diary.served - charged.keys()
        if unpaid:
            raise ViolationError(f"served and not paid for: {unpaid}")
        self._check_children(client, charged)
        for token in diary.presented:
            self._check_token(token, client.account_id, events)
        for ticket in diary.tickets:
            account_id = account_of_token(tokens.token_id(read_token(ticket).proofs))
            self._check_token(ticket, account_id, events)
        for name, is_paid in diary.invoices.items():
            is_credited = isinstance(events.get(name), InvoiceCredited)
            if is_credited != is_paid:
                raise ViolationError(f"invoice {name}: paid {is_paid}, credited {is_credited}")

    def _check_tokens(self, events: dict[UUID, Event]) -> None:
        """Check that whoever was to get a token has it: it was spent by somebody else."""
        for stream, event in events.items():
            if isinstance(event, Issued) and not self._world.ours.spent.issuperset(
                _y(proof.key) for proof in event.token_proofs
            ):
                raise ViolationError(f"a token was never given to its owner: {stream}")

    def _check_token(self, text: str, account_id: UUID, events: dict[UUID, Event]) -> None:
        """Check that a token is either all its owner's, or all credited to its account."""
        token = read_token(text)
        mint = self._world.mints[token.mint]
        event = events.get(deposit_of_token(tokens.token_id(token.proofs)))
        credited_msat = getattr(event, "credited_msat", None)
        left_sat = mint.unspent_sat(token)
        if credited_msat is None:
            if left_sat != token.amount:
                raise ViolationError(f"a token is gone and was never credited: {event}")
            return
        if left_sat:
            raise ViolationError("a token was credited and can still be spent")
        if getattr(event, "account_id", None) != account_id:
            raise ViolationError("a token was credited to another account")
        face_msat = token.amount * MSAT_PER_SAT
        if credited_msat > face_msat:
            raise ViolationError("a token was credited with more than it was worth")
        if mint is self._world.ours and credited_msat != face_msat - MSAT_PER_SAT:
            raise ViolationError(f"a token of {face_msat} msat was credited {credited_msat}")

    def _check_payments(
        self, clients: list[Client], owner: Owner, events: dict[UUID, Event]
    ) -> None:
        """Check that Bob was paid what the books say, and nobody twice."""
        paid = [event for event in events.values() if isinstance(event, PayoutPaid)]
        requests = self._world.ours.paid
        if len(requests) != len(set(requests)) or len(requests) != len(paid):
            raise ViolationError(f"{len(requests)} payments were made, {len(paid)} are booked")
        payers = [*(client.diary.payments for client in clients), owner.payments]
        told = {name for payments in payers for name, done in payments.items() if done}
        # What expired keys had left was paid without anybody's asking.
        expired = {client.account_id for client in clients if client.diary.expires}
        booked = {
            stream
            for stream, event in events.items()
            if isinstance(event, PayoutPaid)
            and (stream in told or event.payment.account_id not in expired)
        }
        if told != booked:
            raise ViolationError(f"clients know of payments {told}, the books of {booked}")

    def _check_children(self, client: Client, charged: Container[UUID]) -> None:
        """Check that a child that was made was paid once, and no other more than once."""
        family = uuid5(client.account_id, "child keys")
        for salt, is_made in client.diary.children.items():
            holds = (hold_of_request(family, str(salt), attempt) for attempt in ATTEMPTS)
            times = sum(hold in charged for hold in holds)
            if times > 1 or (is_made and not times):
                raise ViolationError(f"a child key was paid {times} times")

    def _check_mints(self, clients: list[Client]) -> None:
        """Check that all ecash that is out is the house's or a client's: none is lost."""
        ours = self._world.ours
        rows = self._auditor.rows.proofs.rows.items()
        house_sat = sum(
            row.amount
            for key, row in rows
            if row.state in {FREE, OUT} and _y(key) not in ours.spent
        )
        clients_sat = sum(
            ours.unspent_sat(token)
            for client in clients
            for token in map(
                read_token,
                [*client.kept, *client.diary.presented, *client.diary.tickets],
            )
            if token.mint == ours.url
        )
        out_sat = ours.issued - ours.redeemed
        if out_sat != house_sat + clients_sat:
            raise ViolationError(
                f"{out_sat} sat are out, the house has {house_sat}, clients {clients_sat}"
            )


def _drawn_by(event: Event) -> UUID | None:
    if isinstance(event, Started):
        return event.draft.account_id
    return event.payment.account_id if isinstance(event, PayoutStarted) else None


@cache
def _y(key: ProofKey) -> str:
    return hashed(SEED.derive(key.keyset_id, key.counter).secret)
