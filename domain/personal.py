"""What in the log names a person, and whose it is."""

from __future__ import annotations

from base64 import b64decode
from typing import TYPE_CHECKING, NamedTuple

from domain.key import KeySet
from domain.payout import PayoutAbandoned, PayoutCancelled, PayoutPaid, PayoutStarted

if TYPE_CHECKING:
    from uuid import UUID

    from domain.event import Event

REFUND_TO, DESTINATION = "rules.refund_to", "payment.destination"


class Sealed(NamedTuple):
    """A text that names the owner of an account, sealed; `field` is where the event has it."""

    account_id: UUID
    field: str
    text: bytes


def sealed_in(event: Event) -> Sealed | None:
    """Return what of an event names a person, `None` if nothing does.

    Nothing else may: an event holds no name, no address, no text of a client in the clear.
    """
    if isinstance(event, KeySet) and event.rules.refund_to:
        return Sealed(event.by, REFUND_TO, b64decode(event.rules.refund_to))
    if isinstance(event, PayoutStarted | PayoutPaid | PayoutAbandoned | PayoutCancelled):
        payment = event.payment
        if payment.destination:
            return Sealed(payment.account_id, DESTINATION, payment.destination)
    return None
