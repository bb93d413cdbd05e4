"""What is wrong with a request before any money is asked about, as one tree of errors.

DoorError                    the request cannot be let in
├── NoCredentialsError       no Authorization header on a paid route
├── NotBearerError           an Authorization header of another kind
├── EmptyBearerError         `Bearer` and nothing behind it
├── UnknownKeyError          no account was ever opened by this key
├── BodyError                the body is not one that is read here
│   ├── BodyLateError        the body did not arrive in time
│   ├── BodyTooLargeError    the body is longer than is read
│   ├── InvalidFormError     the body is not a form, where one is asked for
│   └── InvalidJsonError     the body is not a JSON object
├── InvalidParameterError    a member or header is not what it should be (carries its name)
├── NoTokenError             a deposit without a token
├── NoChildKeyError          a child key is to be reset, and none is named
├── ChildRefundError         a child key asks for a refund
├── UnreadableTokenError     what should be a token is none
├── NoTicketError            what is in the X-Cashu header is not a token
├── NothingHereError         no such address
│   ├── NoDirectoryError     a directory of providers, and this house keeps none
│   └── NotOfferedError      an address of the OpenAI API that is not sold here
└── ModelNotListedError      the listing has no such model
"""

from __future__ import annotations

import math
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class DoorError(Exception):
    """The request cannot be let in.

    `says` are words by which existing clients know the error, `param` names what in the
    request is at fault, `headers` go with the answer.
    """

    says: ClassVar[str] = ""
    param: str | None = None
    headers: Mapping[str, str] = MappingProxyType({})

    def __init__(self, message: str = "") -> None:
        first_line = (type(self).__doc__ or "").split("\n", 1)[0]
        super().__init__(message or self.says or first_line)


class NoCredentialsError(DoorError):
    """No Authorization header was sent."""

    says = "Unauthorized"


class NotBearerError(DoorError):
    """The Authorization header is of another kind."""

    says = "Invalid authorization. Use 'Bearer <cashu-token>' or 'Bearer <api-key>'"


class EmptyBearerError(DoorError):
    """You did not provide an API key: nothing follows 'Bearer'."""


class UnknownKeyError(DoorError):
    """No account was ever opened by this key."""

    says = "Invalid API key: Key not found"


class BodyError(DoorError):
    """The request's body cannot be read."""


class BodyLateError(BodyError):
    """The request's body did not arrive in time."""


class HeadLateError(DoorError):
    """The request's head did not arrive in time."""


class HeadTooLargeError(DoorError):
    """The request's header fields are too large."""


class CrowdedError(DoorError):
    """Too many requests are being served at this moment. Nothing was charged; try again."""


class BodyMalformedError(BodyError):
    """The chunks of the request's body are malformed."""


class BodyTooLargeError(BodyError):
    """The request's body is too large."""


class InvalidFormError(BodyError):
    """The request's body is not a form with files (multipart/form-data)."""


class InvalidJsonError(BodyError):
    """The request's body is not a JSON object."""


class InvalidParameterError(DoorError):
    """What `param` names is not what it should be."""

    def __init__(self, param: str, message: str) -> None:
        super().__init__(f"{param} {message}")
        self.param = param


class NoTokenError(DoorError):
    """A deposit was asked for without a token; `param` is where it was looked for."""

    def __init__(self, param: str) -> None:
        article = "An" if param.startswith("i") else "A"
        super().__init__(f"{article} {param} is required.")
        self.param = param


class NoChildKeyError(DoorError):
    """A child_key is required."""

    param = "child_key"


class ChildRefundError(DoorError):
    """A child key has no money of its own that could be refunded."""

    says = "Cannot refund child key. Please refund the parent key instead."


class UnreadableTokenError(DoorError):
    """What should be a token is none."""

    says = "Invalid token format"


class NoTicketError(DoorError):
    """What is in the X-Cashu header is not a token."""

    says = "Invalid authentication token format"


class NothingHereError(DoorError):
    """There is no such address."""

    says = "Not found check /docs for available endpoints"


class NoDirectoryError(NothingHereError):
    """The directory of providers is asked for, and this house keeps none."""

    says = "This house keeps no directory of providers."


class NotOfferedError(NothingHereError):
    """A part of the API is not offered here."""

    def __init__(self, offered: Iterable[str]) -> None:
        super().__init__(f"Not offered here. There are: POST {', '.join(offered)}.")


class ModelNotListedError(DoorError):
    """The listing has no such model."""

    param = "model"

    def __init__(self, model: str) -> None:
        super().__init__(f"The model '{model[:100]}' does not exist")


class RateLimitError(DoorError):
    """Too much was asked for in too short a time; nothing was charged.

    `wait_s` is after how many seconds it may be asked for again.
    """

    def __init__(self, message: str, wait_s: float) -> None:
        super().__init__(f"{message} Please try again in {wait_s:.3g}s.")
        self.headers = {
            "Retry-After": str(math.ceil(wait_s)),
            "retry-after-ms": str(math.ceil(wait_s * 1000)),
        }


class RequestRateError(RateLimitError):
    """A key has made too many requests."""

    def __init__(self, limit: int, wait_s: float) -> None:
        text = f"Rate limit reached on requests per min (RPM): Limit {limit}, Requested 1."
        super().__init__(text, wait_s)


class TokenRateError(RateLimitError):
    """A key has used too many tokens."""

    def __init__(self, limit: int, requested: int, wait_s: float) -> None:
        super().__init__(
            "Rate limit reached on tokens per min (TPM):"
            f" Limit {limit}, Requested {requested}.",
            wait_s,
        )


class CrowdOfOneError(RateLimitError):
    """A key has too many requests in progress."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"Rate limit reached on requests at once: Limit {limit}.", 1.0)


class AddressRateError(RateLimitError):
    """An address has opened too much."""

    def __init__(self, limit: int, wait_s: float) -> None:
        text = f"Rate limit reached for your address: Limit {limit} per min."
        super().__init__(text, wait_s)


class RequestTooBigError(DoorError):
    """A request may use more tokens than its key may in a minute."""

    def __init__(self, limit: int, requested: int) -> None:
        super().__init__(
            f"Request too large on tokens per min (TPM): Limit {limit}, Requested {requested}."
            " The input or the output must be reduced."
        )
