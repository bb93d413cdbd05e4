"""What a client is told when a token or a refund does not go through.

CashierError
├── TokenRefusedError        the token is not accepted: malformed, locked, another unit …
├── TokenSpentError          the mint says that the token was spent before
├── FeesExceedTokenError     the mint's fees are as much as the token is worth
├── MintDownError            the mint cannot be reached; nothing was done
│   └── MintCrowdedError     the mint has enough to do just now; nothing was done
├── ForeignMintDownError     the mint of a foreign token cannot be reached, or is none
├── ForeignSwapError         nothing has arrived of a foreign token; it is its owner's
├── DepositPendingError      the mint gave no final answer; present the token again
├── RefundPendingError       the mint gave no final answer; ask for the refund again
├── TokenTooSmallError       the token is worth less than the request can cost
├── NoChangeError            of this token nothing is here to give back
├── ChangeCollectedError     what was to give back was given back, and collected
├── RefundTakenBackError     what was to give back is its account's again
├── NoRateError              what a bitcoin costs is not known well enough just now
├── NoLightningError         no mint of this house makes Lightning invoices for us alone
├── TooManyInvoicesError     more invoices are asked for than a mint would bear
├── InvoiceUnknownError      no such invoice was ever made here
├── PayoutPendingError       the mint has not said yet whether it has paid
├── PayoutFeeError           the mint asks for too much for a payment
├── PayoutUnknownError       no such payout was ever begun for this account
├── WithdrawalUnknownError   no such token was ever made for the owner
├── NothingOpenError         no such movement waits for an answer
└── ProviderError            a provider cannot be set up, or asked for its models
    ├── ProviderThereError   there is a provider of this name
    ├── ProviderUnknownError no provider has this name
    └── ModelListError       a provider's list of models cannot be used
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
    """The mint cannot be reached just now; the token was not redeemed.

    It is to be tried again in `retry_after_s`, if that is known.
    """

    def __init__(self, retry_after_s: float | None = None) -> None:
        super().__init__()
        self.retry_after_s = retry_after_s


class MintCrowdedError(MintDownError):
    """The mint has as many requests as it bears just now; the token was not redeemed."""


class ForeignMintDownError(CashierError):
    """The token's own mint cannot be asked just now; the token was not redeemed."""


class ForeignSwapError(CashierError):
    """Nothing has arrived from the token's own mint; nothing was credited."""


class DepositPendingError(CashierError):
    """The mint has not answered yet; present the same token again, nothing is lost."""


class RefundPendingError(CashierError):
    """Refund is pending; retry shortly."""


class TokenTooSmallError(CashierError):
    """The token is worth less than the request can cost.

    A token for `required_msat`, whose mint's fee is in it, would do for `model`.
    """

    def __init__(self, *, required_msat: int, model: str) -> None:
        super().__init__(
            f"Insufficient balance: the token must be worth {required_msat} msat"
            f" for this request to {model[:100]}."
        )
        self.required_msat = required_msat
        self.model = model


class NoChangeError(CashierError):
    """Refund not found"""  # noqa: D400, D415  (the words existing clients look for)


class ChangeCollectedError(CashierError):
    """The refund was already collected."""


class RefundTakenBackError(CashierError):
    """The refund was taken back, and is available again; ask for another one."""


class NoRateError(CashierError):
    """The price of a bitcoin is not known well enough just now to sell at."""


class NoLightningError(CashierError):
    """No mint of this house makes a Lightning invoice over this amount for this house alone."""


class TooManyInvoicesError(CashierError):
    """Too many invoices are asked for just now; try again in a minute."""


class InvoiceUnknownError(CashierError):
    """Invoice not found"""  # noqa: D400, D415  (the words existing clients look for)


class PayoutPendingError(CashierError):
    """The mint has not said yet whether it has paid; it is asked again."""


class PayoutFeeError(CashierError):
    """The mint asks for too much to make this payment; nothing was paid."""


class PayoutUnknownError(CashierError):
    """Refund not found"""  # noqa: D400, D415  (the words existing clients look for)


class WithdrawalUnknownError(CashierError):
    """No such token was ever made for the owner of the house."""


class NothingOpenError(CashierError):
    """The movement waits for no answer: it has come to its end."""


class ProviderError(CashierError):
    """A provider cannot be set up, or asked for its models."""


class ProviderThereError(ProviderError):
    """There is a provider of this name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"There is a provider '{name[:40]}' already; it can be changed.")


class ProviderUnknownError(ProviderError):
    """No provider has this name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"No provider is called '{name[:40]}'.")


class ModelListError(ProviderError):
    """A provider's list of models cannot be used; what was sold is sold on."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"The list of models of '{name[:40]}' cannot be used: {reason}")
