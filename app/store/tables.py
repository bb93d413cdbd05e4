"""The guard tables: their columns in both engines, and how a row is written and read."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import msgspec

from app.store.shape import GuardTable
from domain.allowance import KeyRow, Rules
from domain.catalogue import Provider, ProviderRow
from domain.guards import (
    AccountRow,
    ExposureRow,
    HoldRow,
    KeysetRow,
    LockedRow,
    MovementRow,
    ProofKey,
    ProofRow,
    RateRow,
    ReconciledRow,
    SettingRow,
    Totals,
)
from domain.msat import MSAT_PER_UNIT
from domain.rights import OperatorRow

if TYPE_CHECKING:
    from collections.abc import Iterable


def _uuid(value: str | UUID) -> UUID:
    return value if isinstance(value, UUID) else UUID(hex=value)


def _time(value: str | datetime) -> datetime:
    return value if isinstance(value, datetime) else datetime.fromisoformat(value)


def _key_values(row: KeyRow) -> tuple[Any, ...]:
    rules = row.rules
    return (
        row.version,
        row.window_from.isoformat(),
        row.parent_id and row.parent_id.hex,
        row.salt and row.salt.hex,
        rules.limit_msat,
        rules.reset,
        rules.valid_until and rules.valid_until.isoformat(),
        msgspec.json.encode(rules.models).decode(),
        rules.expires_at and rules.expires_at.isoformat(),
        rules.refund_to,
        *row[5:],
    )


def _key_row(values: tuple[Any, ...]) -> KeyRow:
    rules = Rules(
        limit_msat=values[5],
        reset=values[6],
        valid_until=values[7] and _time(values[7]),
        models=msgspec.json.decode(values[8], type=tuple[str, ...]),
        expires_at=values[9] and _time(values[9]),
        refund_to=values[10],
    )
    parent_id, salt = (value and _uuid(value) for value in values[3:5])
    return KeyRow(values[1], _time(values[2]), parent_id, salt, rules, *values[11:])


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


BALANCE = GuardTable(
    "balance",
    "accounts",
    1,
    (
        ("account_id", "uuid"),
        ("available_msat", "int"),
        ("held_msat", "int"),
        ("mint", "text"),
        ("unit", "text"),
        ("keyed", "int"),
    ),
    lambda key, row: (key.hex, *row),
    lambda values, identify=_uuid: (identify(values[0]), AccountRow(*values[1:])),
)
OPEN_HOLD = GuardTable(
    "open_hold",
    "holds",
    1,
    (
        ("hold_id", "uuid"),
        ("account_id", "uuid"),
        ("amount_msat", "int"),
        ("owner", "text"),
        ("at", "time"),
        ("key_id", "uuid"),
    ),
    lambda key, row: (
        key.hex,
        row[0].hex,
        row[1],
        row[2],
        row[3].isoformat(),
        row[4] and row[4].hex,
    ),
    lambda values, identify=_uuid: (
        identify(values[0]),
        HoldRow(
            identify(values[1]),
            values[2],
            values[3],
            _time(values[4]),
            values[5] and identify(values[5]),
        ),
    ),
)
API_KEY = GuardTable(
    "api_key",
    "keys",
    1,
    (
        ("key_id", "uuid"),
        ("version", "int"),
        ("window_from", "time"),
        ("parent_id", "uuid"),
        ("salt", "uuid"),
        ("limit_msat", "int"),
        ("reset", "text"),
        ("valid_until", "time"),
        ("models", "text"),
        ("expires_at", "time"),
        ("refund_to", "text"),
        ("spent_msat", "int"),
        ("held_msat", "int"),
        ("total_msat", "int"),
        ("requests", "int"),
        ("children", "int"),
        ("erased", "int"),
    ),
    lambda key, row: (key.hex, *_key_values(row)),
    lambda values, identify=_uuid: (identify(values[0]), _key_row(values)),
)
OPEN_MOVEMENT = GuardTable(
    "open_movement",
    "movements",
    1,
    (
        ("stream", "uuid"),
        ("kind", "text"),
        ("version", "int"),
        ("account_id", "uuid"),
        ("mint", "text"),
        ("at", "time"),
    ),
    lambda key, row: (key.hex, row[0], row[1], row[2].hex, row[3], row[4].isoformat()),
    lambda values, identify=_uuid: (
        identify(values[0]),
        MovementRow(values[1], values[2], identify(values[3]), values[4], _time(values[5])),
    ),
)
KEYSET_COUNTER = GuardTable(
    "keyset_counter",
    "keysets",
    1,
    (
        ("keyset_id", "text"),
        ("mint", "text"),
        ("unit", "text"),
        ("next_counter", "int"),
    ),
    lambda key, row: (key, *row),
    lambda values, _identify=_uuid: (values[0], KeysetRow(*values[1:])),
)
PROOF = GuardTable(
    "proof",
    "proofs",
    2,
    (
        ("keyset_id", "text"),
        ("counter", "int"),
        ("mint", "text"),
        ("unit", "text"),
        ("amount", "int"),
        ("state", "text"),
        ("movement_id", "uuid"),
        ("c", "text"),
        ("e", "text"),
        ("s", "text"),
    ),
    lambda key, row: (*key, *row[:4], row[4].hex if row[4] else None, *row[5:]),
    lambda values, identify=_uuid: (
        ProofKey(values[0], values[1]),
        ProofRow._make((*values[2:6], values[6] and identify(values[6]), *values[7:])),
    ),
)
NEWEST_RATE = GuardTable(
    "newest_rate",
    "rates",
    1,
    (("name", "text"), ("btc_usd", "text"), ("at", "time")),
    lambda key, row: (key, row[0], row[1].isoformat()),
    lambda values, _identify=_uuid: (values[0], RateRow(values[1], _time(values[2]))),
)
RECONCILED = GuardTable(
    "reconciled",
    "reconciled",
    1,
    (("mint", "text"), ("version", "int"), ("unexplained_msat", "int"), ("at", "time")),
    lambda key, row: (key, row[0], row[1], row[2].isoformat()),
    lambda values, _identify=_uuid: (
        values[0],
        ReconciledRow(values[1], values[2], _time(values[3])),
    ),
)
LOCKED_PROOF = GuardTable(
    "locked_proof",
    "ys",
    1,
    (("y", "text"), ("stream", "uuid"), ("state", "text")),
    lambda key, row: (key, row[0].hex, row[1]),
    lambda values, identify=_uuid: (values[0], LockedRow(identify(values[1]), values[2])),
)
EXPOSURE = GuardTable(
    "exposure",
    "exposures",
    1,
    (("mint", "text"), ("unswapped_msat", "int"), ("lost_msat", "int")),
    lambda key, row: (key, *row),
    lambda values, _identify=_uuid: (values[0], ExposureRow(*values[1:])),
)
PROVIDER = GuardTable(
    "provider",
    "providers",
    1,
    (
        ("name", "text"),
        ("provider_id", "uuid"),
        ("version", "int"),
        ("provider", "text"),
        ("models", "text"),
    ),
    lambda key, row: (key, row[0].hex, row[1], *(_json(part) for part in row[2:])),
    lambda values, identify=_uuid: (
        values[0],
        ProviderRow(
            identify(values[1]),
            values[2],
            msgspec.json.decode(values[3], type=Provider),
            msgspec.json.decode(values[4], type=tuple[dict[str, Any], ...]),
        ),
    ),
)
SETTING = GuardTable(
    "setting",
    "settings",
    1,
    (("name", "text"), ("version", "int"), ("set_to", "text"), ("who", "text"), ("at", "time")),
    lambda key, row: (key, *row[:3], row[3].isoformat()),
    lambda values, _identify=_uuid: (
        values[0],
        SettingRow(values[1], values[2], values[3], _time(values[4])),
    ),
)

OPERATOR = GuardTable(
    "operator",
    "operators",
    1,
    (
        ("name", "text"),
        ("operator_id", "uuid"),
        ("version", "int"),
        ("scopes", "text"),
        ("password_id", "uuid"),
    ),
    lambda key, row: (
        key,
        row[0].hex,
        row[1],
        _json(row[2]),
        row[3] and row[3].hex,
    ),
    lambda values, identify=_uuid: (
        values[0],
        OperatorRow(
            identify(values[1]),
            values[2],
            msgspec.json.decode(values[3], type=tuple[str, ...]),
            values[4] and identify(values[4]),
        ),
    ),
)

GUARD_TABLES = (
    BALANCE,
    OPEN_HOLD,
    API_KEY,
    OPEN_MOVEMENT,
    KEYSET_COUNTER,
    PROOF,
    NEWEST_RATE,
    RECONCILED,
    PROVIDER,
    OPERATOR,
    SETTING,
    LOCKED_PROOF,
    EXPOSURE,
)

# One statement, so that both sums are of one moment: each commit keeps them in step.
TOTALS = (
    "SELECT 'owed', mint, '', SUM(available_msat + held_msat) FROM balance GROUP BY mint"
    " UNION ALL SELECT 'free', mint, unit, SUM(amount) FROM proof WHERE state = ?"
    " GROUP BY mint, unit"
)


def totals_of(found: Iterable[tuple[Any, ...]]) -> Totals:
    """Return what the rows of `TOTALS` say."""
    sums: dict[str, Counter[str]] = {"owed": Counter(), "free": Counter()}
    for side, mint, unit, amount in found:
        sums[side][mint] += int(amount) * (MSAT_PER_UNIT[unit] if unit else 1)
    return Totals(sums["owed"], sums["free"])


DATA_KEY = """CREATE TABLE IF NOT EXISTS data_key (
    account_id {uuid} PRIMARY KEY,
    wrapped {bytes} NOT NULL
)"""
"""The keys of accounts: the one table that is neither the log nor told from it."""

# Holds have no index by owner: they are few at any moment, and only the sweeper asks.
INDEXES = (
    "CREATE INDEX IF NOT EXISTS open_movement_account ON open_movement (account_id, kind)",
    "CREATE INDEX IF NOT EXISTS api_key_parent ON api_key (parent_id)",
    "CREATE INDEX IF NOT EXISTS api_key_expiry ON api_key (expires_at)",
    "CREATE INDEX IF NOT EXISTS proof_purse ON proof (mint, unit, state)",
    "CREATE INDEX IF NOT EXISTS proof_movement ON proof (movement_id)",
)
