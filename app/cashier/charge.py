"""A paid call: money is held, the upstream asked, its answer metered, the cost charged."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

from app.cashier.answer import answered, usage_invited
from app.cashier.bill import Bill, Call, Policy, bounds_of

if TYPE_CHECKING:
    from app.cashier.answer import Served
    from app.cashier.quote import Quotes
    from app.gateways.upstream import Upstream
    from domain.ledger import Ledger

# Elsewhere streams tell their usage unasked, and an option they do not know is an error.
ASKED_FOR_USAGE = frozenset({"/chat/completions", "/completions"})


class Charges:
    """Serves paid calls at the price they were admitted at."""

    def __init__(
        self, ledger: Ledger, upstream: Upstream, quotes: Quotes, policy: Policy
    ) -> None:
        self._ledger = ledger
        self._upstream = upstream
        self._quotes = quotes
        self._policy = policy

    def serve(self, call: Call) -> Served:
        """Forward `call` at its account's cost; return the answer as it arrives.

        Raises `PricingError`, `NoRateError`, `UnknownAccountError`,
        `InsufficientFundsError`, `RequestInProgressError`, `RequestRepeatedError`,
        `RequestChangedError` before anything is held, `GatewayError` afterwards; then, and
        when the upstream answers with an error or with nothing, everything is given back.
        """
        quote = self._quotes.quote(call.model)
        bounds = bounds_of(call.path, call.document, call.prompt_bytes, quote.tariff.price)
        bill = Bill(self._ledger, call, quote, bounds, self._policy)
        bill.hold()
        try:
            return self._forward(call, bill)
        except BaseException as error:
            bill.release(f"not served: {type(error).__name__}")
            raise

    def _forward(self, call: Call, bill: Bill) -> Served:
        body = with_usage_asked(call) if call.stream else call.body
        answer = self._upstream.post(call.path, body, call.headers)
        return answered(answer, call, bill, self._policy.drain_s)


def with_usage_asked(call: Call) -> bytes:
    """Return the body that asks a chat's upstream for usage, as its client did or not."""
    if call.path not in ASKED_FOR_USAGE or usage_invited(call.document):
        return call.body
    options = call.document.get("stream_options")
    kept = dict(options) if isinstance(options, Mapping) else {}
    asked = {**call.document, "stream_options": {**kept, "include_usage": True}}
    return json.dumps(asked, ensure_ascii=False).encode()
