from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from domain.deposit import Credited, Plan, Received, Refuse, Replan
from domain.event import Entry
from domain.guards import HoldRow
from domain.hold import Charge, Charged, Held, Hold, Metered, Release, Terms
from domain.identity import prices_of_version
from domain.prices import AdoptPrices
from domain.rate import ObserveRate
from domain.refund import Cancel, Collect, Issue, Issued, Redraft, Redrafted, Start, Started
from projections.audit import RATES_MAX, Auditor, rate_of
from tests.domain.given import (
    ALICE,
    AT,
    BOB,
    KEYSET,
    MINT,
    PURSE,
    TERMS,
    USAGE,
    claim,
    credited,
    fold,
    hold,
    made,
    name,
    received,
    signed,
)

if TYPE_CHECKING:
    from domain.command import Command

PRICES: dict[str, object] = {
    "models": [
        {
            "id": "gpt-x",
            "currency": "usd",
            "prompt": "1/1000000",
            "completion": "2/1000000",
        }
    ],
    "aliases": {},
    "flat": None,
}
COST_MSAT = 40
"""10 tokens read and 5 written at the prices above, one dollar being 2,000,000 msat."""

DEPOSIT, TRIED, HOLD, FREED, REFUND, UNDONE = (name(n) for n in (100, 101, 200, 201, 300, 301))
OTHER_KEYSET = "00ffffffffffffff"


def story() -> list[Entry]:
    """One movement of every kind, each going every way it can."""
    told: list[Entry] = []

    def then(command: Command) -> Entry:
        told.append(made(command, fold(*told), *told))
        return told[-1]

    then(AdoptPrices(prices_of_version("p1"), "p1", PRICES))
    then(ObserveRate(name(400), "50000", ("a",)))
    told.append(received(DEPOSIT, sat=103, fee_sat=3))
    told.append(credited(told[-1]))
    told.append(received(TRIED, sat=8, counter_from=3))
    intent = told[-1].event
    assert isinstance(intent, Received)
    then(Replan(TRIED, 1, intent.claim, KEYSET, (8,)))
    then(Refuse(TRIED, 2, intent, 0, "down", final=False))
    then(Replan(TRIED, 3, intent.claim, KEYSET, (8,)))
    then(Refuse(TRIED, 4, intent, 11001, "spent", final=True))
    then(hold(HOLD, 30_000))
    then(Charge(HOLD, ALICE, COST_MSAT, TERMS, USAGE))
    then(hold(FREED, 20_000))
    then(Release(FREED, ALICE, "no answer"))
    begun = then(Start(REFUND, ALICE, PURSE, 50_000))
    assert isinstance(begun.event, Started)
    redrafted = then(Redraft(REFUND, 1, begun.event.draft, OTHER_KEYSET))
    assert isinstance(redrafted.event, Redrafted)
    draft = redrafted.event.draft
    issued = then(Issue(REFUND, 2, draft, signed(draft.plan)))
    assert isinstance(issued.event, Issued)
    then(Collect(REFUND, 3, issued.event))
    undone = then(Start(UNDONE, ALICE, PURSE, 10_000))
    assert isinstance(undone.event, Started)
    then(Cancel(UNDONE, 1, undone.event.draft, "refused"))
    return told


STORY = story()


def place_of(topic: str) -> int:
    """Where the first event of a kind stands in the story."""
    return next(n for n, entry in enumerate(STORY) if topic == entry.event.TOPIC)


def read(entries: list[Entry]) -> str | None:
    return Auditor().read(enumerate(entries, 1))


def changed(topic: str, **fields: Any) -> list[Entry]:
    """The story with the first event of a kind falsified."""
    place = place_of(topic)
    stream, version, event = STORY[place]
    false = Entry(stream, version, msgspec.structs.replace(event, **fields))
    return [*STORY[:place], false, *STORY[place + 1 :]]


def redrawn(topic: str, **fields: Any) -> list[Entry]:
    """The story with the draft of a refund's event falsified."""
    event: Any = STORY[place_of(topic)].event
    return changed(topic, draft=msgspec.structs.replace(event.draft, **fields))


def moved(topic: str, version: int) -> list[Entry]:
    """The story with an event at another version."""
    place = place_of(topic)
    return [*STORY[:place], STORY[place]._replace(version=version), *STORY[place + 1 :]]


def test_a_true_story_is_believed() -> None:
    auditor = Auditor()

    assert auditor.read(enumerate(STORY, 1)) is None
    assert auditor.books.total_msat == 0
    assert list(auditor.books.differences(auditor.rows)) == []


def test_a_charge_is_what_its_price_list_says() -> None:
    charged = STORY[place_of("hold.charged")].event

    assert isinstance(charged, Charged)
    assert charged.cost_msat == COST_MSAT


AMOUNTS = {
    "held": ("hold.held", {"amount_msat": 30_001}, "another amount"),
    "negative hold": ("hold.held", {"amount_msat": -1}, "holds less than 0"),
    "more than there is": ("hold.held", {"amount_msat": 10**9}, "would have"),
    "another account's end": ("hold.charged", {"account_id": BOB}, "another account's hold"),
    "charged": ("hold.charged", {"cost_msat": 41}, "do not add up"),
    "charged and taken": (
        "hold.charged",
        {"cost_msat": 41, "from_hold_msat": 41},
        "the price list says 40 msat",
    ),
    "more than was held": (
        "hold.charged",
        {"from_hold_msat": 30_001, "shortfall_msat": COST_MSAT - 30_001},
        "more than was held",
    ),
    "less than nothing": (
        "hold.charged",
        {"from_hold_msat": 50, "shortfall_msat": COST_MSAT - 50},
        "less than 0",
    ),
    "rate": ("hold.charged", {"terms": msgspec.structs.replace(TERMS, btc_usd="x")}, "rate"),
    "usage": (
        "hold.charged",
        {"usage": Metered(prompt_tokens=1, cached_tokens=2)},
        "usage",
    ),
    "released": ("hold.released", {"held_msat": 20_001}, "another amount"),
    "credited": ("deposit.credited", {"credited_msat": 100_001}, "than came in"),
    "face": ("deposit.credited", {"face_msat": 104_000}, "another token"),
    "credited to": ("deposit.credited", {"account_id": BOB}, "another token"),
    "fee and credit": (
        "deposit.credited",
        {"credited_msat": 101_000, "fee_msat": 2_000},
        "no proof is worth",
    ),
    "unit": ("deposit.credited", {"unit": "eur"}, "counted in eur"),
    "proofs": ("deposit.credited", {"proofs": ()}, "no proof is worth"),
    "token": ("refund.collected", {"token_msat": 50_001}, "another amount"),
    "collected": ("refund.collected", {"proofs": ()}, "another amount"),
    "signed": ("refund.issued", {"proofs": ()}, "other amounts"),
}
"""Which event is falsified, how, and what the auditor says."""


@pytest.mark.parametrize(("topic", "fields", "says"), AMOUNTS.values(), ids=AMOUNTS)
def test_a_false_amount_is_found(topic: str, fields: dict[str, Any], says: str) -> None:
    found = read(changed(topic, **fields))

    assert found is not None
    assert says in found
    assert found.startswith("position ")


DRAFTS = {
    "taken": ("refund.started", {"taken_msat": 51_000}, "than it gives"),
    "fee": (
        "refund.started",
        {"taken_msat": 51_000, "fee_msat": 1_000},
        "makes more than it spends",
    ),
    "token": (
        "refund.started",
        {"taken_msat": 51_000, "token_msat": 51_000},
        "another amount",
    ),
    "count": ("refund.started", {"send_count": 1}, "another amount"),
    "inputs": ("refund.started", {"inputs": ()}, "more than it spends"),
    "mint": ("refund.started", {"mint": "https://other.example"}, "not there"),
    "redrafted": ("refund.redrafted", {"taken_msat": 1}, "changes what is refunded"),
    "redrafted for": ("refund.redrafted", {"account_id": BOB}, "changes what is refunded"),
    "issued": ("refund.issued", {"token_msat": 1}, "another refund"),
    "cancelled": ("refund.cancelled", {"taken_msat": 20_000}, "another refund"),
}


@pytest.mark.parametrize(("topic", "fields", "says"), DRAFTS.values(), ids=DRAFTS)
def test_a_false_draft_is_found(topic: str, fields: dict[str, Any], says: str) -> None:
    found = read(redrawn(topic, **fields))

    assert found is not None
    assert says in found


def test_other_outputs_than_were_asked_for_are_found() -> None:
    event = STORY[place_of("refund.redrafted")].event
    assert isinstance(event, Redrafted)
    plan = Plan(keyset_id=OTHER_KEYSET, counter_from=0, amounts=(50,))

    assert "changes what" in (read(redrawn("refund.redrafted", plan=plan)) or "")


def test_a_fee_below_nothing_is_found() -> None:
    more = signed(Plan(keyset_id=KEYSET, counter_from=0, amounts=(8, 32, 64)))
    false = changed("deposit.credited", proofs=more, credited_msat=104_000, fee_msat=-1_000)
    plan = Plan(keyset_id=KEYSET, counter_from=0, amounts=(2, 16, 32, 16))
    paid = redrawn(
        "refund.started", taken_msat=48_000, fee_msat=-2_000, plan=plan, send_count=3
    )

    assert "fee of less than 0" in (read(false) or "")
    assert "fee of less than 0" in (read(paid) or "")


@pytest.mark.parametrize(
    ("fields", "says"),
    [({"amount": 63}, "another amount"), ({"counter": 99}, "not there")],
)
def test_a_false_input_is_found(fields: dict[str, int], says: str) -> None:
    event = STORY[place_of("refund.started")].event
    assert isinstance(event, Started)
    inputs = tuple(msgspec.structs.replace(spent, **fields) for spent in event.draft.inputs)

    assert says in (read(redrawn("refund.started", inputs=inputs)) or "")


def test_a_proof_that_is_spent_twice_is_found() -> None:
    place = place_of("refund.started")
    stolen = STORY[place]._replace(stream=name(399))

    found = read([*STORY[: place + 1], stolen])

    assert "spends a proof that is reserved" in (found or "")


@pytest.mark.parametrize(
    ("topic", "version", "says"),
    [
        ("hold.held", 2, "begins with version 2"),
        ("hold.charged", 3, "not open"),
        ("deposit.received", 2, "begins with version 2"),
        ("deposit.credited", 3, "is version 3 after 1"),
        ("refund.issued", 4, "is version 4 after 2"),
    ],
)
def test_an_event_out_of_its_place_is_found(topic: str, version: int, says: str) -> None:
    assert says in (read(moved(topic, version)) or "")


@pytest.mark.parametrize(
    ("topic", "version", "says"),
    [
        ("hold.charged", 3, "not open"),
        ("deposit.credited", 3, "follows nothing"),
        ("deposit.refused", 6, "follows nothing"),
        ("deposit.replanned", 6, "follows nothing"),
        ("refund.issued", 5, "follows nothing"),
        ("refund.cancelled", 3, "follows nothing"),
        ("refund.collected", 5, "follows nothing"),
    ],
)
def test_a_second_end_is_found(topic: str, version: int, says: str) -> None:
    second = STORY[place_of(topic)]._replace(version=version)

    found = read([*STORY, second])

    assert says in (found or "")


def test_a_credit_cannot_be_begun_anew() -> None:
    place = place_of("deposit.credited")
    intent = claim(face_sat=103, fee_sat=3)
    plan = Plan(keyset_id=KEYSET, counter_from=50, amounts=(4, 32, 64))
    again = made(Replan(DEPOSIT, 2, intent, KEYSET, plan.amounts), fold(*STORY[: place + 1]))

    assert "follows nothing" in (read([*STORY[: place + 1], again]) or "")


@pytest.mark.parametrize("topic", ["hold.held", "deposit.received", "refund.started"])
def test_an_event_that_is_missing_is_found(topic: str) -> None:
    place = place_of(topic)

    found = read([*STORY[:place], *STORY[place + 1 :]])

    assert found is not None
    assert str(STORY[place].stream) in found


def test_a_price_list_that_is_damaged_is_found() -> None:
    assert "damaged" in (read(changed("prices.adopted", document={})) or "")


def test_an_estimate_and_an_unknown_list_are_taken_at_their_word() -> None:
    guess = Metered(prompt_tokens=10, completion_tokens=5, estimated=True)
    elsewhere = Terms(model="gpt-x", route="main", price_version="p0")
    parts = {"cost_msat": 41, "from_hold_msat": 41}

    assert read(changed("hold.charged", usage=guess, **parts)) is None
    assert read(changed("hold.charged", terms=elsewhere, **parts)) is None


def test_a_flat_price_names_no_rate() -> None:
    assert rate_of("") is None


def test_the_signer_of_a_deposit_may_be_an_earlier_plan() -> None:
    begun = received(DEPOSIT)
    other = Replan(DEPOSIT, 1, claim(), OTHER_KEYSET, (4, 32, 64))
    replanned = made(other, fold(begun), begun)
    plan = begun.event.plan if isinstance(begun.event, Received) else None
    assert plan is not None
    end = Credited(
        at=AT,
        account_id=ALICE,
        mint=MINT,
        unit="sat",
        face_msat=100_000,
        fee_msat=0,
        credited_msat=100_000,
        proofs=signed(plan),
    )

    assert read([begun, replanned, Entry(DEPOSIT, 3, end)]) is None


def test_what_is_found_says_where() -> None:
    found = read(
        [Entry(HOLD, 1, Held(at=AT, account_id=ALICE, amount_msat=5, owner="w", terms=TERMS))]
    )

    assert found == (
        f"position 1, hold.held of {HOLD}: account {ALICE} would have -5 msat available"
        " and 5 msat held"
    )


def test_many_rates_are_each_taken_for_what_they_are() -> None:
    told: list[Entry] = []
    for number in range(RATES_MAX + 2):
        terms = msgspec.structs.replace(TERMS, btc_usd=str(50_000 + number))
        command = Hold(name(500 + number), ALICE, 0, "w", terms)
        held = made(command, fold(*STORY))
        charge = Charge(command.stream, ALICE, 0, terms, Metered())
        rows = fold(*STORY)
        rows.holds.put(command.stream, HoldRow(ALICE, 0, "w", AT))
        told += [held, made(charge, rows, held)]

    assert read([*STORY, *told, *again(told[0], told[1])]) is None


def again(*movement: Entry) -> list[Entry]:
    """The same movement once more under another name."""
    return [entry._replace(stream=name(499)) for entry in movement]
