"""What can be wrong with ecash, before any mint is asked.

CurveError                     not a point or a scalar of the curve
MnemonicError                  not a BIP-39 phrase
SealError                      not sealed by this key for this context
PaymentRequestError            not a payment request of NUT-18 or NUT-26
InvoiceError                   not a Lightning invoice of BOLT 11
TokenError                     not a token this house can take
├── TokenFormatError           not a token at all
│   └── TokenSizeError         longer, or of more proofs, than is read
├── TokenAmountError           an amount that is no amount
├── TokenDuplicateError        the same proof twice
├── TokenMintError             no mint, several mints, or a URL that is none
└── TokenKeysetError           a keyset id of no known version
KeysetError(RefusedError)      nothing was sent: the mint's keysets do not allow it
├── KeysetUnknownError         the mint has no such keyset
├── KeysetAmbiguousError       a short id that stands for several keysets
└── KeysetForgedError          the id is not that of the keys, or belongs to another mint

No message holds a token, a secret or a phrase, not even a part of one.
"""

from __future__ import annotations

from app.gateways.errors import RefusedError


class CurveError(ValueError):
    """A value is not a point or a scalar of secp256k1."""


class MnemonicError(ValueError):
    """The seed phrase is not a BIP-39 phrase."""

    def __init__(self, words: int) -> None:
        super().__init__(
            f"the seed phrase has {words} words and is not a valid English BIP-39 phrase:"
            " 12 to 24 words of the list, the last one a checksum"
        )
        self.words = words


class SealError(ValueError):
    """What was to be opened was not sealed by this key for this context."""

    def __init__(self) -> None:
        super().__init__(self.__doc__)


class PaymentRequestError(ValueError):
    """The text is not a payment request."""


class InvoiceError(ValueError):
    """The text is not a Lightning invoice."""


class TokenError(ValueError):
    """The text is not a token this house can take."""


class TokenFormatError(TokenError):
    """The text is not a token."""


class TokenSizeError(TokenFormatError):
    """The token is larger than is read here."""

    def __init__(self, what: str, most: int) -> None:
        super().__init__(f"the token has more than {most} {what}")
        self.most = most


class TokenAmountError(TokenError):
    """A proof's amount is not a whole number from 1 to 2^63."""

    def __init__(self) -> None:
        super().__init__(self.__doc__)


class TokenDuplicateError(TokenError):
    """The token holds the same proof twice."""

    def __init__(self) -> None:
        super().__init__(self.__doc__)


class TokenMintError(TokenError):
    """The token does not name exactly one mint by a proper URL."""

    def __init__(self) -> None:
        super().__init__(self.__doc__)


class TokenKeysetError(TokenError):
    """A keyset id of the token is of no known version."""

    def __init__(self) -> None:
        super().__init__(self.__doc__)


class KeysetError(RefusedError):
    """The mint's keysets do not allow what was asked; nothing was sent."""


class KeysetUnknownError(KeysetError):
    """The mint has no such keyset."""

    def __init__(self, wanted: str) -> None:
        super().__init__(f"the mint has no keyset {wanted}")
        self.wanted = wanted


class KeysetAmbiguousError(KeysetError):
    """A short keyset id stands for several keysets of the mint."""

    def __init__(self, short_id: str) -> None:
        super().__init__(f"the mint has several keysets {short_id}…")
        self.short_id = short_id


class KeysetForgedError(KeysetError):
    """The keyset's id is not the one its keys have, or it is another mint's."""

    def __init__(self, keyset_id: str) -> None:
        super().__init__(f"keyset {keyset_id} is not what its id says")
        self.keyset_id = keyset_id
