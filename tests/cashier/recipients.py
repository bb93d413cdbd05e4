"""Somebody with a Lightning address, whose invoices are a mint's: what is paid is seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.doubles.recipient import RecipientServer

if TYPE_CHECKING:
    from tests.cashier.house import MoodyMint


class Bob(RecipientServer):
    """Has an account at `bank`, a mint that pays no invoices by itself."""

    def __init__(self, bank: MoodyMint) -> None:
        super().__init__(self._invoice)
        self._bank = bank

    @property
    def paid_sat(self) -> list[int]:
        """What arrived, payment by payment."""
        with self._bank._lock:
            quotes = self._bank.mint_quotes.values()
            return [quote.amount for quote in quotes if quote.state == "PAID"]

    def _invoice(self, amount_msat: int) -> str:
        body = {"amount": amount_msat // 1_000, "unit": "sat"}
        _, answer = self._bank.answer("POST", "mint/quote/bolt11", body)
        request: str = answer["request"]
        return request
