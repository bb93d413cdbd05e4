"""Knows the keysets of one mint, and believes of them only what their ids prove (NUT-02)."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from app.gateways.mint import crypto
from app.gateways.mint.errors import (
    KeysetAmbiguousError,
    KeysetForgedError,
    KeysetUnknownError,
)
from app.gateways.mint.tokens import SHORT_ID_CHARS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from app.gateways.mint.client import MintClient
    from app.gateways.mint.tokens import Proof
    from app.gateways.mint.wire import Keys, KeysetInfo

FRESH_FOR_S = 600.0
# Anybody may show us a token of an unknown keyset; they shall not make us ask the mint as
# often as they like.
REFRESH_PAUSE_S = 5.0
PPK = 1_000


@dataclass(frozen=True, slots=True)
class Keyset:
    """A keyset whose id was worked out again from its keys; `keys` is amount to point."""

    id: str
    unit: str
    fee_ppk: int
    keys: Mapping[int, str] = field(repr=False)
    active: bool
    final_expiry: int | None = None

    def key(self, amount: int) -> str:
        """Return the mint's key for one amount, or raise `KeysetUnknownError`."""
        if amount not in self.keys:
            message = f"{self.id} with a key for {amount}"
            raise KeysetUnknownError(message)
        return self.keys[amount]


@dataclass(frozen=True, slots=True)
class _Listing:
    """What the mint listed at one moment, and of it what was checked since."""

    at: float
    infos: Mapping[str, KeysetInfo]
    checked: dict[str, Keyset]


class KeysetOwners:
    """Remembers which mint each keyset id belongs to, over all mints of the house.

    A mint may copy another's keys and with them the id. Who came first keeps it: nothing of
    the copy is to be taken for the original.
    """

    def __init__(self) -> None:
        self._urls: dict[str, str] = {}

    def claim(self, keyset_id: str, mint: str) -> None:
        """Raise `KeysetForgedError` if the id is known from another mint."""
        if self._urls.setdefault(keyset_id, mint) != mint:
            raise KeysetForgedError(keyset_id)


class KeysetBook:
    """The keysets of the mint behind `client`, asked for again when they are old.

    Every method may raise what `MintClient` raises, and a `KeysetError`: in both cases
    nothing was done to any money. Several greenlets may share one book.
    """

    def __init__(
        self,
        client: MintClient,
        owners: KeysetOwners | None = None,
        *,
        fresh_for_s: float = FRESH_FOR_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._owners = owners or KeysetOwners()
        self._fresh_for_s = fresh_for_s
        self._clock = clock
        self._keys: dict[str, Keys] = {}
        self._listing: _Listing | None = None

    def refresh(self) -> None:
        """Ask the mint for its list of keysets now; keys once fetched are kept."""
        self._listed(older_than_s=0.0)

    def active(self, unit: str) -> Keyset:
        """Return the keyset to make new ecash of: the active one with the lowest fee."""
        listing = self._listed(self._fresh_for_s)
        active = [info for info in listing.infos.values() if info.active and info.unit == unit]
        if not active:
            message = f"active for {unit}"
            raise KeysetUnknownError(message)
        cheapest = min(active, key=lambda info: (info.fee_ppk, info.id))
        return self._checked(listing, cheapest.id)

    def in_use(self, unit: str) -> list[str]:
        """Return the ids of all active keysets of `unit`, whatever their fees."""
        infos = self._listed(self._fresh_for_s).infos.values()
        return [info.id for info in infos if info.active and info.unit == unit]

    def find(self, keyset_id: str) -> Keyset:
        """Return a keyset, active or not, by its id or by the short id of a token (NUT-00).

        One that is known is found without asking the mint.
        """
        listing = self._listed(None)
        found = _matches(keyset_id, listing)
        if not found:
            listing = self._listed(REFRESH_PAUSE_S)
            found = _matches(keyset_id, listing)
        if not found:
            raise KeysetUnknownError(keyset_id)
        if len(found) > 1:
            raise KeysetAmbiguousError(keyset_id)
        return self._checked(listing, found[0])

    def fees(self, unit: str, held: Iterable[str] = ()) -> dict[str, int]:
        """Return the fee of every keyset of `unit`, by its id, in parts per thousand.

        The list is asked for anew if it lacks one that is `held`: proofs of it are ours, by
        another process that has heard of it.
        """
        listing = self._listed(self._fresh_for_s)
        if not listing.infos.keys() >= {*held}:
            listing = self._listed(REFRESH_PAUSE_S)
        infos = listing.infos.values()
        return {info.id: info.fee_ppk for info in infos if info.unit == unit}

    def fee_for(self, inputs: Iterable[Proof]) -> int:
        """Return what the mint takes for spending these in one transaction, in their unit."""
        self._listed(self._fresh_for_s)
        return -(-sum(self.find(proof.keyset_id).fee_ppk for proof in inputs) // PPK)

    def _listed(self, older_than_s: float | None) -> _Listing:
        """Return the list, asked for anew if it is that old; None takes any there is."""
        listing, now = self._listing, self._clock()
        if listing is not None and (older_than_s is None or now - listing.at < older_than_s):
            return listing
        infos = {info.id: info for info in self._client.keysets()}
        self._listing = _Listing(now, infos, {})
        return self._listing

    def _checked(self, listing: _Listing, keyset_id: str) -> Keyset:
        if keyset_id not in listing.checked:
            listing.checked[keyset_id] = self._check(listing.infos[keyset_id])
        return listing.checked[keyset_id]

    def _check(self, info: KeysetInfo) -> Keyset:
        """Work the id out again from the keys; raise `KeysetForgedError` if it is another."""
        keys = self._keys.get(info.id) or self._client.keys(info.id)
        of_keyset = (info.unit, info.fee_ppk, info.final_expiry)
        if not crypto.keyset_id_is_genuine(info.id, keys.by_amount, *of_keyset):
            raise KeysetForgedError(info.id)
        self._owners.claim(info.id, self._client.url)
        self._keys[info.id] = keys
        return Keyset(
            id=info.id,
            unit=info.unit,
            fee_ppk=info.fee_ppk,
            keys=keys.by_amount,
            active=info.active,
            final_expiry=info.final_expiry,
        )


def _matches(keyset_id: str, listing: _Listing) -> list[str]:
    is_short = keyset_id.startswith(crypto.KEYSET_V2) and len(keyset_id) == SHORT_ID_CHARS
    if not is_short:
        return [keyset_id] if keyset_id in listing.infos else []
    return [known for known in listing.infos if known.startswith(keyset_id)]


def split(amount: int) -> tuple[int, ...]:
    """Return the powers of two that make up `amount`, ascending (NUT-03).

    >>> split(13)
    (1, 4, 8)
    """
    if amount < 0:
        message = "only what is there can be split"
        raise ValueError(message)
    return tuple(1 << bit for bit in range(amount.bit_length()) if amount >> bit & 1)
