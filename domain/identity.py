"""How accounts and movements are named, so that the same thing has the same name for ever."""

from __future__ import annotations

from hashlib import sha256
from uuid import UUID, uuid5

NAMESPACE = UUID("7a11571c-0000-5000-8000-000000000001")
OWNER = UUID(int=0)
"""Whose movement it is when the house's owner takes what was earned; not an account."""


def account_of_key(api_key: str) -> UUID:
    """Return the account an `sk-…` key opens; the key itself is stored nowhere."""
    return uuid5(NAMESPACE, "key:" + sha256(api_key.encode()).hexdigest())


def account_of_token(token_id: str) -> UUID:
    """Return the account a token opens when it is used as a key.

    `token_id` is the token's identity, not its text: the same proofs written in another
    token version open the same account.
    """
    return uuid5(NAMESPACE, "token:" + token_id)


def deposit_of_token(token_id: str) -> UUID:
    """Return the one deposit that a token can ever be."""
    return uuid5(NAMESPACE, "deposit:" + token_id)


def hold_of_request(account_id: UUID, idempotency_key: str, attempt: int = 0) -> UUID:
    """Return the hold of a request that its client named, so that a retry finds it.

    A hold has one end: a request that was not served is tried again, as its `attempt`
    1, 2 and so on, with a hold of its own.
    """
    first = uuid5(account_id, "request:" + idempotency_key)
    return uuid5(first, f"attempt:{attempt}") if attempt else first


def payout_of_request(account_id: UUID, name: str) -> UUID:
    """Return the payout that an account's request of this name asks for."""
    return uuid5(account_id, "payout:" + name)


def change_of_request(request_id: UUID) -> UUID:
    """Return the refund that brings back what a token paid too much for one request.

    Of a refund that came to nothing, or to a part only, it is the name of the next one.
    """
    return uuid5(request_id, "change")


def reconciliation_of(mint: str) -> UUID:
    """Return the movement that tells how a mint's proofs compare with the books."""
    return uuid5(NAMESPACE, "reconciled:" + mint)


def setting_of(name: str) -> UUID:
    """Return the movement that tells what a setting was changed to, and by whom."""
    return uuid5(NAMESPACE, "setting:" + name)


def prices_of_version(version: str) -> UUID:
    """Return the movement that records a price list."""
    return uuid5(NAMESPACE, "prices:" + version)


def advance_of_keyset(keyset_id: str, counter_from: int) -> UUID:
    """Return the movement that passes over counters of a keyset, from `counter_from` on."""
    return uuid5(NAMESPACE, f"advance:{keyset_id}:{counter_from}")


def in_order(unix_ms: int, chance: bytes) -> UUID:
    """Return an identifier that sorts by its millisecond, from 10 bytes of chance.

    Version 7 of RFC 9562. New rows of an index stand side by side then, and a transaction
    touches few of its pages.

    >>> in_order(1_767_323_045_678, bytes(10))
    UUID('019b7ca9-8f2e-7000-8000-000000000000')
    """
    number = unix_ms << 80 | int.from_bytes(chance, "big")
    return UUID(int=number & ~(0xF000 << 64) & ~(0xC000 << 48) | 7 << 76 | 2 << 62)
