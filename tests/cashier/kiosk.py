"""A kiosk at which single requests are sold for tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from app.cashier.sizing import TokenSizes
from app.cashier.ticket import Tickets
from tests.cashier.counter import Counter, chat

if TYPE_CHECKING:
    from app.cashier.answer import Served
    from app.cashier.bill import Call
    from app.cashier.refund import Refund, Refunds
    from app.cashier.ticket import Ticket
    from tests.cashier.house import House

FACE_SAT, FEE_SAT = 100, 1
ALL_BACK_SAT = FACE_SAT - 2 * FEE_SAT
CHANGE_SAT = ALL_BACK_SAT - 1


class Kiosk:
    """Sells single requests on the books of a house."""

    def __init__(self, house: House, base_url: str, refunds: Refunds | None = None) -> None:
        self.house = house
        self.counter = Counter(house, base_url)
        self.tickets = Tickets(
            house.deposits,
            self.counter.charges,
            refunds or house.refunds,
            self.counter.quotes,
            TokenSizes(house.mints),
            house.store,
        )

    def ticket(self, text: str) -> Ticket:
        return self.tickets.read(text)

    def serve(self, ticket: Ticket, **members: Any) -> Served:
        return self.tickets.serve(ticket, self.call(ticket, **members))

    def call(self, ticket: Ticket, **members: Any) -> Call:
        return chat(account_id=ticket.account_id, request_id=ticket.request_id, **members)

    def change(self, ticket: Ticket) -> Refund:
        return self.tickets.change(ticket)
