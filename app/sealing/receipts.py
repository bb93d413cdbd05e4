"""Receipts: what a request was charged for, signed for whoever paid it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from domain.errors import RequestInProgressError
from domain.event import Entry
from domain.hold import Charged, Held, Released
from projections.chain import leaf
from projections.receipt import receipt_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from app.sealing.sign import SigningKey
    from app.store.seals import Seals
    from domain.event import Event


class NoReceiptError(LookupError):
    """There is no such request, or another account has paid for it."""


class Receipts:
    """Writes receipts, anew each time they are asked for: the log has all that is in them."""

    def __init__(
        self, seals: Seals, key: SigningKey, decode: Callable[[str, bytes], Event]
    ) -> None:
        self._seals = seals
        self._key = key
        self._decode = decode

    def of_request(
        self, request_id: UUID, account_id: UUID, child_id: UUID | None = None
    ) -> dict[str, Any]:
        """Return the signed receipt of a request that `account_id` has paid for.

        A child of the account reads of its own requests only. A request that was not served
        has one, too: that nothing was charged. Raises `NoReceiptError`, and
        `RequestInProgressError` while it runs.
        """
        stored = self._seals.newest_of(request_id)
        event = None if stored is None else self._decode(stored.topic, stored.state)
        if stored is None or not isinstance(event, Held | Charged | Released):
            raise NoReceiptError(request_id)
        if event.account_id != account_id or child_id not in {None, event.key_id}:
            raise NoReceiptError(request_id)
        entry = Entry(request_id, stored.version, event)
        name = self._key.verifier.name
        receipt = receipt_of(name, entry, stored.position, leaf(stored))
        if receipt is None:
            raise RequestInProgressError(request_id)
        return self._key.receipt(receipt)
