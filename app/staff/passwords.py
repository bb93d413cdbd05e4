"""Passwords as hashes that are slow to make, so that guessing is."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

if TYPE_CHECKING:
    from collections.abc import Callable

# What OWASP names as the least that is enough; only one verification runs at a time, so
# that this is all the memory that guessing can take.
MEMORY_KIB, PASSES = 19_456, 2
LENGTH_MIN, LENGTH_MAX = 12, 1_000
MADE_BYTES = 18


class Hasher:
    """Makes argon2id hashes of passwords, and compares attempts with them."""

    def __init__(
        self,
        apart: Callable[[Callable[[], Any]], Any] = lambda work: work(),
        memory_kib: int = MEMORY_KIB,
    ) -> None:
        """`apart` runs what keeps a processor busy, one piece of work after the other."""
        self._apart = apart
        self._argon = PasswordHasher(time_cost=PASSES, memory_cost=memory_kib, parallelism=1)
        self._nobodys = self.hashed(secrets.token_hex(16))

    def hashed(self, password: str) -> str:
        return str(self._apart(lambda: self._argon.hash(password)))

    def is_right(self, kept: str | None, attempt: str) -> bool:
        """Tell whether `attempt` has the hash `kept`; takes as long if there is none."""
        found = self._apart(lambda: self._verified(kept or self._nobodys, attempt))
        return bool(found) and kept is not None

    def _verified(self, kept: str, attempt: str) -> bool:
        try:
            return self._argon.verify(kept, attempt)
        except (VerificationError, InvalidHashError):
            return False


def made_up() -> str:
    """Return a password that nobody guesses, of 24 characters."""
    return secrets.token_urlsafe(MADE_BYTES)
