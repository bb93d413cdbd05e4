"""What was paid out of the house, movement by movement, told from the log."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from app.web.admin.log import Marks
from domain.payout import PayoutAbandoned, PayoutCancelled, PayoutPaid, PayoutStarted
from domain.refund import Issued, Started
from projections.moments import Period

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from uuid import UUID

    from app.web.admin.log import Log, Told
    from projections.chart import Query

MOVEMENTS_MAX = 25


class Paid(NamedTuple):
    """A payment over Lightning, or a token, as far as it has come."""

    stream: UUID
    at: datetime
    who: str
    account_id: UUID
    mint: str
    amount_msat: int
    fees_msat: int
    topic: str
    is_token_out: bool


def paid_out(query: Query, log: Log, account: str) -> list[Paid]:
    """Return the newest movements out of `account`, newest first."""
    found = log.find(query, Marks(period=Period(), account=account), before=None)
    streams = list(dict.fromkeys(told.stream for told in found.events))
    each = (paid_to(log.movement(query, stream)) for stream in streams[:MOVEMENTS_MAX])
    return [paid for paid in each if paid is not None]


def paid_to(movement: Sequence[Told]) -> Paid | None:
    """Return how far a movement is; `None` if it is none that pays anybody."""
    if not movement:
        return None
    first, newest = movement[0].event, movement[-1]
    if isinstance(first, PayoutStarted):
        payment = first.payment
        whose, mint, each_msat = payment.account_id, payment.mint, payment.unit_msat
        amount_msat, fees_msat = payment.amount * each_msat, _fees_msat(newest)
    elif isinstance(first, Started):
        draft = first.draft
        whose, mint = draft.account_id, draft.mint
        amount_msat, fees_msat = draft.token_msat, draft.fee_msat
    else:
        return None
    return Paid(
        movement[0].stream,
        first.at,
        first.who,
        whose,
        mint,
        amount_msat,
        fees_msat,
        newest.topic,
        isinstance(newest.event, Issued),
    )


def _fees_msat(newest: Told) -> int:
    event = newest.event
    if isinstance(event, PayoutPaid):
        return event.fees_msat
    if isinstance(event, PayoutCancelled):
        return event.fee_msat
    if isinstance(event, PayoutStarted | PayoutAbandoned):
        # So much at most, until the mint has said.
        return event.payment.taken_msat - event.payment.amount * event.payment.unit_msat
    return 0
