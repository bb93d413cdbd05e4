"""What the pages tell in figures: the chart of accounts, the mints, the days, what is open."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

from domain.guards import FREE, INVOICE, ISSUED, OUT, RESERVED
from domain.msat import MSAT_PER_UNIT
from domain.posting import EARNED, postings
from projections.chart import BY_SIDE, balance_msat, told_upto
from projections.daily import NAMES
from projections.moments import day_of, start_of_day
from projections.rates import observed_in, rate_before
from projections.statement import uuid_of
from projections.usage import HOUSE, read_usage

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from app.web.admin.log import Log, Told
    from projections.chart import Query
    from projections.usage import Used

TAIL_MAX = 5_000
DAYS = 30
MODELS_MAX, MODELS_SHOWN = 1_000, 8
ROWS_MAX = 200
RICHEST = 20
CLIENTS_AVAILABLE, CLIENTS_HELD, MINTS = "client:*:available", "client:*:held", "mint:*"
SUMMED = (CLIENTS_AVAILABLE, CLIENTS_HELD, MINTS)
OWED = ("client:", "refunds:", "tokens:")
KEY = (
    "key_id",
    "parent_id",
    "limit_msat",
    "reset",
    "spent_msat",
    "held_msat",
    "total_msat",
    "requests",
    "valid_until",
    "expires_at",
    "erased",
)


class Balances(NamedTuple):
    """What accounts stood at, told up to the position `upto` of a log that goes to `head`.

    Clients stand in it together, under the names of their two kinds. `btc_usd` is the newest
    rate observed until then, empty if there was none.
    """

    upto: int
    head: int
    msat: Mapping[str, int]
    btc_usd: str = ""

    @property
    def rows(self) -> list[tuple[str, int]]:
        """Return all that is not zero, each thing once; the sum of it is zero."""
        return sorted(
            (name, msat) for name, msat in self.msat.items() if msat and name != MINTS
        )

    @property
    def total_msat(self) -> int:
        return sum(msat for _, msat in self.rows)

    @property
    def owed_msat(self) -> int:
        """Return what belongs to clients: available, held, on its way, in tokens."""
        return sum(msat for name, msat in self.rows if name.startswith(OWED))

    @property
    def at_mints_msat(self) -> int:
        return -self.msat.get(MINTS, 0)


class MintRow(NamedTuple):
    """A mint as the ledger and the purse tell it; the two should be the same.

    At `compared_at` the mint itself was asked, and `unexplained_msat` had no reason.
    """

    url: str
    ledger_msat: int
    free_msat: int
    reserved_msat: int
    out_msat: int
    compared_at: datetime | None = None
    unexplained_msat: int = 0

    @property
    def agrees(self) -> bool:
        return not (self.difference_msat or self.unexplained_msat)

    @property
    def difference_msat(self) -> int:
        return self.free_msat + self.reserved_msat + self.out_msat - self.ledger_msat


class Day(NamedTuple):
    """A day in UTC and what was earned on it."""

    day: str
    earned_msat: int


def balances(query: Query, log: Log, moment: datetime | None = None) -> Balances:
    """Return the chart just before `moment`; what is not told yet is read from the log.

    Of a longer tail than `TAIL_MAX` events nothing is read, and `upto` says so. Raises
    `NotToldError`.
    """
    upto, head = told_upto(query), log.head(query)
    names = {name for (name,) in query(NAMES)}
    found: dict[str, int] = defaultdict(int)
    whole = None if moment is None else start_of_day(moment)
    for name in names | set(SUMMED):
        found[name] = balance_msat(query, name, whole, upto)
    if moment is not None and moment != whole:
        for name, msat in _day_until(query, moment, upto):
            for each in _summed(name):
                found[each] += msat
    tail = tail_of(query, log, upto)
    btc_usd = rate_before(query, moment, upto)
    for told in tail:
        if moment is None or told.at < moment:
            btc_usd = observed_in(told.event) or btc_usd
            for source, destination, amount_msat in postings(told.event):
                for name, msat in ((source, -amount_msat), (destination, amount_msat)):
                    for each in _summed(name):
                        found[each] += msat
    return Balances(tail[-1].position if tail else upto, head, found, btc_usd)


def _day_until(query: Query, moment: datetime, upto: int) -> Iterator[tuple[str, int]]:
    """Yield what accounts took in and gave on the day of `moment`, before it."""
    begin = start_of_day(moment)
    first, last = query(
        "SELECT MIN(first_position), MAX(last_position) FROM daily WHERE day = ?",
        [day_of(moment)],
    )[0]
    for side, sign in BY_SIDE if first is not None else ():
        for name, msat in query(
            f"SELECT {side}, SUM(amount_msat) FROM journal"  # noqa: S608
            f" WHERE position BETWEEN ? AND ? AND at >= ? AND at < ? GROUP BY {side}",
            [first, min(last, upto), begin, moment],
        ):
            yield name, sign * int(msat)


def tail_of(query: Query, log: Log, upto: int) -> list[Told]:
    """Return the events that the followers have not told yet, none if they are too many."""
    tail = log.behind(query, upto, TAIL_MAX + 1)
    return tail if len(tail) <= TAIL_MAX else []


def _summed(name: str) -> tuple[str, ...]:
    if name.startswith("client:"):
        return (f"client:*:{name.rpartition(':')[2]}",)
    return (name, MINTS) if name.startswith("mint:") else (name,)


def mints(query: Query, told: Balances) -> list[MintRow]:
    """Return what each mint holds for us, by the ledger and by the proofs in the purse."""
    states: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for url, unit, state, amount in query(
        "SELECT mint, unit, state, SUM(amount) FROM proof GROUP BY mint, unit, state"
    ):
        states[url][state] += int(amount) * MSAT_PER_UNIT[unit]
    compared = {
        url: (moment_of(at), int(unexplained_msat))
        for url, at, unexplained_msat in query(
            "SELECT mint, at, unexplained_msat FROM reconciled"
        )
    }
    prefix = "mint:"
    urls = {name.removeprefix(prefix) for name, _ in told.rows if name.startswith(prefix)}
    return [
        MintRow(
            url,
            -told.msat.get(f"{prefix}{url}", 0),
            states[url][FREE],
            states[url][RESERVED],
            states[url][OUT],
            *compared.get(url, (None, 0)),
        )
        for url in sorted(urls | set(states))
    ]


def earned_days(query: Query, tail: Sequence[Told], now: datetime) -> list[Day]:
    """Return what was earned on each of the last days, oldest first, empty days too."""
    today = start_of_day(now)
    days = [day_of(today - timedelta(days=back)) for back in reversed(range(DAYS))]
    earned: dict[str, int] = defaultdict(int)
    for day, in_msat in query(
        "SELECT day, in_msat FROM daily WHERE account = ? AND day >= ?", [EARNED, days[0]]
    ):
        earned[day] += int(in_msat)
    for told in tail:
        for arrow in postings(told.event):
            if arrow.destination == EARNED:
                earned[day_of(told.at)] += arrow.amount_msat
    return [Day(day, earned[day]) for day in days]


def last_days(now: datetime) -> tuple[str, str]:
    """Return the first of the last days, and the one behind them."""
    tomorrow = start_of_day(now) + timedelta(days=1)
    return day_of(tomorrow - timedelta(days=DAYS)), day_of(tomorrow)


def top_models(query: Query, now: datetime) -> list[Used]:
    """Return the models that earned most in the last days."""
    used = read_usage(query, HOUSE, last_days(now), ("model",), MODELS_MAX)
    return sorted(used, key=lambda each: -each.amounts["cost_msat"])[:MODELS_SHOWN]


def holds_open(query: Query) -> int:
    return int(query("SELECT COUNT(*) FROM open_hold")[0][0])


def rate(query: Query) -> tuple[str, datetime] | None:
    """Return the newest price of a bitcoin in USD and when it was observed."""
    found = query("SELECT btc_usd, at FROM newest_rate")
    return (found[0][0], moment_of(found[0][1])) if found else None


def richest(query: Query) -> list[dict[str, Any]]:
    """Return the accounts with most money."""
    rows = query(
        "SELECT account_id, available_msat, held_msat, mint FROM balance"
        " ORDER BY available_msat + held_msat DESC LIMIT ?",
        [RICHEST],
    )
    names = ("account_id", "available_msat", "held_msat", "mint")
    return [_row(names, row) for row in rows]


def open_movements(
    query: Query, *, issued: bool, stuck_since: datetime | None = None
) -> list[dict[str, Any]]:
    """Return movements without an end, oldest first; the `issued` wait to be collected.

    Those that have waited for their mint since before `stuck_since` are stuck there.
    """
    rows = query(
        "SELECT stream, kind, account_id, mint, at FROM open_movement"
        " WHERE (kind = ?) = ? ORDER BY at, stream LIMIT ?",
        [ISSUED, issued, ROWS_MAX],
    )
    found = [_row(("stream", "kind", "account_id", "mint", "at"), row) for row in rows]
    for each in found:
        # An invoice waits for whoever is to pay it.
        waits = stuck_since is not None and each["kind"] != INVOICE
        each["is_stuck"] = waits and each["at"] < stuck_since
    return found


def token_msat(query: Query, stream: UUID) -> int:
    """Return what a token that was issued is worth."""
    rows = query(
        "SELECT unit, SUM(amount) FROM proof WHERE movement_id = ? AND state = ? GROUP BY unit",
        [stream, OUT],
    )
    return sum(int(amount) * MSAT_PER_UNIT[unit] for unit, amount in rows)


def open_holds(query: Query) -> list[dict[str, Any]]:
    """Return the requests in progress, oldest first."""
    rows = query(
        "SELECT hold_id, account_id, amount_msat, owner, at FROM open_hold"
        " ORDER BY at, hold_id LIMIT ?",
        [ROWS_MAX],
    )
    return [_row(("stream", "account_id", "amount_msat", "owner", "at"), row) for row in rows]


def keysets(query: Query) -> list[dict[str, Any]]:
    """Return our proofs at each mint by keyset and state, and how many counters are used."""
    rows = query(
        "SELECT proof.mint, proof.keyset_id, proof.unit, proof.state, COUNT(*),"
        " SUM(proof.amount), MAX(keyset_counter.next_counter)"
        " FROM proof LEFT JOIN keyset_counter ON keyset_counter.keyset_id = proof.keyset_id"
        " GROUP BY proof.mint, proof.keyset_id, proof.unit, proof.state"
        " ORDER BY proof.mint, proof.keyset_id, proof.state LIMIT ?",
        [ROWS_MAX],
    )
    names = ("mint", "keyset_id", "unit", "state", "proofs", "amount", "next_counter")
    found = [_row(names, row) for row in rows]
    for each in found:
        each["amount_msat"] = int(each["amount"]) * MSAT_PER_UNIT[each["unit"]]
    return found


def account_row(query: Query, account_id: UUID) -> bool:
    """Tell whether anything was ever credited to an account."""
    return bool(query("SELECT 1 FROM balance WHERE account_id = ?", [account_id]))


def is_erased(query: Query, account_id: UUID) -> bool:
    """Tell whether the names of an account's owner were erased."""
    erased = "SELECT 1 FROM api_key WHERE key_id = ? AND erased = 1"
    return bool(query(erased, [account_id]))


def keys_of(query: Query, account_id: UUID) -> list[dict[str, Any]]:
    """Return what binds an account's key and those of its children, its own first."""
    found = query(
        f"SELECT {', '.join(KEY)} FROM api_key WHERE key_id = ? OR parent_id = ?"  # noqa: S608
        " ORDER BY parent_id IS NOT NULL, total_msat DESC, key_id LIMIT ?",
        [account_id, account_id, ROWS_MAX],
    )
    rows = [dict(zip(KEY, values, strict=True)) for values in found]
    for row in rows:
        row["key_id"] = str(uuid_of(row["key_id"]))
        for end in ("valid_until", "expires_at"):
            row[end] = row[end] and moment_of(row[end])
    return rows


def moment_of(value: str | datetime) -> datetime:
    at = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    return at.astimezone(UTC)


def _row(names: Sequence[str], values: Sequence[Any]) -> dict[str, Any]:
    row = dict(zip(names, values, strict=True))
    for name in ("stream", "account_id"):
        if isinstance(row.get(name), str):
            row[name] = UUID(hex=row[name])
    if "at" in row:
        row["at"] = moment_of(row["at"])
    return row
