"""What an upstream says of the operator, taken out of its words before a client reads them."""

from __future__ import annotations

import re

from app.logs import redact

ORGANIZATION = re.compile(r"\b(?:org|proj|user|acct)[-_][A-Za-z0-9]{6,}")


def without_operator(text: str) -> str:
    """Return `text` without names of organizations, and without keys and tokens.

    >>> without_operator("Rate limit reached in organization org-Ab12Cd34 for gpt-x")
    'Rate limit reached in organization [operator] for gpt-x'
    """
    return ORGANIZATION.sub("[operator]", redact(text))
