"""The owner paid by hand: looked at first, then done, and never what is owed.

What is looked at commits nobody. When it is done, the ledger decides anew, in the transaction
that takes the money: who is owed more by then, goes before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

from app.cashier.errors import WithdrawalUnknownError
from app.gateways.mint.mints import UntrustedMintError
from domain.guards import FREE, GuardRows, ProofKey, ProofRow, ReconciledRow, Totals
from domain.identity import OWNER
from domain.msat import MSAT_PER_UNIT, Msat
from domain.payout import cover
from domain.purse import free_proofs
from domain.refund import Start, Started
from domain.solvency import payer, surplus_msat

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from uuid import UUID

    from app.cashier.payout import Payout, Payouts
    from app.cashier.refund import Refund, Refunds
    from app.gateways.mint.mints import Mints
    from app.gateways.mint.wallet import Wallet
    from domain.event import Entry
    from domain.purse import Purse

LIGHTNING, TOKEN = "lightning", "token"
NO_PROOFS: Mapping[ProofKey, ProofRow] = {}
WAYS = (LIGHTNING, TOKEN)


class Books(Protocol):
    """What is read of the store."""

    def history(self, stream: UUID) -> list[Entry]: ...

    def totals(self) -> Totals: ...

    def reconciled(self) -> dict[str, ReconciledRow]: ...

    def holdings(self, mint: str) -> tuple[int, dict[ProofKey, ProofRow]]: ...

    def now(self) -> datetime: ...


class Place(NamedTuple):
    """What a mint holds that is free, what is owed there, and what the owner could take.

    That is less than the difference when clients of other mints are owed more than these
    hold; and nothing anywhere while `unexplained_msat` is not 0 at one of them.
    """

    mint: str
    free_msat: int
    owed_msat: int
    surplus_msat: int
    unexplained_msat: int


class Wish(NamedTuple):
    """At most `most_msat`, fees included, out of a mint; to an `address` if by Lightning."""

    way: str
    mint: str
    most_msat: int
    address: str = ""


class Plan(NamedTuple):
    """What a wish comes to: `arrives_msat`, and at most so much for fees beside it."""

    wish: Wish
    arrives_msat: int
    reserve_msat: int
    fee_msat: int
    place: Place

    @property
    def taken_msat(self) -> int:
        return self.arrives_msat + self.reserve_msat + self.fee_msat

    @property
    def left_msat(self) -> int:
        """What the owner could still take there afterwards."""
        return self.place.surplus_msat - self.taken_msat


class Withdrawals:
    """Pays the owner over Lightning, or by a token that only its bearer can spend."""

    def __init__(self, payouts: Payouts, refunds: Refunds, mints: Mints, books: Books) -> None:
        self._payouts = payouts
        self._refunds = refunds
        self._mints = mints
        self._books = books

    def places(self) -> list[Place]:
        """Return how it stands at every mint that is trusted."""
        rows, known = self._rows(), self._books.reconciled()
        totals = rows.totals()
        return [
            Place(
                url,
                totals.free_msat.get(url, 0),
                totals.owed_msat.get(url, 0),
                max(surplus_msat(rows, url), 0),
                known[url].unexplained_msat if url in known else 0,
            )
            for url in self._mints.urls
        ]

    def plan(self, wish: Wish) -> Plan:
        """Look at what a wish would come to.

        Raises `OwnerMayNotDrawError`, `UnexplainedError`, `NothingToRefundError`,
        `PurseShortError`, `UntrustedMintError`, and what the gateways raise.
        """
        place = self._place(wish.mint)
        _, proofs = self._books.holdings(wish.mint)
        rows = self._rows(proofs)
        rows.reconciled.rows.update(self._books.reconciled())
        # Refused here as it would be when it is done.
        payer(rows, OWNER, wish.mint)
        if wish.way == TOKEN:
            return self._token_plan(wish, place, rows)
        purse, offer = self._payouts.look(wish.mint, wish.address, wish.most_msat)
        wanted = offer.amount + offer.fee_reserve
        fee = purse.fee(cover(free_proofs(rows, purse), wanted, purse))
        each_msat = purse.msat_per_unit
        return Plan(
            wish,
            arrives_msat=offer.amount * each_msat,
            reserve_msat=offer.fee_reserve * each_msat,
            fee_msat=fee * each_msat,
            place=place,
        )

    def pay(self, payout_id: UUID, wish: Wish, who: str) -> Payout:
        """Pay a wish over Lightning; asked again, the same payout is told.

        Raises what `Payouts.draw` raises.
        """
        return self._payouts.draw(payout_id, wish.mint, wish.address, wish.most_msat, who)

    def token(self, refund_id: UUID, wish: Wish, who: str) -> Refund:
        """Return a token for a wish; asked again, the same one until it is collected.

        Raises what `Refunds.draw` raises.
        """
        purse = self._purse(self._mints.get(wish.mint))
        return self._refunds.draw(refund_id, purse, Msat(wish.most_msat), who)

    def token_again(self, refund_id: UUID, who: str) -> Refund:
        """Return a token of the owner's that was not collected.

        Raises `WithdrawalUnknownError`, and what `Refunds.draw` raises.
        """
        history = self._books.history(refund_id)
        first = history[0].event if history else None
        if not isinstance(first, Started) or first.draft.account_id != OWNER:
            raise WithdrawalUnknownError
        wish = Wish(TOKEN, first.draft.mint, first.draft.taken_msat)
        return self.token(refund_id, wish, who)

    def _token_plan(self, wish: Wish, place: Place, rows: GuardRows) -> Plan:
        purse = self._purse(self._mints.get(wish.mint))
        most_msat = min(wish.most_msat, place.surplus_msat)
        command = Start(OWNER, OWNER, purse, most_msat)
        started = command.decide(rows, self._books.now()).event
        if not isinstance(started, Started):
            raise TypeError(started)
        draft = started.draft
        return Plan(wish, draft.token_msat, 0, draft.fee_msat, place)

    def _place(self, mint: str) -> Place:
        found = [place for place in self.places() if place.mint == mint]
        if not found:
            raise UntrustedMintError(f"No mint at {mint[:100]} is trusted here.")
        return found[0]

    def _purse(self, wallet: Wallet) -> Purse:
        """Return where most of a mint's free proofs are."""
        _, proofs = self._books.holdings(wallet.url)
        return wallet.purse(max(MSAT_PER_UNIT, key=lambda unit: _free_msat(proofs, unit)))

    def _rows(self, proofs: Mapping[ProofKey, ProofRow] = NO_PROOFS) -> GuardRows:
        rows = GuardRows()
        rows.proofs.rows.update(proofs)
        rows.see_totals(self._books.totals())
        return rows


def _free_msat(proofs: Mapping[ProofKey, ProofRow], unit: str) -> int:
    return sum(
        row.amount * MSAT_PER_UNIT[unit]
        for row in proofs.values()
        if row.unit == unit and row.state == FREE
    )
