from __future__ import annotations

import pytest

from domain.allowance import Rules
from domain.deposit import Plan, Refused, Replanned
from domain.donation import Donated
from domain.event import Event
from domain.hold import Charged, Held, Released
from domain.invoice import Bill, InvoiceCredited, InvoiceLapsed, InvoiceOpened, InvoicePlanned
from domain.key import KeyMade, KeyReset, KeySet
from domain.keyset import KeysetAdvanced
from domain.lost import ProofsLost
from domain.posting import (
    DONATED,
    EARNED,
    FEES_MINT,
    KINDS,
    LOST,
    REFUNDS_IN_FLIGHT,
    SHORTFALL,
    TOKENS_OUTSTANDING,
    Posting,
    available,
    held,
    mint,
    postings,
)
from domain.prices import PricesAdopted
from domain.purse import Spent
from domain.rate import RateObserved
from domain.reclaim import Recalled, SweepStarted, Swept
from domain.refund import Cancelled, Collected, Draft, Issued, Redrafted, Started
from domain.swap import ROTATION, SelfSwap, SwapDone, SwapRedrafted, SwapStarted
from tests.domain.given import (
    ALICE,
    AT,
    KEYSET,
    MINT,
    TERMS,
    USAGE,
    claim,
    credited,
    deposited,
    received,
)

FREE, HELD, BANK = available(ALICE), held(ALICE), mint(MINT)
DRAFT = Draft(
    account_id=ALICE,
    mint=MINT,
    unit="sat",
    taken_msat=50_000,
    token_msat=49_000,
    fee_msat=1_000,
    inputs=(),
    plan=Plan(keyset_id=KEYSET, counter_from=0, amounts=()),
    send_count=0,
)
PROOFS = tuple(Spent(keyset_id=KEYSET, counter=n, amount=1 << n) for n in range(4))
SWAP = SelfSwap(mint=MINT, unit="sat", inputs=PROOFS[1:], plan=DRAFT.plan, fee_msat=1_000)
ADVANCED = KeysetAdvanced(
    at=AT,
    mint=MINT,
    unit="sat",
    keyset_id=KEYSET,
    counter_from=0,
    counter_to=3,
    signed_count=2,
    unspent_msat=5_000,
)
BILL = Bill(
    account_id=ALICE,
    mint=MINT,
    unit="sat",
    amount=21,
    quote="q",
    request="lnbc",
    purpose="create",
    expires_at=AT,
)


def charged(cost_msat: int, from_hold: int, from_available: int = 0, short: int = 0) -> Charged:
    return Charged(
        at=AT,
        account_id=ALICE,
        held_msat=60,
        cost_msat=cost_msat,
        from_hold_msat=from_hold,
        from_available_msat=from_available,
        shortfall_msat=short,
        terms=TERMS,
        usage=USAGE,
    )


MOVES: list[tuple[Event, list[Posting]]] = [
    (
        Held(at=AT, account_id=ALICE, amount_msat=60, owner="w", terms=TERMS),
        [Posting(FREE, HELD, 60)],
    ),
    (charged(20, 20), [Posting(HELD, EARNED, 20), Posting(HELD, FREE, 40)]),
    (charged(60, 60), [Posting(HELD, EARNED, 60)]),
    (charged(0, 0), [Posting(HELD, FREE, 60)]),
    (
        charged(100, 60, 30, 10),
        [Posting(HELD, EARNED, 60), Posting(FREE, EARNED, 30), Posting(SHORTFALL, EARNED, 10)],
    ),
    (
        Released(at=AT, account_id=ALICE, held_msat=60, reason="no"),
        [Posting(HELD, FREE, 60)],
    ),
    (received().event, []),
    (Replanned(at=AT, claim=claim(), plan=DRAFT.plan), []),
    (deposited()[1].event, [Posting(BANK, FREE, 100_000)]),
    (Refused(at=AT, account_id=ALICE, mint=MINT, code=0, reason="", final=False), []),
    (Started(at=AT, draft=DRAFT), [Posting(FREE, REFUNDS_IN_FLIGHT, 50_000)]),
    (Redrafted(at=AT, draft=DRAFT), []),
    (
        Issued(at=AT, draft=DRAFT, proofs=()),
        [
            Posting(REFUNDS_IN_FLIGHT, TOKENS_OUTSTANDING, 49_000),
            Posting(REFUNDS_IN_FLIGHT, BANK, 1_000),
        ],
    ),
    (
        Cancelled(at=AT, draft=DRAFT, reason="no"),
        [Posting(REFUNDS_IN_FLIGHT, FREE, 50_000)],
    ),
    (
        Collected(at=AT, account_id=ALICE, mint=MINT, token_msat=49_000, proofs=()),
        [Posting(TOKENS_OUTSTANDING, BANK, 49_000)],
    ),
    (
        Cancelled(at=AT, draft=DRAFT, reason="no", fee_msat=1_000),
        [Posting(REFUNDS_IN_FLIGHT, FREE, 50_000), Posting(FEES_MINT, BANK, 1_000)],
    ),
    (Recalled(at=AT, draft=DRAFT, swap=SWAP, reason="no"), []),
    (SweepStarted(at=AT, account_id=ALICE, token=PROOFS, swap=SWAP), []),
    (
        Swept(at=AT, account_id=ALICE, token=PROOFS, swap=SWAP, proofs=()),
        [
            Posting(TOKENS_OUTSTANDING, FREE, 14_000),
            Posting(FREE, BANK, 1_000),
            Posting(TOKENS_OUTSTANDING, BANK, 1_000),
        ],
    ),
    (SwapStarted(at=AT, swap=SWAP, purpose=ROTATION), []),
    (SwapRedrafted(at=AT, swap=SWAP), []),
    (SwapDone(at=AT, swap=SWAP, proofs=()), [Posting(FEES_MINT, BANK, 1_000)]),
    (ADVANCED, []),
    (
        ProofsLost(at=AT, mint=MINT, unit="sat", proofs=PROOFS),
        [Posting(LOST, BANK, 15_000)],
    ),
    (InvoiceOpened(at=AT, bill=BILL), []),
    (InvoicePlanned(at=AT, bill=BILL, plan=DRAFT.plan), []),
    (
        InvoiceCredited(
            at=AT, account_id=ALICE, mint=MINT, unit="sat", credited_msat=21_000, proofs=()
        ),
        [Posting(BANK, FREE, 21_000)],
    ),
    (InvoiceLapsed(at=AT, account_id=ALICE, mint=MINT), []),
    (KeyMade(at=AT, parent_id=ALICE, salt=ALICE, rules=Rules()), []),
    (KeySet(at=AT, by=ALICE, rules=Rules()), []),
    (KeyReset(at=AT, by=ALICE), []),
    (Donated(at=AT, account_id=ALICE, amount_msat=5), [Posting(FREE, DONATED, 5)]),
    (RateObserved(at=AT, btc_usd="1", sources=()), []),
    (PricesAdopted(at=AT, version="p1", document={}), []),
]


@pytest.mark.parametrize(
    ("event", "arrows"),
    MOVES,
    ids=[f"{place}-{event.TOPIC}" for place, (event, _arrows) in enumerate(MOVES)],
)
def test_money_goes_from_here_to_there(event: Event, arrows: list[Posting]) -> None:
    assert postings(event) == arrows
    assert all(arrow.amount_msat > 0 for arrow in arrows)


def test_no_kind_of_event_is_left_out() -> None:
    assert set(_all_kinds(Event)) == set(KINDS)


def test_the_fee_of_the_mint_is_a_posting_of_its_own() -> None:
    end = credited(received(sat=100, fee_sat=3))

    assert postings(end.event) == [Posting(BANK, FREE, 100_000), Posting(FREE, BANK, 3_000)]


def _all_kinds(kind: type[Event]) -> list[type[Event]]:
    """Return every kind that is stored: the others only say what several have in common."""
    below = [each for each in kind.__subclasses__() if each.__module__.startswith("domain.")]
    stored = [each for each in below if each.TOPIC]
    return stored + [found for each in below for found in _all_kinds(each)]
