"""What must hold after every step of a simulation, and what must hold when all is over."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from app.gateways.mint import crypto, tokens
from domain.guards import FREE, ISSUED, OUT
from domain.hold import Charged
from domain.identity import account_of_token, deposit_of_token
from domain.invoice import InvoiceCredited
from domain.payout import PayoutPaid
from domain.refund import Issued
from projections.audit import Auditor
from projections.follow import verify
from tests.simulation.house import SEED
from tests.simulation.mint import read_token
from tests.simulation.stage import ViolationError
from tests.simulation.store import PlainStore

if TYPE_CHECKING:
    from uuid import UUID

    from domain.event import Event
    from domain.guards import ProofKey
    from tests.simulation.clients import Client
    from tests.simulation.house import World

MSAT_PER_SAT = 1_000
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

    def finish(self, clients: list[Client]) -> None:
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
        self._check_payments(clients, events)
        self._check_mints(clients)

    def close(self) -> None:
        self._store.close()

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
        for token in diary.presented:
            self._check_token(token, client.account_id, events)
        for ticket in diary.tickets:
            account_id = account_of_token(tokens.token_id(read_token(ticket).proofs))
            self._check_token(ticket, account_id, events)
        for stream, event in events.items():
            if isinstance(event, Issued):
                raise ViolationError(f"a token was never given to its owner: {stream}")
        for name, is_paid in diary.invoices.items():
            is_credited = isinstance(events.get(name), InvoiceCredited)
            if is_credited != is_paid:
                raise ViolationError(f"invoice {name}: paid {is_paid}, credited {is_credited}")

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

    def _check_payments(self, clients: list[Client], events: dict[UUID, Event]) -> None:
        """Check that Bob was paid what the books say, and nobody twice."""
        paid = [event for event in events.values() if isinstance(event, PayoutPaid)]
        requests = self._world.ours.paid
        if len(requests) != len(set(requests)) or len(requests) != len(paid):
            raise ViolationError(f"{len(requests)} payments were made, {len(paid)} are booked")
        told = {
            name for client in clients for name, done in client.diary.payments.items() if done
        }
        booked = {stream for stream, event in events.items() if isinstance(event, PayoutPaid)}
        if told != booked:
            raise ViolationError(f"clients know of payments {told}, the books of {booked}")

    def _check_mints(self, clients: list[Client]) -> None:
        """Check that all ecash that is out is the house's or a client's: none is lost."""
        ours = self._world.ours
        rows = self._auditor.rows.proofs.rows.values()
        house_sat = sum(row.amount for row in rows if row.state in {FREE, OUT})
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


@cache
def _y(key: ProofKey) -> str:
    return crypto.hash_to_curve(SEED.derive(key.keyset_id, key.counter).secret)
