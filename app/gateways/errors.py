"""What can go wrong at a door out, told as the money needs to know it.

GatewayError
├── RelayError                 a Nostr relay does not speak as it should; no money is in it
├── RefusedError               certainly not done: undo
│   ├── UnreachableError       the connection was never made
│   │   └── MintPausedError        a mint that did not answer is left alone
│   │       └── MintBusyError          a mint that has enough to do is left alone
│   ├── AddressBarredError     an address that no stranger may send us to
│   ├── RecipientError         who is to be paid cannot be: nothing was paid
│   │   ├── RecipientFormatError   not a Lightning address or LNURL at all
│   │   ├── RecipientAmountError   takes payments, but not of this amount
│   │   ├── RecipientAnswerError   the recipient's server answers with nothing payable
│   │   └── RecipientDownError     the recipient's server gives no whole answer
│   └── MintRefusedError       the mint said no
└── OutcomeUnknownError        perhaps done: keep, ask again
    ├── FetchBrokenError       a stranger's server was asked, and gave no whole answer
    └── MintUnknownError       the mint gave no final answer
        ├── MintAnswerError    the mint's answer contradicts the request or the protocol
        └── MintLimitError     the mint said that there were too many requests (429)
"""

from __future__ import annotations

import re

_LONG_WORD = re.compile(r"[A-Za-z0-9+/_=-]{40,}")
DETAIL_CHARS_MAX = 200


class GatewayError(Exception):
    """A machine outside did not do what was asked."""


class RelayError(GatewayError):
    """A Nostr relay could not be reached, or does not speak as NIP-01 has it.

    `reason` is in words of ours.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(f"the relay {reason}")
        self.reason = reason


class RefusedError(GatewayError):
    """What was asked was certainly not done; what was prepared for it can be undone."""


class OutcomeUnknownError(GatewayError):
    """What was asked may have been done; nothing is undone, the same thing is asked again."""


class UnreachableError(RefusedError):
    """No connection could be made, so that nothing was sent.

    In `retry_after_s` it is to be tried again, if that is known.
    """

    def __init__(self, host: str, retry_after_s: float | None = None) -> None:
        super().__init__(f"no connection to {host}")
        self.host = host
        self.retry_after_s = retry_after_s


class MintPausedError(UnreachableError):
    """The mint has not answered for a while, and is left alone; nothing was sent."""


class MintBusyError(MintPausedError):
    """The mint has as many requests as it bears, and is left alone; nothing was sent."""


class AddressBarredError(RefusedError):
    """No stranger may send us to this address; nothing was connected to.

    `reason` says why, in words of ours that repeat nothing of the address.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(f"no connection is made there: {reason}")
        self.reason = reason


class RecipientError(RefusedError):
    """A Lightning address or LNURL cannot be paid; nothing was paid.

    `reason` is in words of ours: whatever the recipient's server wrote is repeated nowhere.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class RecipientFormatError(RecipientError):
    """The text is no Lightning address (LUD-16) and no LNURL (LUD-01, LUD-17)."""


class RecipientAmountError(RecipientError):
    """The recipient takes payments from `min_msat` to `max_msat`, and this is none."""

    def __init__(self, *, min_msat: int, max_msat: int) -> None:
        super().__init__(f"The recipient takes {min_msat} to {max_msat} msat at once.")
        self.min_msat = min_msat
        self.max_msat = max_msat


class RecipientAnswerError(RecipientError):
    """The recipient's server does not answer as LNURL-pay does (LUD-06)."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"The recipient's server {reason}.")


class RecipientDownError(RecipientError):
    """The recipient's server cannot be reached, or gives no whole answer; nothing was paid."""

    def __init__(self) -> None:
        super().__init__("The recipient's server cannot be reached; nothing was paid.")


class FetchBrokenError(OutcomeUnknownError):
    """A stranger's server was asked; its answer is late, too long, cut off or unreadable."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the server's answer {reason}")
        self.reason = reason


class MintRefusedError(RefusedError):
    """The mint refused this request; `code` is its NUT error code, None if it gave none.

    This speaks of one request. A copy of it sent earlier may have been carried out: then
    the replay is refused with 11001, 11003 or 20002, and only NUT-09 and NUT-07 tell.
    `spent` are those inputs, by their Ys, that the mint was then asked about and says are.
    """

    def __init__(self, code: int | None, detail: str, spent: tuple[str, ...] = ()) -> None:
        self.code = code
        self.spent = spent
        self.detail = readable(detail)
        super().__init__(f"mint refused ({code}): {self.detail}")


class MintUnknownError(OutcomeUnknownError):
    """The mint gave no final answer: a timeout, a lost answer, pending, 429 or 5xx."""

    def __init__(self, detail: str, *, code: int | None = None) -> None:
        self.code = code
        self.detail = readable(detail)
        super().__init__(f"mint's outcome unknown ({code}): {self.detail}")


class MintAnswerError(MintUnknownError):
    """The mint answered with something that contradicts the request or the protocol."""


class MintLimitError(MintUnknownError):
    """The mint said 429, and perhaps for how long it is to be left alone."""

    def __init__(self, detail: str, *, retry_after_s: float | None) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s


def readable(text: str) -> str:
    r"""Cut foreign text to what is safe in a log line: short, printable, no long words.

    A word of 40 letters and digits is a secret, a key or a token; mints quote them back.

    >>> readable("proofs already\nspent")
    'proofs already spent'
    """
    kept = "".join(char if char.isprintable() else " " for char in text[: 4 * DETAIL_CHARS_MAX])
    return _LONG_WORD.sub("…", kept)[:DETAIL_CHARS_MAX].strip()
