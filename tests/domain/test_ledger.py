from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from domain.catalogue import Provider
from domain.deposit import Credited, Received, Refused, Replanned
from domain.errors import LedgerError, MovementEndedError
from domain.guards import GuardRows
from domain.identity import prices_of_version, setting_of
from domain.ledger import Ledger
from domain.msat import Msat
from domain.provider import ListModels, RemoveProvider, SetProvider
from domain.refund import Collected, Issued, Redrafted, Started
from domain.setting import ChangeSetting
from tests.domain.given import (
    ALICE,
    KEYSET,
    PURSE,
    TERMS,
    USAGE,
    answers,
    claim,
    deposited,
    name,
    signed,
)

if TYPE_CHECKING:
    from domain.command import Command
    from domain.event import Entry

DEPOSIT, HOLD, REFUND = name(100), name(200), name(300)


class Notebook:
    """A log on a single sheet of paper: what the ledger is told is decided and kept."""

    def __init__(self) -> None:
        self.rows = GuardRows()
        self.entries: list[Entry] = []

    def record(self, command: Command) -> Entry:
        (answer,) = answers([command], self.rows, self.entries)
        if isinstance(answer, LedgerError):
            raise answer
        assert answer is not None
        if answer not in self.entries:
            self.entries.append(answer)
        return answer


@pytest.fixture
def notebook() -> Notebook:
    return Notebook()


@pytest.fixture
def ledger(notebook: Notebook) -> Ledger:
    return Ledger(notebook.record, "worker-1")


def deposit(ledger: Ledger, stream_number: int = 100) -> Credited:
    entry = ledger.receive_token(name(stream_number), claim(), KEYSET, (4, 32, 64))
    assert isinstance(entry.event, Received)
    return ledger.credit_deposit(entry, signed(entry.event.plan))


def test_a_request_is_held_for_and_charged(ledger: Ledger, notebook: Notebook) -> None:
    deposit(ledger)

    held = ledger.hold(HOLD, ALICE, Msat(60_000), TERMS)
    charged = ledger.charge(HOLD, ALICE, Msat(7), TERMS, USAGE)

    assert held.owner == ledger.owner == "worker-1"
    assert charged.cost_msat == 7
    assert [entry.event for entry in notebook.entries[-2:]] == [held, charged]


def test_a_request_that_is_not_served_is_released(ledger: Ledger) -> None:
    deposit(ledger)
    ledger.hold(HOLD, ALICE, Msat(60_000), TERMS)

    released = ledger.release(HOLD, ALICE, "no answer")

    assert (released.held_msat, released.reason) == (60_000, "no answer")


def test_a_deposit_may_take_a_detour(ledger: Ledger, notebook: Notebook) -> None:
    begun = ledger.receive_token(DEPOSIT, claim(), KEYSET, (4, 32, 64))

    replanned = ledger.replan_deposit(begun, claim(), KEYSET, (100,))
    refused = ledger.refuse_deposit(replanned, 20001, "quote", final=False)
    again = ledger.replan_deposit(notebook.entries[-1], claim(), KEYSET, (100,))
    assert isinstance(again.event, Replanned)
    credited = ledger.credit_deposit(again, signed(again.event.plan))

    assert isinstance(refused, Refused)
    assert [entry.version for entry in notebook.entries] == [1, 2, 3, 4, 5]
    assert credited.credited_msat == 100_000


def test_a_deposit_that_has_ended_takes_no_further_step(
    ledger: Ledger, notebook: Notebook
) -> None:
    deposit(ledger)
    ended = notebook.entries[-1]
    other = ledger.receive_token(name(101), claim(), KEYSET, (100,))
    ledger.refuse_deposit(other, 11001, "spent", final=True)
    refused = notebook.entries[-1]

    for entry in (ended, refused):
        with pytest.raises(MovementEndedError):
            ledger.replan_deposit(entry, claim(), KEYSET, (100,))
        with pytest.raises(MovementEndedError):
            ledger.credit_deposit(entry, ())
        with pytest.raises(MovementEndedError):
            ledger.refuse_deposit(entry, 0, "", final=False)

    assert notebook.entries[-1] == refused


def test_a_refund_goes_its_way(ledger: Ledger, notebook: Notebook) -> None:
    deposit(ledger)

    begun = ledger.start_refund(REFUND, ALICE, PURSE)
    assert isinstance(begun.event, Started)
    redrafted = ledger.redraft_refund(begun, begun.event.draft, KEYSET)
    assert isinstance(redrafted.event, Redrafted)
    draft = redrafted.event.draft
    issued = ledger.issue_refund(redrafted, draft, signed(draft.plan))
    collected = ledger.collect_refund(notebook.entries[-1], issued)

    assert isinstance(issued, Issued)
    assert isinstance(collected, Collected)
    assert collected.token_msat == 100_000


def test_a_refund_of_a_part_may_be_cancelled(ledger: Ledger) -> None:
    deposit(ledger)
    begun = ledger.start_refund(REFUND, ALICE, PURSE, Msat(50_000))
    assert isinstance(begun.event, Started)

    cancelled = ledger.cancel_refund(begun, begun.event.draft, "refused")

    assert cancelled.draft.taken_msat == 50_000


def test_rates_and_prices_are_facts_too(ledger: Ledger, notebook: Notebook) -> None:
    observed = ledger.observe_rate(name(400), "50000", ("a",))
    adopted = ledger.adopt_prices("p1", {"models": []})

    assert observed.btc_usd == "50000"
    assert adopted.version == "p1"
    assert notebook.entries[-1].stream == prices_of_version("p1")


def test_a_provider_is_set_up_listed_and_removed(ledger: Ledger, notebook: Notebook) -> None:
    model = {"id": "gpt-x", "pricing": {"prompt": "0.1", "completion": "0.2"}}
    provider = Provider(base_url="https://a.example")

    begun = ledger.change_provider(SetProvider(name(500), 0, "a", "me", provider))
    listed = ledger.change_provider(ListModels(name(500), 1, "a", "me", (model,)))
    there = notebook.rows.providers.get("a")
    removed = ledger.change_provider(RemoveProvider(name(500), 2, "a", "me"))

    assert [entry.version for entry in (begun, listed, removed)] == [1, 2, 3]
    assert there is not None
    assert there.models == (model,)
    assert notebook.rows.providers.get("a") is None


def test_a_setting_is_changed_while_the_house_is_open(
    ledger: Ledger, notebook: Notebook
) -> None:
    changed = ledger.change_setting(ChangeSetting("name", 0, "My house", "me"))

    assert changed.value == "My house"
    assert notebook.entries[-1].stream == setting_of("name")


def test_an_answer_of_another_kind_is_never_taken_for_the_one_asked_for() -> None:
    ledger = Ledger(lambda _command: deposited()[1], "worker-1")

    with pytest.raises(TypeError, match="Credited"):
        ledger.hold(HOLD, ALICE, Msat(1), TERMS)
