"""The bearer: which account a credential opens, and the keys that stand for tokens."""

from __future__ import annotations

import hmac
from collections import OrderedDict
from hashlib import sha256
from typing import TYPE_CHECKING

from app.cashier.errors import TokenRefusedError
from app.cashier.keys import Spender
from app.gateways.mint.tokens import token_id
from app.web.refusals import (
    DoorError,
    EmptyBearerError,
    NoCredentialsError,
    NotBearerError,
    NoTokenError,
    UnknownKeyError,
    UnreadableTokenError,
)
from app.web.visit import current_visit
from domain.identity import account_of_key

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from app.cashier.deposit import Deposits
    from app.gateways.mint.tokens import Token
    from domain.allowance import KeyRow
    from domain.guards import AccountRow

    Bind = Callable[[Spender], None]

KEY_PREFIX = "sk-"
TOKEN_PREFIX = "cashu"  # noqa: S105  # what tokens begin with, not one of them
KNOWN_MAX = 20_000


class ApiKeys:
    """Makes the API key of a token, or an invoice: the same one each time it is asked for.

    A client whose answer was lost asks again, and is given its key and its credit again.
    `secret` is 32 bytes that nobody else has; without it a key cannot be worked out from
    what the mint knows of the token.
    """

    __slots__ = ("_secret",)

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def of_token(self, token: Token) -> str:
        """Return `sk-` and HMAC-SHA256 of the token's identity, in hex."""
        identity = token_id(token.proofs).encode()
        return KEY_PREFIX + hmac.new(self._secret, identity, sha256).hexdigest()

    def of_invoice(self, invoice_id: UUID) -> str:
        """Return the key of the account that an invoice opens once it is paid."""
        identity = b"invoice:" + invoice_id.bytes
        return KEY_PREFIX + hmac.new(self._secret, identity, sha256).hexdigest()

    def of_child(self, salt: UUID) -> str:
        """Return the child key that was made of `salt`."""
        identity = b"child:" + salt.bytes
        return KEY_PREFIX + hmac.new(self._secret, identity, sha256).hexdigest()

    def __repr__(self) -> str:
        return "ApiKeys(…)"


def nothing_wanted() -> Bind:
    """Bind no key that is opened by a token."""
    return lambda _: None


class Bearer:
    """Opens accounts. An account that exists goes on existing, so that it is remembered.

    What is remembered is a hash of the credential and who spends by it, of `known_max` at
    most: whose money a child spends never changes, and a key that was bound since is found
    out by the ledger. `wanted` is asked before the token of a new account is deposited, and
    yields what binds that account to what the request says.
    """

    def __init__(
        self,
        deposits: Deposits,
        account: Callable[[UUID], AccountRow | None],
        key: Callable[[UUID], KeyRow | None],
        wanted: Callable[[], Bind] = nothing_wanted,
        known_max: int = KNOWN_MAX,
    ) -> None:
        self._deposits = deposits
        self._account = account
        self._key = key
        self._wanted = wanted
        self._known: OrderedDict[bytes, Spender] = OrderedDict()
        self._known_max = known_max

    def open(self, authorization: str | None) -> UUID:
        """Return the account that an Authorization header opens; of a child, its parent's.

        A token that was never seen is deposited first. Raises a `DoorError`, and what
        `Deposits` raises.
        """
        return self.spender(authorization).account_id

    def account_of(self, secret: str) -> UUID:
        """Return the account that an API key or a token opens; raises as `open` does."""
        return self.spender_of(secret).account_id

    def spender(self, authorization: str | None) -> Spender:
        """Return who asks by an Authorization header; raises as `open` does."""
        return self.spender_of(credential(authorization))

    def spender_of(self, secret: str) -> Spender:
        """Return who asks by an API key or a token; raises as `open` does."""
        digest = sha256(secret.encode()).digest()
        spender = self._known.get(digest)
        if spender is None:
            spender = self._looked_up(secret)
            self._remember(digest, spender)
        current_visit().account_id = spender.account_id
        return spender

    def knows(self, authorization: str | None) -> bool:
        """Tell whether the header opens an account that was opened here before."""
        try:
            secret = credential(authorization)
        except DoorError:
            return False
        return sha256(secret.encode()).digest() in self._known

    def is_new(self, authorization: str | None) -> bool:
        """Tell whether the header shows a token that would be deposited."""
        secret = credential(authorization)
        if not secret.lower().startswith(TOKEN_PREFIX):
            return False
        return sha256(secret.encode()).digest() not in self._known

    def deposited(self, text: object) -> tuple[UUID, int]:
        """Return a token's own account, and the msat that were credited to it."""
        if not isinstance(text, str) or not text.strip():
            raise NoTokenError("token")
        try:
            token = self._deposits.read(text.strip())
        except TokenRefusedError as error:
            raise UnreadableTokenError from error
        account_id = self._deposits.account_of(token)
        current_visit().account_id = account_id
        return account_id, self._deposits.deposit(token, account_id).credited_msat

    def _looked_up(self, secret: str) -> Spender:
        if secret.startswith(KEY_PREFIX):
            return self._holder(account_of_key(secret))
        if not secret.lower().startswith(TOKEN_PREFIX):
            raise UnknownKeyError
        token = self._deposits.read(secret)
        account_id = self._deposits.account_of(token)
        if self._account(account_id) is None:
            bind = self._wanted()
            self._deposits.deposit(token, account_id)
            bind(Spender(account_id))
        return self._holder(account_id)

    def _holder(self, key_id: UUID) -> Spender:
        account = self._account(key_id)
        if account is not None:
            return Spender(key_id, key_id if account.keyed else None)
        row = self._key(key_id)
        if row is None or row.parent_id is None:
            raise UnknownKeyError
        return Spender(row.parent_id, key_id)

    def _remember(self, digest: bytes, spender: Spender) -> None:
        self._known[digest] = spender
        if len(self._known) > self._known_max:
            self._known.popitem(last=False)


def ticket_shown() -> str | None:
    """Return the token in the current request's X-Cashu header, if there is one (NUT-24)."""
    return (current_visit().header("x-cashu") or "").strip() or None


def key_shown() -> str | None:
    """Return the current request's Authorization, or what Anthropic's clients send for it."""
    visit = current_visit()
    authorization, key = visit.header("authorization"), visit.header("x-api-key")
    return f"Bearer {key}" if authorization is None and key is not None else authorization


def credential(authorization: str | None) -> str:
    """Return what an Authorization header carries (RFC 6750).

    Raises `NoCredentialsError`, `NotBearerError`, `EmptyBearerError`.

    >>> credential("Bearer sk-1")
    'sk-1'
    """
    if authorization is None:
        raise NoCredentialsError
    scheme, _, secret = authorization.strip().partition(" ")
    if scheme.lower() != "bearer":
        raise NotBearerError
    if not secret.strip():
        raise EmptyBearerError
    return secret.strip()
