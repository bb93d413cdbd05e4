"""The guard rows: the few facts a decision must know, folded from the log."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping
from datetime import datetime
from functools import partial
from typing import Generic, NamedTuple, TypeVar
from uuid import UUID

from domain.allowance import KeyRow
from domain.catalogue import ProviderRow
from domain.errors import LedgerBrokenError
from domain.identity import OWNER
from domain.msat import MSAT_PER_UNIT
from domain.rights import OperatorRow

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class AccountRow(NamedTuple):
    """What a client may spend and what is set aside; `mint`, `unit` of its last deposit.

    `keyed` is 1 for an account that has a `KeyRow`, which whoever holds must then read.
    """

    available_msat: int
    held_msat: int
    mint: str
    unit: str
    keyed: int = 0


class HoldRow(NamedTuple):
    """Money set aside for a request that `owner`, a process, is serving.

    `key_id` is whose `KeyRow` counts it too, beside that of the account.
    """

    account_id: UUID
    amount_msat: int
    owner: str
    at: datetime
    key_id: UUID | None = None


class MovementRow(NamedTuple):
    """A deposit or refund that is not finished; `version` is its newest event's."""

    kind: str
    version: int
    account_id: UUID
    mint: str
    at: datetime


class KeysetRow(NamedTuple):
    """The next unused NUT-13 counter of a keyset, and whose keyset it is."""

    mint: str
    unit: str
    next_counter: int


class ProofKey(NamedTuple):
    """Which proof of ours: its secret is derived from the seed and these two (NUT-13)."""

    keyset_id: str
    counter: int


class ProofRow(NamedTuple):
    """A proof we hold, worth `amount` of `unit`, and the mint's blind signature on it.

    `state` is free, reserved (an input of the open movement) or out (in a token that was
    issued and not yet collected). `c`, `e`, `s` are the blinded signature and its DLEQ
    proof (NUT-12) in hex: worthless without the secret, which is never stored.
    """

    mint: str
    unit: str
    amount: int
    state: str
    movement: UUID | None
    c: str
    e: str
    s: str


class RateRow(NamedTuple):
    """The newest BTC/USD rate, as a decimal text."""

    btc_usd: str
    at: datetime


class ReconciledRow(NamedTuple):
    """How a mint's proofs compared with the books; `version` is of the newest comparison."""

    version: int
    unexplained_msat: int
    at: datetime


class SettingRow(NamedTuple):
    """What a setting was changed to, by whom and when; no value: as the environment says."""

    version: int
    value: str | None
    who: str
    at: datetime


class LockedRow(NamedTuple):
    """A proof locked to us that was shown before, by the token it came in.

    `state` is taken, by a deposit that was credited or may be; or online, when its mint
    has refused that one: then only the mint's word counts from now on.
    """

    stream: UUID
    state: str


class ExposureRow(NamedTuple):
    """What was credited of locked tokens of a mint and not swapped yet, and what was lost."""

    unswapped_msat: int
    lost_msat: int


class Totals(NamedTuple):
    """What all accounts are owed and what all free proofs are worth, in msat, by mint."""

    owed_msat: Mapping[str, int]
    free_msat: Mapping[str, int]


NO_ACCOUNT = AccountRow(0, 0, "", "")
NO_EXPOSURE = ExposureRow(0, 0)
FREE, RESERVED, OUT = "free", "reserved", "out"
DEPOSIT, REFUND, ISSUED, INVOICE = "deposit", "refund", "issued", "invoice"
SWEEP, SWAP = "sweep", "swap"
PAYOUT, FOREIGN = "payout", "foreign"
INSTANT, INSTANT_ALONE, BATCHED, BATCH = "instant", "instant alone", "batched", "batch"
TAKEN, ONLINE = "taken", "online"
NEWEST = "newest"


class Table(Generic[K, V]):
    """Rows by key, and which of them were changed since they were loaded.

    A table that is not `tracked` does not note its changes: whoever folds a whole log
    wants what comes of it, and would note each row many times.
    """

    __slots__ = ("changed", "drop", "get", "put", "rows")

    def __init__(self, *, tracked: bool) -> None:
        self.rows: dict[K, V] = {}
        self.changed: set[K] = set()
        # The dict's own methods where they do: every decision asks several times.
        self.get: Callable[[K], V | None] = self.rows.get
        # None of these knows the table: it would be a circle, which only the garbage
        # collector ends, and each transaction makes a dozen tables.
        self.put: Callable[[K, V], None] = self.rows.__setitem__
        self.drop: Callable[[K], None] = partial(_forget, self.rows)
        if tracked:
            self.put = partial(_put, self.rows, self.changed)
            self.drop = partial(_drop, self.rows, self.changed)


def _put(rows: dict[K, V], changed: set[K], key: K, row: V) -> None:
    rows[key] = row
    changed.add(key)


def _drop(rows: dict[K, V], changed: set[K], key: K) -> None:
    rows.pop(key, None)
    changed.add(key)


def _forget(rows: dict[K, V], key: K) -> None:
    rows.pop(key, None)


class GuardRows:
    """The working set of one transaction, or, folded over the whole log, all there is."""

    def __init__(self, *, tracked: bool = True) -> None:
        self.accounts: Table[UUID, AccountRow] = Table(tracked=tracked)
        self.holds: Table[UUID, HoldRow] = Table(tracked=tracked)
        self.keys: Table[UUID, KeyRow] = Table(tracked=tracked)
        self.movements: Table[UUID, MovementRow] = Table(tracked=tracked)
        self.keysets: Table[str, KeysetRow] = Table(tracked=tracked)
        self.proofs: Table[ProofKey, ProofRow] = Table(tracked=tracked)
        self.rates: Table[str, RateRow] = Table(tracked=tracked)
        self.reconciled: Table[str, ReconciledRow] = Table(tracked=tracked)
        self.ys: Table[str, LockedRow] = Table(tracked=tracked)
        self.exposures: Table[str, ExposureRow] = Table(tracked=tracked)
        self.providers: Table[str, ProviderRow] = Table(tracked=tracked)
        self.operators: Table[str, OperatorRow] = Table(tracked=tracked)
        self.settings: Table[str, SettingRow] = Table(tracked=tracked)
        self._elsewhere = Totals({}, {})

    def see_totals(self, totals: Totals) -> None:
        """Take in what the whole store adds up to, the rows that are loaded here included.

        From now on `totals` follows what is decided about these.
        """
        here = self._here()
        self._elsewhere = Totals(
            Counter(totals.owed_msat) - Counter(here.owed_msat),
            Counter(totals.free_msat) - Counter(here.free_msat),
        )

    def totals(self) -> Totals:
        """Return what the whole store adds up to by now; of one that was not seen, 0."""
        here = self._here()
        return Totals(
            Counter(self._elsewhere.owed_msat) + Counter(here.owed_msat),
            Counter(self._elsewhere.free_msat) + Counter(here.free_msat),
        )

    def _here(self) -> Totals:
        owed_msat: Counter[str] = Counter()
        free_msat: Counter[str] = Counter()
        for account in self.accounts.rows.values():
            owed_msat[account.mint] += account.available_msat + account.held_msat
        for proof in self.proofs.rows.values():
            if proof.state == FREE:
                free_msat[proof.mint] += proof.amount * MSAT_PER_UNIT[proof.unit]
        return Totals(owed_msat, free_msat)

    def pay(self, account_id: UUID, amount_msat: int) -> None:
        """Change what is available to an account; what the owner takes is in no account."""
        if account_id != OWNER:
            self.add(account_id, amount_msat)

    def add(self, account_id: UUID, available_msat: int, held_msat: int = 0) -> None:
        """Change what an account has; both amounts may be negative, the result may not."""
        row = self.accounts.get(account_id) or NO_ACCOUNT
        available_msat += row.available_msat
        held_msat += row.held_msat
        if available_msat < 0 or held_msat < 0:
            raise LedgerBrokenError(
                f"account {account_id} would have {available_msat} msat available"
                f" and {held_msat} msat held"
            )
        changed = AccountRow(available_msat, held_msat, row.mint, row.unit, row.keyed)
        self.accounts.put(account_id, changed)

    def take_ys(self, ys: Iterable[str], stream: UUID) -> None:
        """Remember proofs locked to us as those of a deposit."""
        for y in ys:
            self.ys.put(y, LockedRow(stream, TAKEN))

    def free_ys(self, ys: Iterable[str], stream: UUID) -> None:
        """Remember proofs locked to us as refused: only their mint can tell what they are."""
        for y in ys:
            self.ys.put(y, LockedRow(stream, ONLINE))

    def set_home(self, account_id: UUID, mint: str, unit: str) -> None:
        """Remember where an account's newest deposit came from: refunds go there."""
        row = self.accounts.get(account_id) or NO_ACCOUNT
        home = AccountRow(row.available_msat, row.held_msat, mint, unit, row.keyed)
        self.accounts.put(account_id, home)

    def bind(self, account_id: UUID) -> None:
        """Note that an account has a `KeyRow`."""
        row = self.accounts.get(account_id) or NO_ACCOUNT
        if not row.keyed:
            self.accounts.put(account_id, row._replace(keyed=1))

    def key(self, key_id: UUID) -> KeyRow:
        """Return the row of a key that must be there."""
        row = self.keys.get(key_id)
        if row is None:
            raise LedgerBrokenError(f"the key {key_id} is not known")
        return row

    def provider(self, name: str) -> ProviderRow:
        """Return the row of a provider that must be there."""
        row = self.providers.get(name)
        if row is None:
            raise LedgerBrokenError(f"the provider {name} is not known")
        return row

    def operator(self, name: str) -> OperatorRow:
        """Return the row of an operator who must be there."""
        row = self.operators.get(name)
        if row is None:
            raise LedgerBrokenError(f"the operator {name} is not known")
        return row

    def use_counters(
        self, keyset_id: str, mint: str, unit: str, counter_from: int, count: int
    ) -> None:
        """Mark counters as used for ever, whether or not the mint ever signs them."""
        row = self.keysets.get(keyset_id)
        used = max(counter_from + count, row.next_counter if row else 0)
        self.keysets.put(keyset_id, KeysetRow(mint, unit, used))
