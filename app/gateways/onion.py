"""Finds the name of the house's own onion service, where Tor has written it."""

from __future__ import annotations

import logging
import re
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

logger = logging.getLogger(__name__)

# rend-spec-v3: 32 bytes of key, 2 of checksum and the version, in base32.
NAME = re.compile(r"[a-z2-7]{55}d\.onion")
FILES_MAX = 20
CHARACTERS_MAX = 100


def find_onion_url(pattern: str) -> str | None:
    """Return the URL of the one onion service that a file fitting `pattern` names, if any.

    Of several services nobody knows which one is ours: then it is none of them.
    """
    names = {name for path in islice(_found(pattern), FILES_MAX) if (name := _read(path))}
    if len(names) > 1:
        logger.warning("several onion services: set ONION_URL, or ONION_HOSTNAME_FILE to one")
        return None
    return f"http://{names.pop()}" if names else None


def _found(pattern: str) -> Iterator[Path]:
    path = Path(pattern)
    return Path(path.anchor).glob(str(path.relative_to(path.anchor)))


def _read(path: Path) -> str | None:
    """Return the name that stands in a file; most are Tor's own, and not for us to read."""
    try:
        with path.open(encoding="ascii") as file:
            name = file.read(CHARACTERS_MAX).strip()
    except (OSError, ValueError):
        return None
    return name if NAME.fullmatch(name) else None
