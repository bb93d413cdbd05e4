"""Pay per request: a token in the X-Cashu header, and its change on the way back (NUT-24)."""

from __future__ import annotations

import logging
from dataclasses import replace
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING

from eventsourcing.persistence import PersistenceError
from flask import Blueprint, Response, request

from app.cashier.change_stream import ChangeStream, ResumedStream
from app.cashier.errors import (
    CashierError,
    ChangeCollectedError,
    NoChangeError,
    TokenRefusedError,
)
from app.cashier.stream import MeteredStream
from app.cashier.ticket import Standing
from app.gateways.errors import GatewayError
from app.gateways.upstream import UpstreamBrokenError
from app.store.errors import StoreError
from app.web import errors, problems
from app.web.asking import asked
from app.web.bearer import credential, ticket_shown
from app.web.bodies import as_json, json_object
from app.web.proxy import BODILESS, STREAM_HEADERS, call_of, handed_on, streamed
from app.web.refusals import DoorError, NoTicketError
from app.web.visit import current_visit
from domain.errors import LedgerError, RequestInProgressError

if TYPE_CHECKING:
    from uuid import UUID

    from app.cashier.answer import Served
    from app.cashier.ticket import Ticket, Tickets
    from app.web.bodies import Bodies

logger = logging.getLogger(__name__)

HEADER, STATE = "X-Cashu", "x-cashu-change"
PENDING = {STATE: "pending"}
FORMAT, WAY = "X-Cashu-Format", "X-Cashu-Change"
# Some clients refuse an answer whose headers are longer than 16 KiB together.
HEADER_CHARACTERS_MAX = 12_000
# A longer stream is not kept back until its end is known, but sent on.
KEPT_BYTES_MAX = 8 * 1024 * 1024
FORESEEN = (CashierError, DoorError, GatewayError, LedgerError, PersistenceError, StoreError)


class Till:
    """Sells requests one by one, to whoever has a token and no account."""

    def __init__(self, tickets: Tickets, bodies: Bodies) -> None:
        self._tickets = tickets
        self._bodies = bodies

    def ask_for_payment(self, path: str) -> Response:
        """Answer a request without credentials by what it would cost (NUT-24).

        The payment request is a `creqA…` (NUT-18), or a `CREQB1…` (NUT-26) for whoever
        says `X-Cashu-Format: creqB`.
        """
        wish = asked(path, self._bodies)
        wanted = self._tickets.payment_request(
            path, wish.document["model"], wish.document, wish.prompt_bytes
        )
        as_b = request.headers.get(FORMAT, "").strip().lower() == "creqb"
        return problems.problem(
            HTTPStatus.PAYMENT_REQUIRED,
            message=f"Payment required: send a token of {wanted.amount} {wanted.unit} in the"
            f" {HEADER} header, or an API key.",
            type_="insufficient_quota",
            code="payment_required",
            headers={
                HEADER: wanted.encode_b() if as_b else wanted.encode_a(),
                "Cache-Control": "no-store",
                **errors.DO_NOT_RETRY,
            },
        )

    def sell(self, path: str, token: str) -> Response:
        """Answer the current request, paid by `token`; its change comes with the answer.

        When the request was not served, all of it comes back.
        """
        ticket = self._ticket(token)
        visit = current_visit()
        visit.request_id = ticket.request_id
        try:
            wish = asked(path, self._bodies)
            # What the token names, its request's hold too: a retry has the same.
            call = replace(call_of(path, wish, ticket.account_id), named=True)
            served = self._tickets.serve(ticket, call)
            return self._answered(ticket, served)
        except FORESEEN as error:
            return self._not_served(ticket, token, error)

    def refund(self, token: str) -> Response:
        """Return the change of a ticket to whoever shows it."""
        return self._collected(self._ticket(token))

    def change(self, request_id: UUID) -> Response:
        """Return the change of a request to whoever shows the token that paid for it.

        A request's id stands in logs: it alone opens nothing.
        """
        shown = ticket_shown() or credential(request.headers.get("Authorization"))
        ticket = self._ticket(shown)
        if ticket.request_id != request_id:
            raise NoChangeError
        return self._collected(ticket)

    def _ticket(self, token: str) -> Ticket:
        try:
            ticket = self._tickets.read(token)
        except TokenRefusedError as error:
            raise NoTicketError from error
        current_visit().account_id = ticket.account_id
        return ticket

    def _collected(self, ticket: Ticket) -> Response:
        refund = self._tickets.change(ticket)
        answer = as_json({"token": refund.token, f"{refund.unit}s": str(refund.amount)})
        return with_token(answer, refund.token)

    def _answered(self, ticket: Ticket, served: Served) -> Response:
        stream, visit = served.body, current_visit()
        if not isinstance(stream, MeteredStream) or served.status in BODILESS:
            return self._with_change(ticket, handed_on(served, visit))
        pieces: list[bytes] = []
        if request.headers.get(WAY, "").strip().lower() != "stream":
            pieces = kept_back(stream)
        if not stream.is_settled:
            resumed = ResumedStream(pieces, stream)
            if not stream.is_events:
                # Nothing can be added to a sound: its change waits to be asked for.
                return streamed(served.status, {**served.headers, **PENDING}, resumed, visit)
            in_stream = ChangeStream(resumed, partial(self._change, ticket))
            return streamed(served.status, served.headers, in_stream, visit)
        return self._with_change(ticket, self._kept(served, stream, pieces))

    @staticmethod
    def _kept(served: Served, stream: MeteredStream, pieces: list[bytes]) -> Response:
        """Return a stream that was kept back to its end as one answer."""
        if stream.is_broken and stream.charged_msat is None:
            raise UpstreamBrokenError("The upstream broke off before it had said anything.")
        current_visit().charged_msat = stream.charged_msat
        headers = {**served.headers, **STREAM_HEADERS, **stream.cost_headers}
        return Response(b"".join(pieces), served.status, headers)

    def _not_served(self, ticket: Ticket, token: str, error: Exception) -> Response:
        """Tell the error, and give back what is there to give back: all that was paid."""
        answer = problems.answer(error)
        if isinstance(error, RequestInProgressError):
            return answer
        try:
            standing = self._tickets.standing(ticket)
        except (PersistenceError, StoreError):
            standing = Standing.IN_BETWEEN
        if standing is Standing.OURS:
            return self._with_change(ticket, answer)
        if standing is Standing.IN_BETWEEN:
            answer.headers.update(PENDING)
        elif standing is Standing.ITS_OWNERS and len(token) <= HEADER_CHARACTERS_MAX:
            # It was not redeemed; clients take it back from here.
            with_token(answer, token)
        return answer

    def _with_change(self, ticket: Ticket, answer: Response) -> Response:
        token = self._change(ticket)
        is_error = answer.status_code >= HTTPStatus.BAD_REQUEST
        if is_error:
            # SDKs repeat many errors by themselves; this token buys nothing any more.
            answer.headers.update(errors.DO_NOT_RETRY)
        if token is None:
            answer.headers.update(PENDING)
        elif token:
            if is_error:
                add_to_error(answer, token)
            with_token(answer, token)
        return answer

    def _change(self, ticket: Ticket) -> str | None:
        """Return the change, "" if there is none, None if it cannot be made just now."""
        try:
            return self._tickets.change(ticket).token
        except (ChangeCollectedError, NoChangeError):
            return ""
        except FORESEEN as error:
            fields = {"request_id": str(ticket.request_id), "error": type(error).__name__}
            logger.warning("change is pending", extra={"fields": fields})
            return None


def blueprint(till: Till) -> Blueprint:
    routes = Blueprint("xcashu", __name__)
    routes.add_url_rule("/v1/change/<uuid:request_id>", "change", till.change)
    return routes


def kept_back(stream: MeteredStream) -> list[bytes]:
    """Return a stream that has come to its end, or its beginning if it is a long one."""
    pieces, size = [], 0
    try:
        for piece in stream:
            pieces.append(piece)
            size += len(piece)
            if size > KEPT_BYTES_MAX:
                break
    except BaseException:
        stream.close()
        raise
    if stream.is_settled:
        stream.close()
    return pieces


def with_token(answer: Response, token: str) -> Response:
    """Put a token on an answer, where clients look for their money; no cache may keep it."""
    answer.headers[HEADER] = token
    answer.headers["Cache-Control"] = "no-store"
    return answer


def add_to_error(answer: Response, token: str) -> None:
    """Put a token into an error, for clients that look there."""
    document = json_object(answer.get_data())
    detail = document.get("detail")
    for holder in (document, detail):
        if isinstance(holder, dict) and isinstance(holder.get("error"), dict):
            holder["error"]["refund_token"] = token
    answer.set_data(as_json(document).get_data())
