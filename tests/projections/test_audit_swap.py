"""What the auditor says of proofs that are taken back or swapped for others of ours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from domain.deposit import Plan
from domain.event import Entry
from domain.purse import Purse
from domain.reclaim import Recall, Recalled, StartSweep, Sweep, SweepStarted, Swept
from domain.refund import Cancel, Collect, Issue, Issued, Start, Started
from domain.swap import FinishSwap, Order, RedraftSwap, StartSwap, SwapRedrafted, SwapStarted
from projections.audit import Auditor
from tests.domain.given import ALICE, BOB, KEYSET, MINT, credited, fold, made, name, received
from tests.domain.given import signed as signed_by_the_mint

if TYPE_CHECKING:
    from domain.command import Command

PURSE = Purse(MINT, "sat", KEYSET, {KEYSET: 100})
DEPOSIT, RECALLED, LATE, SWEPT, TAKEN, SWAP = (name(n) for n in (100, 300, 301, 302, 303, 500))
ORDER = Order(active=frozenset({KEYSET}), alike_max=1, fee_max=50)


def story() -> list[Entry]:
    """Refunds that are recalled, issued all the same, swept and collected; then a swap."""
    told: list[Entry] = []

    def then(command: Command) -> Any:
        told.append(made(command, fold(*told), *told))
        return told[-1].event

    told.append(received(DEPOSIT, sat=1000))
    told.append(credited(told[-1]))
    begun = then(Start(RECALLED, ALICE, PURSE, 50_000)).draft
    then(Recall(RECALLED, 1, begun, PURSE, "refused"))
    swap = then(Recall(RECALLED, 2, begun, PURSE, "refused")).swap
    back = signed_by_the_mint(swap.plan)
    then(Cancel(RECALLED, 3, begun, "refused", back, swap.fee_msat))
    late = then(Start(LATE, ALICE, PURSE, 60_000)).draft
    then(Recall(LATE, 1, late, PURSE, "refused"))
    then(Issue(LATE, 2, late, signed_by_the_mint(late.plan)))
    for stream, left in ((SWEPT, 2), (TAKEN, 9)):
        draft = then(Start(stream, ALICE, PURSE, 70_000)).draft
        token = then(Issue(stream, 1, draft, signed_by_the_mint(draft.plan))).token
        started = then(StartSweep(stream, 2, ALICE, token, token, PURSE))
        started = then(StartSweep(stream, 3, ALICE, token, token[-left:], PURSE))
        if stream == SWEPT:
            then(Sweep(stream, 4, started, signed_by_the_mint(started.swap.plan)))
    issued = next(entry.event for entry in told if entry[:2] == (TAKEN, 2))
    assert isinstance(issued, Issued)
    then(Collect(TAKEN, 4, issued))
    first = then(StartSwap(SWAP, PURSE, ORDER)).swap
    then(RedraftSwap(SWAP, 1, first, PURSE))
    then(FinishSwap(SWAP, 2, first, signed_by_the_mint(first.plan)))
    return told


STORY = story()


def place_of(topic: str) -> int:
    """Where the first event of a kind stands in the story."""
    return next(n for n, entry in enumerate(STORY) if topic == entry.event.TOPIC)


def read(entries: list[Entry]) -> str:
    return Auditor().read(enumerate(entries, 1)) or "all is well"


def changed(topic: str, **fields: Any) -> list[Entry]:
    """The story with the first event of a kind falsified."""
    place = place_of(topic)
    stream, version, event = STORY[place]
    false = Entry(stream, version, msgspec.structs.replace(event, **fields))
    return [*STORY[:place], false, *STORY[place + 1 :]]


def swapped(topic: str, **fields: Any) -> list[Entry]:
    """The story with the swap of an event falsified."""
    event: Any = STORY[place_of(topic)].event
    return changed(topic, swap=msgspec.structs.replace(event.swap, **fields))


def test_a_true_story_is_believed() -> None:
    auditor = Auditor()

    assert auditor.read(enumerate(STORY, 1)) is None
    assert auditor.books.total_msat == 0
    assert list(auditor.books.differences(auditor.rows)) == []
    kinds = {type(entry.event) for entry in STORY}
    assert {Recalled, SweepStarted, Swept, SwapStarted, SwapRedrafted} <= kinds


SWAPS = {
    "fee of a recall": ("refund.recalled", {"fee_msat": 2_000}, "more than it spends"),
    "inputs of a recall": ("refund.recalled", {"inputs": ()}, "takes back other proofs"),
    "fee of a sweep": ("refund.sweep_started", {"fee_msat": 0}, "more than it spends"),
    "end of a sweep": ("refund.swept", {"fee_msat": 0}, "another swap than was begun"),
    "inputs of a swap": ("swap.redrafted", {"inputs": ()}, "changes what is swapped"),
    "mint of a swap": ("swap.started", {"mint": "https://other.example"}, "not there"),
    "end of a swap": ("swap.done", {"fee_msat": 0}, "another swap than was begun"),
}


@pytest.mark.parametrize(("topic", "fields", "says"), SWAPS.values(), ids=SWAPS)
def test_a_false_swap_is_found(topic: str, fields: dict[str, Any], says: str) -> None:
    assert says in read(swapped(topic, **fields))


EVENTS = {
    "what was taken back": ("refund.cancelled", {"proofs": ()}, "took back another amount"),
    "fee of a cancelled one": ("refund.cancelled", {"fee_msat": 5}, "took back another"),
    "whose token": ("refund.sweep_started", {"account_id": BOB}, "another account's money"),
    "whose money": ("refund.swept", {"account_id": BOB}, "another account's money"),
    "part of a token": ("refund.sweep_started", {"token": ()}, "another amount than issued"),
    "proofs of a sweep": ("refund.swept", {"proofs": ()}, "signed for other amounts"),
    "proofs of a swap": ("swap.done", {"proofs": ()}, "signed for other amounts"),
}


@pytest.mark.parametrize(("topic", "fields", "says"), EVENTS.values(), ids=EVENTS)
def test_a_false_end_is_found(topic: str, fields: dict[str, Any], says: str) -> None:
    assert says in read(changed(topic, **fields))


def test_a_fee_below_nothing_is_found() -> None:
    event = STORY[place_of("swap.started")].event
    assert isinstance(event, SwapStarted)
    worth = sum(spent.amount for spent in event.swap.inputs)
    plan = Plan(keyset_id=KEYSET, counter_from=900, amounts=(worth + 1,))

    assert "fee of less than 0" in read(swapped("swap.started", fee_msat=-1_000, plan=plan))


def test_another_token_than_the_refunds_own_cannot_be_swept() -> None:
    place = place_of("refund.sweep_started")
    late = next(entry.event for entry in STORY if entry[:2] == (LATE, 3))
    event = STORY[place].event
    assert isinstance(late, Issued)
    assert isinstance(event, SweepStarted)
    swap = msgspec.structs.replace(event.swap, inputs=late.token)

    assert "another token" in read(changed("refund.sweep_started", token=late.token))
    assert "other proofs" in read(changed("refund.sweep_started", swap=swap))


def test_a_proof_that_is_not_free_cannot_be_swapped() -> None:
    place = place_of("swap.started")
    again = STORY[place]._replace(stream=name(501))

    assert "proof that is reserved" in read([*STORY[: place + 1], again])


def test_what_was_begun_is_what_is_ended() -> None:
    first = next(entry for entry in STORY if entry[:2] == (LATE, 1)).event
    assert isinstance(first, Started)

    assert "another refund" in read(changed("refund.recalled", draft=first.draft))
