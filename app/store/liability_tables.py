"""What is owed to every client, as a store adds it up, and the tree that was made of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple
from uuid import UUID

from app.store.seal_tables import LIABILITY_NAMES
from domain.guards import OUT, PAYOUT, REFUND
from domain.identity import OWNER
from domain.msat import MSAT_PER_UNIT
from domain.payout import PayoutAbandoned, PayoutStarted
from domain.reclaim import Recalled
from domain.refund import Redrafted, Started
from projections.liabilities import NODE_BYTES, Node, Owed, unpack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from app.store.opening import Store
    from app.store.reads import Query
    from domain.event import Event

TILE_NODES = 256
ROWS_AT_ONCE = 500
TILES_AT_ONCE = 16
NEWEST = "SELECT MAX(made) FROM liability_note"

BALANCES = (
    "SELECT account_id, available_msat, held_msat FROM balance"
    " WHERE available_msat + held_msat > 0"
)
UNCOLLECTED = (
    "SELECT m.account_id, p.unit, SUM(p.amount) FROM proof AS p"
    " JOIN open_movement AS m ON m.stream = p.movement_id"
    " WHERE p.state = ? GROUP BY m.account_id, p.unit"
)
ON_ITS_WAY = (
    "SELECT e.topic, e.state FROM open_movement AS m JOIN stored_events AS e"
    " ON e.originator_id = m.stream AND e.originator_version = m.version"
    " WHERE m.kind IN (?, ?)"
)


class Made(NamedTuple):
    """What is known of the whole tree: its signed note, how deep it is, what salts it."""

    salt: bytes
    depth: int
    note: str


class LiabilityTables:
    """Adds up what is owed, and keeps one tree: the newest. Reads come from anywhere."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def owed(self) -> tuple[int, list[Owed]]:
        """Return the newest position, and all that is owed to clients just then."""
        with self._store.snapshot() as query:
            head = query(f"SELECT MAX({self._store.position}) FROM stored_events")[0][0] or 0
            return head, list(_owed(query, self._store.mapper.decode))

    def keep(self, made: Made, owed: Sequence[Owed], levels: Sequence[Sequence[Node]]) -> None:
        """Keep a tree in place of the one before; `owed` stand in the order of its leaves.

        In many short transactions, so that nobody who moves money waits for a long one: the
        tree is seen when its note is written, and then the one before is taken away.
        """
        number = self._newest() + 1
        for first in range(0, len(owed), ROWS_AT_ONCE):
            self._insert(number, first, owed[first : first + ROWS_AT_ONCE])
        for level, row in enumerate(levels):
            for first in range(0, len(row), TILE_NODES * TILES_AT_ONCE):
                self._insert_tiles(number, level, first, row)
        with self._store.transaction() as query:
            values = [number, *made]
            query(
                "INSERT INTO liability_note (made, salt, depth, note) VALUES (?, ?, ?, ?)",
                values,
            )
        self._drop_before(number)

    def made(self) -> Made | None:
        """Return the newest tree's note, `None` before one was made."""
        with self._store.snapshot() as query:
            return _made(query)

    def path(
        self, account_id: UUID, steps: Callable[[int, int], Sequence[tuple[int, int]]]
    ) -> tuple[Made, int, Owed, list[Node]] | None:
        """Return the tree, an account's place and amounts, and the nodes that `steps` name.

        `None` when no tree was made, or the account was owed nothing just then.
        """
        with self._store.snapshot() as query:
            made = _made(query)
            found = query(
                "SELECT place, available_msat, held_msat, on_its_way_msat, uncollected_msat"
                f" FROM liability WHERE account_id = ? AND made = ({NEWEST})",
                [account_id],
            )
            if made is None or not found:
                return None
            place, *amounts = found[0]
            nodes = [_node(query, *step) for step in steps(place, made.depth)]
            return made, place, Owed(account_id, *amounts), nodes

    def _newest(self) -> int:
        """Return the number of the newest tree, be it one that was never finished."""
        with self._store.snapshot() as query:
            return max(
                query(f"SELECT MAX(made) FROM {name}")[0][0] or 0 for name in LIABILITY_NAMES
            )

    def _insert(self, number: int, first: int, owed: Sequence[Owed]) -> None:
        values = [
            value
            for place, each in enumerate(owed, first)
            for value in (number, place, each.account_id, *each.amounts_msat)
        ]
        places = ", ".join(["(?, ?, ?, ?, ?, ?, ?)"] * len(owed))
        with self._store.transaction() as query:
            query(
                "INSERT INTO liability (made, place, account_id, available_msat, held_msat,"
                f" on_its_way_msat, uncollected_msat) VALUES {places}",
                values,
            )

    def _insert_tiles(self, number: int, level: int, first: int, row: Sequence[Node]) -> None:
        with self._store.transaction() as query:
            last = min(len(row), first + TILE_NODES * TILES_AT_ONCE)
            for at in range(first, last, TILE_NODES):
                nodes = b"".join(node.packed() for node in row[at : at + TILE_NODES])
                query(
                    "INSERT INTO liability_tile (made, level, number, nodes)"
                    " VALUES (?, ?, ?, ?)",
                    [number, level, at // TILE_NODES, nodes],
                )

    def _drop_before(self, number: int) -> None:
        """Take away every older tree, what was never finished included."""
        for name, place, at_once in (
            ("liability_note", "depth", ROWS_AT_ONCE),
            ("liability_tile", "number", TILES_AT_ONCE),
            ("liability", "place", ROWS_AT_ONCE),
        ):
            select = f"SELECT made, MAX({place}) FROM {name} WHERE made < ? GROUP BY made"
            with self._store.snapshot() as query:
                older = query(select, [number])
            delete = f"DELETE FROM {name} WHERE made = ? AND {place} >= ? AND {place} < ?"
            for made, last in older:
                for first in range(0, last + 1, at_once):
                    with self._store.transaction() as query:
                        query(delete, [made, first, first + at_once])


def _owed(query: Query, decode: Callable[[str, bytes], Event]) -> Iterator[Owed]:
    sums: dict[UUID, list[int]] = {}
    for account_id, available_msat, held_msat in query(BALANCES):
        sums[_uuid(account_id)] = [available_msat, held_msat, 0, 0]
    for topic, state in query(ON_ITS_WAY, [REFUND, PAYOUT]):
        account_id, taken_msat = _taken(decode(topic, bytes(state)))
        sums.setdefault(account_id, [0, 0, 0, 0])[2] += taken_msat
    for account, unit, amount in query(UNCOLLECTED, [OUT]):
        sums.setdefault(_uuid(account), [0, 0, 0, 0])[3] += int(amount) * MSAT_PER_UNIT[unit]
    # What the owner of the house draws is owed to no client.
    sums.pop(OWNER, None)
    for account_id, amounts in sums.items():
        yield Owed(account_id, *amounts)


def _taken(event: Event) -> tuple[UUID, int]:
    """Return whose money a refund or payout on its way is, and how much it has taken."""
    if isinstance(event, Started | Redrafted | Recalled):
        return event.draft.account_id, event.draft.taken_msat
    if isinstance(event, PayoutStarted | PayoutAbandoned):
        return event.payment.account_id, event.payment.taken_msat
    raise TypeError(event)


def _made(query: Query) -> Made | None:
    found = query(f"SELECT salt, depth, note FROM liability_note WHERE made = ({NEWEST})")
    return Made(bytes(found[0][0]), *found[0][1:]) if found else None


def _node(query: Query, level: int, place: int) -> Node:
    number, inside = divmod(place, TILE_NODES)
    found = query(
        "SELECT nodes FROM liability_tile WHERE level = ? AND number = ?"
        f" AND made = ({NEWEST})",
        [level, number],
    )
    return unpack(bytes(found[0][0])[inside * NODE_BYTES : (inside + 1) * NODE_BYTES])


def _uuid(value: str | UUID) -> UUID:
    return value if isinstance(value, UUID) else UUID(hex=value)
