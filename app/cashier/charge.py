"""A paid call: money is held, providers are asked, the answer metered, the cost charged."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from app.cashier.answer import Served, answered, usage_invited
from app.cashier.attempt import Refusal
from app.cashier.bill import Bill, Call, Policy
from app.cashier.documents import written
from app.cashier.paths import CHAT, COMPLETIONS
from app.cashier.plan import awake, tries_of
from app.cashier.translation import DIALECTS
from app.gateways.upstream import (
    AnswerTooLongError,
    UpstreamBrokenError,
    UpstreamUnreachableError,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.cashier.bill import Account
    from app.cashier.quote import Quotes
    from app.cashier.translation import Translation
    from app.gateways.errors import GatewayError
    from domain.ledger import Ledger

logger = logging.getLogger(__name__)

# Elsewhere streams tell their usage unasked, and an option they do not know is an error.
ASKED_FOR_USAGE = frozenset({CHAT, COMPLETIONS})
# They say which of its own ways another API is to go.
OF_THE_DIALECT = frozenset({"anthropic-beta", "anthropic-version", "openai-beta"})


class Charges:
    """Serves paid calls at the price they were admitted at."""

    def __init__(
        self,
        ledger: Ledger,
        quotes: Quotes,
        policy: Policy,
        clock: Callable[[], float] = time.monotonic,
        account: Account | None = None,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._ledger = ledger
        self._account = account
        self._quotes = quotes
        self._policy = policy
        self._clock = clock
        self._pause = pause

    def expect(
        self, path: str, model: str, document: Mapping[str, Any], prompt_bytes: int
    ) -> None:
        """Raise what `tries_of` does for a request that would not be served."""
        tries_of(self._quotes, path, model, document, prompt_bytes)

    def serve(self, call: Call) -> Served:
        """Forward `call` at its account's cost; return the answer as it arrives.

        Raises `PricingError`, `NoRateError`, `UnknownAccountError`,
        `InsufficientFundsError`, `RequestInProgressError`, `RequestRepeatedError`,
        `RequestChangedError`, `UntranslatableError` and `UpstreamsRestingError` before
        anything is held, `GatewayError` afterwards; then, and when the upstream answers with
        an error or with nothing, everything is given back.
        """
        tries = tries_of(self._quotes, call.path, call.model, call.document, call.prompt_bytes)
        tries = awake(tries, self._policy.attempts_max)
        bill = Bill(self._ledger, call, tries, self._policy, self._account, self._pause)
        with call.waiting():
            bill.hold()
        try:
            return self._forward(call, bill)
        except BaseException as error:
            bill.release(f"not served: {type(error).__name__}")
            raise

    def _forward(self, call: Call, bill: Bill) -> Served:
        """Ask one provider after the other, until one serves or refuses for good.

        Nothing has been sent to the client while this goes on. A provider that broke off may
        have done, and may bill, what was asked: that is the house's loss, for its client is
        charged for the answer it gets and for no other.
        """
        until_s = self._clock() + self._policy.failover_s
        failure: Refusal | GatewayError | None = None
        for each in bill.tries:
            if failure is not None and self._clock() > until_s:
                break
            bill.take(each)
            outcome = self._attempt(call, bill)
            if isinstance(outcome, Served):
                return outcome
            _tell_operators(call, bill, outcome)
            if failure is None or isinstance(outcome, Refusal):
                failure = outcome
            if isinstance(outcome, Refusal) and not outcome.is_of_the_provider:
                break
        if isinstance(failure, Refusal):
            return _failed(failure, bill)
        raise failure or UpstreamUnreachableError("No upstream was asked.")

    def _attempt(self, call: Call, bill: Bill) -> Served | Refusal | GatewayError:
        """Ask the bill's route, as a chat if it has no other API; return what came of it."""
        translation, route = bill.translation, bill.route
        if call.path not in DIALECTS:
            return self._ask(call, bill)
        if translation is None or route.parts.has(call.path) is not False:
            outcome = self._ask(call, bill)
            if isinstance(outcome, Served):
                route.parts.found(call.path)
                return outcome
            is_missing = isinstance(outcome, Refusal) and outcome.is_of_the_address
            if not is_missing or not route.parts.missed(call.path) or translation is None:
                return outcome
        return self._ask(as_chat(call, translation, route.upstream.limit_name), bill)

    def _ask(self, call: Call, bill: Bill) -> Served | Refusal | GatewayError:
        """Ask the bill's route; return what came of it, of which its breaker is told.

        Raises `UpstreamPathError` and `AnswerTooLongError`, which would come again.
        """
        route = bill.route
        route.breaker.ask()
        try:
            body = body_for(call, route.forwarded(call.model))
            answer = route.upstream.post(call.path, body, call.headers)
            if answer.status < HTTPStatus.MULTIPLE_CHOICES:
                outcome = answered(answer, call, bill, self._policy.drain_s, self._clock)
                if isinstance(outcome, Served):
                    route.breaker.succeeded()
                    return outcome
                refusal = outcome
            else:
                refusal = Refusal.read(answer)
        except UpstreamUnreachableError as error:
            route.breaker.failed(is_away=True)
            return error
        except AnswerTooLongError:
            raise
        except UpstreamBrokenError as error:
            route.breaker.failed(is_away=False)
            return error
        refusal.tell(route.breaker, bill.model, datetime.now(UTC))
        return refusal


def as_chat(call: Call, translation: Translation, limit_name: str) -> Call:
    """Return `call` as a chat, for a provider that knows its bound by `limit_name`."""
    chat = translation.chat_for(limit_name)
    headers = {n: v for n, v in call.headers.items() if n not in OF_THE_DIALECT}
    return replace(
        call,
        path=CHAT,
        document=chat,
        body=written(chat),
        headers=headers,
        translation=translation,
    )


def _tell_operators(call: Call, bill: Bill, outcome: Refusal | GatewayError) -> None:
    reason = f"status {outcome.status}" if isinstance(outcome, Refusal) else str(outcome)
    fields = {"provider": bill.provider, "model": bill.model, "reason": reason}
    request_id = str(call.request_id)
    logger.info("not served", extra={"fields": {"request_id": request_id, **fields}})


def _failed(refusal: Refusal, bill: Bill) -> Served:
    """Pass an upstream's error, or its redirect, on; nothing is charged for it."""
    bill.release(f"upstream answered {refusal.status}")
    return Served(refusal.status, refusal.headers, refusal.body)


def body_for(call: Call, model: str) -> bytes:
    """Return the body that asks a provider for `model`, as it calls it.

    A chat's upstream is asked for usage, whether its client did so or not.
    """
    changes: dict[str, Any] = {} if model == call.model else {"model": model}
    if call.stream and call.path in ASKED_FOR_USAGE and not usage_invited(call.document):
        options = call.document.get("stream_options")
        kept = dict(options) if isinstance(options, Mapping) else {}
        changes["stream_options"] = {**kept, "include_usage": True}
    if not changes:
        return call.body
    if call.form is not None:
        return call.form.written({"model": model})
    return written({**call.document, **changes})
