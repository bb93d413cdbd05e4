"""What a client is told when a token or a refund does not go through.

CashierError
├── TokenRefusedError        the token is not accepted: malformed, locked, another unit …
├── TokenSpentError          the mint says that the token was spent before
├── FeesExceedTokenError     the mint's fees are as much as the token is worth
├── MintDownError            the mint cannot be reached; nothing was done
├── DepositPendingError      the mint gave no final answer; present the token again
├── RefundPendingError       the mint gave no final answer; ask for the refund again
└── NoRateError              what a bitcoin costs is not known well enough just now
"""

from __future__ import annotations


class CashierError(Exception):
    """Money did not change hands."""

    def __init__(self, message: str = "") -> None:
        super().__init__(message or (type(self).__doc__ or "").split("\n", 1)[0])


class TokenRefusedError(CashierError):
    """The token is not accepted; it was not redeemed and still belongs to its owner."""


class TokenSpentError(CashierError):
    """Token already spent"""  # noqa: D400, D415  (the words existing clients look for)


class FeesExceedTokenError(CashierError):
    """The mint's swap fees are as much as the token is worth; it was not redeemed."""


class MintDownError(CashierError):
    """The mint cannot be reached just now; the token was not redeemed."""


class DepositPendingError(CashierError):
    """The mint has not answered yet; present the same token again, nothing is lost."""


class RefundPendingError(CashierError):
    """Refund is pending; retry shortly."""


class NoRateError(CashierError):
    """The price of a bitcoin is not known well enough just now to sell at."""
