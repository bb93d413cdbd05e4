"""What an auditor asks of the operators' events: who was one, and in which order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.operators import OperatorActed, OperatorRemoved, OperatorSet, OperatorSignedOut
from domain.rights import check_operator
from projections.check import demand

if TYPE_CHECKING:
    from uuid import UUID

    from domain.guards import GuardRows

OperatorEvent = OperatorSet | OperatorSignedOut | OperatorRemoved | OperatorActed


def check_operator_event(
    rows: GuardRows, stream: UUID, version: int, event: OperatorEvent
) -> None:
    """Demand that an operator was made once, and changed from one version to the next."""
    demand(bool(event.who), "was wanted by nobody")
    if isinstance(event, OperatorActed):
        demand(version == 1, f"begins with version {version}")
        return
    row = rows.operators.get(event.name)
    if isinstance(event, OperatorSet):
        check_operator(event.name, event.scopes)
    demand(row is not None or isinstance(event, OperatorSet), "changes nobody")
    demand(row is None or row.operator_id == stream, "changes another operator")
    newest = row.version if row else 0
    demand(version == newest + 1, f"is version {version} after {newest}")
