"""Money on its way out: what was paid, and the owner's withdrawals in two steps."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from flask import redirect

from app.cashier.errors import CashierError
from app.cashier.withdrawal import LIGHTNING, TOKEN, WAYS, Wish
from app.gateways.errors import GatewayError
from app.gateways.mint.errors import TokenError
from app.web.admin.paid import Paid, paid_out, paid_to
from app.web.admin.room import (
    FormError,
    Room,
    asked_id,
    filled,
    filled_id,
    filled_msat,
    linked,
    page,
)
from domain.errors import LedgerError
from domain.identity import OWNER
from domain.posting import DRAWN, LIGHTNING_IN_FLIGHT
from domain.rights import WITHDRAW

if TYPE_CHECKING:
    from app.cashier.withdrawal import Plan, Withdrawals
    from projections.chart import Query

NOT_PROVEN = "Nothing was withdrawn: check the password; after several attempts wait a while."
FETCHED = "fetched a token"
TROUBLES = (CashierError, GatewayError, LedgerError, TokenError)


class PayoutDesk(Room):
    """What was paid out, what the owner could take, and the way to take it."""

    @page("/")
    def index(self) -> Any:
        return self._told(done=asked_id("done"))

    @page("/plan", "POST", scope=WITHDRAW)
    def plan(self) -> Any:
        """Say what a withdrawal would come to, and begin nothing: the first step."""
        wish = _wish()
        try:
            plan = self._withdrawals().plan(wish)
        except TROUBLES as error:
            return self._trouble(error)
        return self._planned(plan)

    @page("/withdraw", "POST", scope=WITHDRAW)
    def withdraw(self) -> Any:
        """Withdraw, if the password was given just now: the second step."""
        wish, movement = _wish(), filled_id("movement")
        try:
            if not self.auditor.prove_again():
                plan = self._withdrawals().plan(wish)
                return self._planned(plan, NOT_PROVEN), HTTPStatus.FORBIDDEN
            if wish.way == LIGHTNING:
                self._withdrawals().pay(movement, wish, self.auditor.who())
                return redirect(
                    linked("admin-payouts.index", {"done": str(movement)}),
                    HTTPStatus.SEE_OTHER,
                )
            refund = self._withdrawals().token(movement, wish, self.auditor.who())
        except TROUBLES as error:
            return self._trouble(error)
        return self.render("auditor/token.html", refund=refund)

    @page("/token", "POST", scope=WITHDRAW)
    def token(self) -> Any:
        """Show a token of the owner's again that was not collected."""
        movement = filled_id("movement")
        if not self.auditor.prove_again():
            return self._told(NOT_PROVEN), HTTPStatus.FORBIDDEN
        try:
            refund = self._withdrawals().token_again(movement, self.auditor.who())
        except TROUBLES as error:
            return self._trouble(error)
        self.auditor.note(FETCHED, self.auditor.who(), str(movement))
        return self.render("auditor/token.html", refund=refund)

    def _withdrawals(self) -> Withdrawals:
        if self.auditor.withdrawals is None:
            raise FormError("Nobody withdraws anything from this house here.")
        return self.auditor.withdrawals

    def _planned(self, plan: Plan, message: str = "") -> str:
        return self.render(
            "auditor/withdraw.html",
            plan=plan,
            movement=uuid4(),
            message=message,
            is_fresh=self.auditor.is_fresh(),
        )

    def _trouble(self, error: Exception) -> Any:
        return self._told(str(error) or type(error).__name__), HTTPStatus.CONFLICT

    def _told(self, message: str = "", done: Any = None) -> str:
        withdrawals, log = self.auditor.withdrawals, self.auditor.log

        def read(query: Query) -> dict[str, list[Paid] | Paid | None]:
            drawn = paid_out(query, log, DRAWN)
            sent = paid_out(query, log, LIGHTNING_IN_FLIGHT)
            return {
                "drawn": drawn,
                "sent": [paid for paid in sent if paid.account_id != OWNER],
                "done": paid_to(log.movement(query, done)) if done else None,
            }

        return self.render(
            "auditor/payouts.html",
            message=message,
            places=withdrawals.places() if withdrawals else [],
            is_fresh=self.auditor.is_fresh(),
            **self.auditor.look(read),
        )


def _wish() -> Wish:
    way, most_msat, address = filled("way"), filled_msat("most_sat"), filled("address")
    if way not in WAYS:
        raise FormError("There is no such way to withdraw.")
    if not most_msat:
        raise FormError("Say how much at most is to be withdrawn, in sat.")
    if way == LIGHTNING and not address:
        raise FormError("Say to which Lightning address or LNURL.")
    return Wish(way, filled("mint"), most_msat, "" if way == TOKEN else address)
