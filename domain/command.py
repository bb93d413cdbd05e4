"""A wish to change the books, as the store carries it to a decision."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from domain.errors import LedgerError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from uuid import UUID

    from domain.event import Entry
    from domain.guards import GuardRows


class AskTheLogError(LedgerError):
    """The guard rows do not say; the movement's own history has the answer.

    If it turns out to have no history, `otherwise` is the answer.
    """

    def __init__(self, otherwise: LedgerError | None = None) -> None:
        super().__init__()
        self.otherwise = otherwise


@dataclass(slots=True)
class Needs:
    """Keys of the guard rows that a batch of decisions reads.

    A purse is a pair of mint and unit: all free proofs there are loaded, under the lock
    of the keyset named beside it. With `totals` comes what the whole store adds up to, and
    how every mint was last `reconciled`; who may lower what the owner could draw says
    `surplus`, and waits for whoever draws.
    """

    accounts: set[UUID] = field(default_factory=set)
    holds: set[UUID] = field(default_factory=set)
    keys: set[UUID] = field(default_factory=set)
    movements: set[UUID] = field(default_factory=set)
    keysets: set[str] = field(default_factory=set)
    purses: set[tuple[str, str]] = field(default_factory=set)
    proofs_of: set[UUID] = field(default_factory=set)
    reconciled: set[str] = field(default_factory=set)
    providers: set[str] = field(default_factory=set)
    operators: set[str] = field(default_factory=set)
    settings: set[str] = field(default_factory=set)
    ys: set[str] = field(default_factory=set)
    exposures: set[str] = field(default_factory=set)
    totals: bool = False
    surplus: bool = False


class Command(Protocol):
    """One wish of one caller, decided inside one transaction together with others."""

    @property
    def stream(self) -> UUID:
        """The movement it belongs to."""

    def need(self, needs: Needs) -> None:
        """Add the keys of the guard rows that `decide` will read."""

    def decide(self, rows: GuardRows, at: datetime) -> Entry:
        """Return what happens at `at`, or raise a `LedgerError`; change nothing."""

    def replay(self, history: Sequence[Entry]) -> Entry:
        """Answer from what was recorded already; raise if that is another answer."""
