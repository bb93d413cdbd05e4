"""What cannot be said in the other API.

TranslationError
└── UntranslatableError    a request has what no chat can say (carries its name)
"""

from __future__ import annotations


class TranslationError(Exception):
    """An answer cannot be said in the API it was asked for in."""


class UntranslatableError(TranslationError):
    """A request has what no chat can say; nothing was asked and nothing charged.

    `field` names what it is, as in `messages[0].content[1].type`.
    """

    def __init__(self, field: str) -> None:
        super().__init__(
            f"{field} cannot be translated, and the upstream of this model offers chats"
            " alone. Nothing was charged."
        )
        self.field = field
