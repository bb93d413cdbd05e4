"""Opens the counter at which tokens are taken, with every way there is for them."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from app.cashier.batch import Batches
from app.cashier.deposit import Deposits
from app.cashier.foreign import ForeignTokens
from app.cashier.foreign_quote import ForeignLimits, ForeignQuotes
from app.cashier.instant import InstantTokens
from app.gateways.mint.foreign import ForeignMints
from app.gateways.mint.opener import Opener
from app.gateways.mint.seal import Sealer
from domain.msat import Msat

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from uuid import UUID

    from app.cashier.batch import Books
    from app.gateways.guarded import Guard
    from app.gateways.mint.crypto import Seed
    from app.gateways.mint.mints import Mints
    from domain.event import Entry
    from domain.ledger import Ledger

SEAL, LOCK = b"sealed proofs", b"locks"
ZERO = Msat(0)
FOREIGN_ATTEMPTS_MAX = 3


@dataclass(frozen=True, slots=True)
class Taking:
    """What the operator has decided about tokens; `foreign_urls` None is any mint."""

    foreign_urls: tuple[str, ...] | None
    foreign_fee_max_percent: int
    foreign_max: Msat
    timeout_s: float
    instant_max: Msat = ZERO


def open_deposits(
    ledger: Ledger,
    mints: Mints,
    seed: Seed,
    history: Callable[[UUID], list[Entry]],
    taking: Taking,
    guard: Guard,
    pause: Callable[[float], None] = time.sleep,
    *,
    find_dead: Callable[[Sequence[str]], int | None],
) -> Deposits:
    """Build what takes tokens in; `guard` decides where a foreign mint may be."""
    sealer = Sealer(seed.subkey(SEAL))
    limits = ForeignLimits(
        taking.foreign_fee_max_percent, taking.foreign_max, FOREIGN_ATTEMPTS_MAX
    )
    foreign = ForeignTokens(
        ledger,
        mints,
        ForeignMints(taking.foreign_urls, guard, seed, timeout_s=taking.timeout_s),
        ForeignQuotes(mints, sealer, partial(quote_key, seed), limits),
        sealer,
        history,
        pause,
    )
    opener = opener_of(seed)
    instant = InstantTokens(ledger, mints, sealer, history, opener, taking.instant_max)
    return Deposits(
        ledger, mints, sealer, history, pause, [instant, foreign], find_dead, opener
    )


def open_batches(
    ledger: Ledger,
    mints: Mints,
    seed: Seed,
    books: Books,
    pause: Callable[[float], None] = time.sleep,
) -> Batches:
    """Build what swaps the locked tokens that were credited at once."""
    sealer = Sealer(seed.subkey(SEAL))
    return Batches(ledger, mints, sealer, books, opener_of(seed), pause)


def opener_of(seed: Seed) -> Opener:
    """Return the key that tokens can be locked to; its public half is for everybody."""
    return Opener(seed.subkey(LOCK))


def quote_key(seed: Seed, movement: UUID) -> bytes:
    """Return the private key that the mint quote of a movement is locked to (NUT-20)."""
    return seed.subkey(b"quote:" + movement.bytes)
