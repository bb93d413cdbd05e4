"""What can be wrong with a movement of money, as one tree of errors.

LedgerError
├── NegativeAmountError          an amount would fall below zero
├── UnknownAccountError          no deposit was ever credited to the account
├── InsufficientFundsError       the account's available money is less than is needed
├── KeyRefusedError              an API key may not do what is asked
│   ├── LimitReachedError        more than what the key may spend is needed
│   ├── KeyExpiredError          the key's time is over
│   ├── ModelNotAllowedError     the key may not spend on this model
│   ├── ChildKeyError            a child key cannot do what its parent can
│   ├── ForeignKeyError          the key is no child of this account
│   ├── UnknownChildError        no such child key was ever made
│   ├── TooManyKeysError         the account has as many child keys as it may have
│   └── AccountErasedError       the account's names were erased, and it takes no new ones
├── OtherKeyError                a hold is of another key than was named (carries it)
├── UnknownHoldError             no such hold was ever made
├── HoldEndedError               the hold has ended otherwise (carries its end)
├── RequestInProgressError       the same request is already being served
├── RequestRepeatedError         the same request was already served (carries its end)
├── RequestChangedError          a request of the same name asked for something else
├── NotInstantError              a token locked to us has to be swapped before it is credited
├── TokenTakenError              the token was deposited to another account
├── KeysetTakenError             another mint has shown the same keyset id
├── MovementEndedError           the movement has ended otherwise (carries its end)
├── UnknownMovementError         no such movement was ever begun
├── NothingToRefundError         less is available than can be paid out
├── PurseShortError              no mint holds enough unspent proofs of ours
├── OwnerMayNotDrawError         what the mints hold would be less than what is owed
│   └── UnexplainedError         a mint's proofs and the books differ, and nobody knows why
├── FeeTooHighError              the mint's fee is as much as what is to be swapped
├── NothingToSwapError           the proofs of a purse are as they are ordered to be
├── CountersMovedError           counters of a keyset have been used meanwhile
├── NothingLostError             none of the proofs is free, and so none is lost
├── ProviderChangedError         a provider is not any more as it was when a change was wanted
├── OperatorChangedError         the same of an operator
├── InvalidOperatorError         something of an operator makes no sense (carries its field)
├── SettingMovedError            a setting is not any more as it was when a change was wanted
├── InvalidSettingError          a change of a setting makes no sense (carries its name)
├── PricingError                 a price list, a price or a bound of a request is senseless
│   ├── UnknownModelError        the price list has no such model
│   ├── InvalidProviderError     something of a provider makes no sense (carries its field)
│   └── InvalidBoundError        a limit in the request is not a sensible whole number
├── UnknownTopicError            the log holds an event this version does not know
└── LedgerBrokenError            an invariant of the books does not hold
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from uuid import UUID


class LedgerError(Exception):
    """Something is wrong with a movement of money."""

    def __init__(self, message: str = "") -> None:
        super().__init__(message or (type(self).__doc__ or "").split("\n", 1)[0])


class NegativeAmountError(LedgerError):
    """An amount of money would fall below zero."""

    def __init__(self, amount_msat: int) -> None:
        super().__init__(f"An amount of money would fall below zero: {amount_msat} msat.")
        self.amount_msat = amount_msat


class UnknownAccountError(LedgerError):
    """No deposit was ever credited to this account."""

    def __init__(self, account_id: UUID) -> None:
        super().__init__()
        self.account_id = account_id


class InsufficientFundsError(LedgerError):
    """The account's available money is less than is needed."""

    def __init__(self, *, required_msat: int, available_msat: int, held_msat: int) -> None:
        super().__init__(
            f"Insufficient balance: {required_msat} msat required, {available_msat} msat"
            f" available ({held_msat} msat held by requests in progress)."
        )
        self.required_msat = required_msat
        self.available_msat = available_msat
        self.held_msat = held_msat


class KeyRefusedError(LedgerError):
    """An API key may not do what is asked."""


class LimitReachedError(KeyRefusedError):
    """More is needed than what the key may still spend."""

    def __init__(self, *, limit_msat: int, left_msat: int, required_msat: int) -> None:
        super().__init__(
            f"Balance limit exceeded: {required_msat} msat required, {left_msat} msat left"
            f" of the {limit_msat} msat that this key may spend."
        )
        self.limit_msat = limit_msat
        self.available_msat = left_msat
        self.required_msat = required_msat


class KeyExpiredError(KeyRefusedError):
    """API key has expired; what is left of its balance can be refunded."""


class ModelNotAllowedError(KeyRefusedError):
    """The key may not be used for this model."""

    def __init__(self, model: str) -> None:
        super().__init__(f"This key may not be used for the model '{model[:100]}'")
        self.model = model


class ChildKeyError(KeyRefusedError):
    """A child key cannot do this. Please use the parent key instead."""


class ForeignKeyError(KeyRefusedError):
    """The key is not a child of yours."""


class UnknownChildError(KeyRefusedError):
    """Child key not found"""  # noqa: D400, D415  (the words existing clients look for)


class TooManyKeysError(KeyRefusedError):
    """The account has as many child keys as it may have."""


class AccountErasedError(KeyRefusedError):
    """The names of this account were erased; it takes no new address, but gives refunds."""


class OtherKeyError(LedgerError):
    """A hold is of another key than was named; `key_id` is the one it is of."""

    def __init__(self, key_id: UUID | None) -> None:
        super().__init__()
        self.key_id = key_id


class UnknownHoldError(LedgerError):
    """No such hold was ever made."""

    def __init__(self, hold_id: UUID) -> None:
        super().__init__()
        self.hold_id = hold_id


class HoldEndedError(LedgerError):
    """The hold has already ended otherwise; `end` is the event that ended it."""

    def __init__(self, hold_id: UUID, end: object) -> None:
        super().__init__(f"The hold has already ended: {type(end).__name__}.")
        self.hold_id = hold_id
        self.end = end


class RequestInProgressError(LedgerError):
    """The same request is already being served; ask again when it has ended."""

    def __init__(self, hold_id: UUID) -> None:
        super().__init__()
        self.hold_id = hold_id


class RequestRepeatedError(LedgerError):
    """The same request was already answered; it is not charged a second time."""

    def __init__(self, hold_id: UUID, end: object) -> None:
        super().__init__()
        self.hold_id = hold_id
        self.end = end


class RequestChangedError(LedgerError):
    """A request of the same name has asked for something else before."""

    def __init__(self, hold_id: UUID) -> None:
        super().__init__()
        self.hold_id = hold_id


class NotInstantError(LedgerError):
    """The token is not credited at once: its mint has to take it first."""


class TokenTakenError(LedgerError):
    """The token was already deposited to another account."""


class KeysetTakenError(LedgerError):
    """Another mint has shown a keyset of the same id before."""


class MovementEndedError(LedgerError):
    """The movement has already ended otherwise; `end` is the event that ended it."""

    def __init__(self, stream: UUID, end: object) -> None:
        super().__init__(f"The movement has already ended: {type(end).__name__}.")
        self.stream = stream
        self.end = end


class UnknownMovementError(LedgerError):
    """No such movement was ever begun."""

    def __init__(self, stream: UUID) -> None:
        super().__init__()
        self.stream = stream


class NothingToRefundError(LedgerError):
    """Less is available than can be paid out."""

    def __init__(self, *, available_msat: int, fee_msat: int = 0) -> None:
        small = "Balance too small to refund"
        super().__init__(small if available_msat else "No balance to refund")
        self.available_msat = available_msat
        self.fee_msat = fee_msat


class PurseShortError(LedgerError):
    """No mint holds enough unspent proofs of ours just now."""


class OwnerMayNotDrawError(LedgerError):
    """What the mints hold would be less than what is owed to clients."""

    def __init__(self, mint: str, *, surplus_msat: int, wanted_msat: int) -> None:
        super().__init__(
            f"{wanted_msat} msat are wanted of {mint}, and {max(surplus_msat, 0)} msat there"
            " are owed to nobody."
        )
        self.mint = mint
        self.surplus_msat = surplus_msat
        self.wanted_msat = wanted_msat


class UnexplainedError(OwnerMayNotDrawError):
    """A mint's proofs and the books differ, and nobody knows why; the owner must wait."""

    def __init__(self, mint: str, *, unexplained_msat: int) -> None:
        LedgerError.__init__(
            self, f"The proofs at {mint} and the books differ by {unexplained_msat} msat."
        )
        self.mint = mint
        self.unexplained_msat = unexplained_msat


class FeeTooHighError(LedgerError):
    """The mint's fee is as much as what is to be swapped is worth."""


class NothingToSwapError(LedgerError):
    """The proofs of a purse are as they are ordered to be."""


class ProviderChangedError(LedgerError):
    """A provider is not any more as it was when its change was wanted; look at it again."""

    def __init__(self, name: str) -> None:
        super().__init__(f"Provider '{name[:40]}' was changed meanwhile; look at it again.")
        self.name = name


class OperatorChangedError(LedgerError):
    """An operator is not any more as it was when its change was wanted; look at it again."""

    def __init__(self, name: str) -> None:
        super().__init__(f"Operator '{name[:40]}' was changed meanwhile; look again.")
        self.name = name


class InvalidOperatorError(LedgerError):
    """Something of an operator makes no sense; `field` is what."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field} {message}")
        self.field = field


class SettingMovedError(LedgerError):
    """A setting is not any more as it was when its change was wanted; look at it again."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name[:60].upper()} was changed meanwhile; look at it again.")
        self.name = name


class InvalidSettingError(LedgerError):
    """A change of a setting makes no sense; `name` is whose."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(f"{name[:60].upper()} {message}")
        self.name = name


class CountersMovedError(LedgerError):
    """Counters of this keyset have been used meanwhile."""


class NothingLostError(LedgerError):
    """None of the proofs is free, and so none is lost."""


class PricingError(LedgerError):
    """A price list, a price or a bound of a request is senseless."""


class UnknownModelError(PricingError):
    """The price list has no such model."""

    def __init__(self, model: str) -> None:
        super().__init__(f"Model '{model[:100]}' not found")
        self.model = model


class InvalidProviderError(PricingError):
    """Something of a provider makes no sense; `field` is what."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field} {message}")
        self.field = field


class InvalidBoundError(PricingError):
    """A limit in the request is not a sensible whole number."""

    def __init__(self, field: str, message: str = "must be an integer") -> None:
        super().__init__(f"{field} {message}")
        self.field = field


class UnknownTopicError(LedgerError):
    """The log holds an event that this version does not know."""

    def __init__(self, topic: str) -> None:
        super().__init__(f"The log holds an event of an unknown kind: {topic[:80]!r}.")
        self.topic = topic


class LedgerBrokenError(LedgerError):
    """An invariant of the books does not hold."""
