"""The child keys of an account, as the guard rows have them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from projections.statement import uuid_of

if TYPE_CHECKING:
    from uuid import UUID

    from projections.chart import Query


def children_of(query: Query, account_id: UUID) -> list[UUID]:
    """Return by which ids the child keys of an account are known, in order."""
    found = query("SELECT key_id FROM api_key WHERE parent_id = ? ORDER BY salt", [account_id])
    return [uuid_of(key_id) for (key_id,) in found]
