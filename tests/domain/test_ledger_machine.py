"""Random stories told to the ledger and to a model of a few lines, which must agree."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from domain.allowance import Rules
from domain.deposit import Credited, Received, Refused, Replanned
from domain.errors import (
    HoldEndedError,
    InsufficientFundsError,
    MovementEndedError,
    NothingToRefundError,
    PurseShortError,
    RequestInProgressError,
    RequestRepeatedError,
    TokenTakenError,
    UnknownAccountError,
    UnknownHoldError,
)
from domain.event import Entry
from domain.guards import FREE, OUT, AccountRow
from domain.msat import Msat
from domain.posting import TOKENS_OUTSTANDING, available, held
from domain.purse import Purse, split
from domain.refund import Cancelled, Collected, Issued, Redrafted, Started
from projections.books import Books
from projections.follow import rebuild
from tests.domain.given import TERMS, USAGE, signed
from tests.store.work import claim_of, ledger_on, silent, tables, verified

if TYPE_CHECKING:
    from collections.abc import Iterator

    from domain.deposit import Claim
    from tests.store.places import Store

MANY = "HYPOTHESIS_EXAMPLES" in os.environ
EXAMPLES = int(os.environ.get("HYPOTHESIS_EXAMPLES", "15"))
ACCOUNTS = 2
AMOUNTS_SAT = st.integers(1, 300)
AMOUNTS_MSAT = st.integers(0, 200_000)
WHO = st.integers(0, ACCOUNTS - 1)


class Model:
    """What each account has, told in numbers only."""

    def __init__(self) -> None:
        self.available = [0] * ACCOUNTS
        self.held = [0] * ACCOUNTS
        self.known = [False] * ACCOUNTS
        self.earned = 0
        self.short = 0
        self.out = 0
        self.in_flight = 0
        self.fees = 0
        self.credited = 0
        self.collected = 0


class LedgerMachine(RuleBasedStateMachine):
    """Everything a client, a mint and a crash can do to the ledger, in any order."""

    deposits: Bundle[Any] = Bundle("deposits")
    ended_deposits: Bundle[Any] = Bundle("ended_deposits")
    holds: Bundle[Any] = Bundle("holds")
    ended_holds: Bundle[Any] = Bundle("ended_holds")
    refunds: Bundle[Any] = Bundle("refunds")
    tokens: Bundle[Any] = Bundle("tokens")
    ended_refunds: Bundle[Any] = Bundle("ended_refunds")

    store: Store

    def __init__(self) -> None:
        super().__init__()
        # The log is for ever, so each story has a mint and clients that no other knows.
        self.mint = f"https://{uuid4().hex}.example"
        self.keysets = [uuid4().hex[:16] for _ in range(2)]
        self.ids = [uuid4() for _ in range(ACCOUNTS)]
        self.ledger = ledger_on(self.store)
        self.model = Model()

    @initialize(target=ended_deposits)
    def begin_with_some_money(self) -> Any:
        credited = self.credit(self.receive(0, 300))
        self.child = uuid4()
        self.ledger.make_key(self.child, self.ids[0], uuid4(), Rules())
        return credited

    def claim(self, who: int, sat: int) -> Claim:
        return claim_of(self.ids[who], sat, self.mint)

    @rule(target=deposits, who=WHO, sat=AMOUNTS_SAT)
    def receive(self, who: int, sat: int) -> tuple[int, int, Entry]:
        entry = self.ledger.receive_token(
            uuid4(), self.claim(who, sat), self.keysets[0], split(sat)
        )
        assert isinstance(entry.event, Received)
        return who, sat, entry

    @rule(token=deposits)
    def receive_again(self, token: tuple[int, int, Entry]) -> None:
        who, sat, entry = token
        again = self.ledger.receive_token(
            entry.stream, self.claim(who, sat), self.keysets[0], split(sat)
        )
        assert again == self.store.history(entry.stream)[-1]

    @rule(token=deposits)
    def steal(self, token: tuple[int, int, Entry]) -> None:
        who, sat, entry = token
        claim = self.claim(1 - who, sat)
        newest = self.store.history(entry.stream)[-1].event
        taken = pytest.raises(TokenTakenError) if not isinstance(newest, Refused) else nothing()
        with taken:
            self.ledger.receive_token(entry.stream, claim, self.keysets[0], split(sat))

    @rule(target=deposits, token=consumes(deposits))
    def replan(self, token: tuple[int, int, Entry]) -> tuple[int, int, Entry]:
        who, sat, entry = token
        replanned = self.ledger.replan_deposit(
            entry, self.claim(who, sat), self.keysets[1], split(sat)
        )
        assert isinstance(replanned.event, Replanned)
        return who, sat, replanned

    @rule(target=ended_deposits, token=consumes(deposits))
    def credit(self, token: tuple[int, int, Entry]) -> tuple[int, int, Entry]:
        who, sat, entry = token
        assert isinstance(entry.event, Received | Replanned)
        credited = self.ledger.credit_deposit(entry, signed(entry.event.plan))
        assert credited.credited_msat == sat * 1000
        self.model.available[who] += sat * 1000
        self.model.known[who] = True
        self.model.credited += sat * 1000
        return token

    @rule(target=ended_deposits, token=consumes(deposits))
    def refuse(self, token: tuple[int, int, Entry]) -> tuple[int, int, Entry]:
        self.ledger.refuse_deposit(token[2], 11001, "spent", final=True)
        return token

    @rule(token=ended_deposits)
    def end_deposit_again(self, token: tuple[int, int, Entry]) -> None:
        entry = token[2]
        end = self.store.history(entry.stream)[-1].event
        assert isinstance(entry.event, Received | Replanned)
        proofs = signed(entry.event.plan)
        if isinstance(end, Credited):
            assert self.ledger.credit_deposit(entry, proofs) == end
            with pytest.raises(MovementEndedError):
                self.ledger.refuse_deposit(entry, 0, "no", final=False)
        else:
            assert self.ledger.refuse_deposit(entry, 0, "no", final=False) == end
            with pytest.raises(MovementEndedError):
                self.ledger.credit_deposit(entry, proofs)

    @rule(target=holds, who=WHO, amount_msat=AMOUNTS_MSAT)
    def hold(self, who: int, amount_msat: int) -> Any:
        model, hold_id = self.model, uuid4()
        if not model.known[who]:
            with pytest.raises(UnknownAccountError):
                self.ledger.hold(hold_id, self.ids[who], Msat(amount_msat), TERMS)
            return multiple()
        if amount_msat > model.available[who]:
            with pytest.raises(InsufficientFundsError) as refused:
                self.ledger.hold(hold_id, self.ids[who], Msat(amount_msat), TERMS)
            assert refused.value.available_msat == model.available[who]
            return multiple()
        by = self.child if who == 0 and amount_msat % 2 else None
        self.ledger.hold(hold_id, self.ids[who], Msat(amount_msat), TERMS, key_id=by)
        model.available[who] -= amount_msat
        model.held[who] += amount_msat
        return who, hold_id, amount_msat

    @rule(held_for=holds)
    def hold_again(self, held_for: tuple[int, UUID, int]) -> None:
        who, hold_id, _ = held_for
        with pytest.raises(RequestInProgressError):
            self.ledger.hold(hold_id, self.ids[who], Msat(0), TERMS)

    @rule(
        target=ended_holds,
        held_for=consumes(holds),
        times=st.sampled_from([0, 1, 2, 3, 7]),
        more_msat=st.integers(0, 3),
    )
    def charge(
        self, held_for: tuple[int, UUID, int], times: int, more_msat: int
    ) -> tuple[int, UUID]:
        """Charge below, at and above what was held."""
        who, hold_id, amount_msat = held_for
        model, cost_msat = self.model, amount_msat * times // 2 + more_msat
        self.ledger.charge(hold_id, self.ids[who], Msat(cost_msat), TERMS, USAGE)
        model.held[who] -= amount_msat
        model.available[who] += amount_msat
        paid_msat = min(cost_msat, model.available[who])
        model.available[who] -= paid_msat
        model.earned += cost_msat
        model.short += cost_msat - paid_msat
        return who, hold_id

    @rule(target=ended_holds, held_for=consumes(holds))
    def release(self, held_for: tuple[int, UUID, int]) -> tuple[int, UUID]:
        who, hold_id, amount_msat = held_for
        self.ledger.release(hold_id, self.ids[who], "not served")
        self.model.held[who] -= amount_msat
        self.model.available[who] += amount_msat
        return who, hold_id

    @rule(ended=ended_holds)
    def end_hold_again(self, ended: tuple[int, UUID]) -> None:
        who, hold_id = ended
        end = self.store.history(hold_id)[-1].event
        charge = (hold_id, self.ids[who], Msat(77), TERMS, USAGE)
        if end.TOPIC == "hold.charged":
            assert self.ledger.charge(*charge) == end
            with pytest.raises(HoldEndedError):
                self.ledger.release(hold_id, self.ids[who], "no")
        else:
            assert self.ledger.release(hold_id, self.ids[who], "no") == end
            with pytest.raises(HoldEndedError):
                self.ledger.charge(*charge)
        with pytest.raises(RequestRepeatedError):
            self.ledger.hold(hold_id, self.ids[who], Msat(0), TERMS)

    @rule(who=WHO)
    def end_what_never_was(self, who: int) -> None:
        with pytest.raises(UnknownHoldError):
            self.ledger.release(uuid4(), self.ids[who], "what")

    @rule(
        target=refunds,
        who=WHO,
        amount_sat=st.none() | AMOUNTS_SAT,
        ppk=st.sampled_from([0, 0, 100, 1000]),
    )
    def start_refund(self, who: int, amount_sat: int | None, ppk: int) -> Any:
        model = self.model
        purse = Purse(self.mint, "sat", self.keysets[0], dict.fromkeys(self.keysets, ppk))
        amount = None if amount_sat is None else Msat.from_sat(amount_sat)
        try:
            entry = self.ledger.start_refund(uuid4(), self.ids[who], purse, amount)
        except UnknownAccountError:
            assert not model.known[who]
            return multiple()
        except (NothingToRefundError, PurseShortError):
            assert ppk or model.available[who] < 1000 or not self.free_sat()
            return multiple()
        assert isinstance(entry.event, Started)
        draft = entry.event.draft
        wanted_sat = model.available[who] // 1000
        assert draft.taken_msat <= min(wanted_sat, amount_sat or wanted_sat) * 1000
        assert draft.taken_msat == draft.token_msat + draft.fee_msat
        model.available[who] -= draft.taken_msat
        model.in_flight += draft.taken_msat
        return who, entry

    def free_sat(self) -> int:
        return self.store.free(self.mint, "sat")

    @rule(target=refunds, begun=consumes(refunds))
    def redraft(self, begun: tuple[int, Entry]) -> tuple[int, Entry]:
        who, entry = begun
        assert isinstance(entry.event, Started | Redrafted)
        redrafted = self.ledger.redraft_refund(entry, entry.event.draft, self.keysets[1])
        assert isinstance(redrafted.event, Redrafted)
        return who, redrafted

    @rule(target=tokens, begun=consumes(refunds))
    def issue(self, begun: tuple[int, Entry]) -> tuple[int, Entry, Entry]:
        who, entry = begun
        assert isinstance(entry.event, Started | Redrafted)
        draft = entry.event.draft
        issued = self.ledger.issue_refund(entry, draft, signed(draft.plan))
        self.model.in_flight -= draft.taken_msat
        self.model.out += draft.token_msat
        self.model.fees += draft.fee_msat
        return who, entry, Entry(entry.stream, entry.version + 1, issued)

    @rule(target=ended_refunds, begun=consumes(refunds))
    def cancel(self, begun: tuple[int, Entry]) -> Entry:
        who, entry = begun
        assert isinstance(entry.event, Started | Redrafted)
        draft = entry.event.draft
        self.ledger.cancel_refund(entry, draft, "refused")
        self.model.in_flight -= draft.taken_msat
        self.model.available[who] += draft.taken_msat
        return entry

    @rule(target=ended_refunds, token=consumes(tokens))
    def collect(self, token: tuple[int, Entry, Entry]) -> Entry:
        _, begun, issued = token
        assert isinstance(issued.event, Issued)
        self.ledger.collect_refund(issued, issued.event)
        self.model.out -= issued.event.draft.token_msat
        self.model.collected += issued.event.draft.token_msat
        return begun

    @rule(begun=ended_refunds)
    def end_refund_again(self, begun: Entry) -> None:
        assert isinstance(begun.event, Started | Redrafted)
        draft = begun.event.draft
        history = self.store.history(begun.stream)
        if isinstance(history[-1].event, Cancelled):
            assert self.ledger.cancel_refund(begun, draft, "no") == history[-1].event
            with pytest.raises(MovementEndedError):
                self.ledger.issue_refund(begun, draft, signed(draft.plan))
        else:
            assert isinstance(history[-1].event, Collected)
            issued = self.ledger.issue_refund(begun, draft, signed(draft.plan))
            assert issued == history[-2].event
            with pytest.raises(MovementEndedError):
                self.ledger.cancel_refund(begun, draft, "no")

    @invariant()
    def accounts_are_as_the_model_says(self) -> None:
        for who, account_id in enumerate(self.ids):
            row = self.store.account(account_id)
            assert (row is not None) == self.model.known[who]
            amounts = self.model.available[who], self.model.held[who]
            assert row in {None, AccountRow(*amounts, self.mint, "sat", int(who == 0))}

    @invariant()
    def what_a_child_spends_counts_for_its_parent(self) -> None:
        ((_, child),) = self.store.children_of(self.ids[0])
        parent = self.store.kept()[1].key(self.ids[0])
        assert parent.held_msat == self.model.held[0]
        assert child.held_msat <= parent.held_msat

    def teardown(self) -> None:
        books = Books()
        for page in self.store.log():
            for placed in page:
                books.post(placed.entry.event)
        self._compare(books)
        assert verified(self.store) is None
        before = tables(self.store.kept()[1])
        rebuild(self.store, self.store.sheets, silent)
        assert tables(self.store.kept()[1]) == before
        assert verified(self.store) is None

    def _compare(self, books: Books) -> None:
        balances, model = books.balances_msat, self.model
        for who, account_id in enumerate(self.ids):
            assert balances[available(account_id)] == model.available[who]
            assert balances[held(account_id)] == model.held[who]
        assert books.total_msat == 0
        ours = [total for total in self.store.purses() if total.mint == self.mint]
        out_sat = sum(total.amount for total in ours if total.state == OUT)
        assert out_sat * 1000 == model.out
        assert balances[f"mint:{self.mint}"] == -sum(total.amount for total in ours) * 1000
        owed = sum(model.available) + sum(model.held) + model.in_flight + model.out
        kept = model.earned - model.short
        assert owed + kept + model.fees + model.collected == model.credited
        assert balances[TOKENS_OUTSTANDING] >= model.out
        assert {total.state for total in ours} <= {FREE, OUT, "reserved"}


@contextmanager
def nothing() -> Iterator[None]:
    """Expect nothing in particular."""
    yield


def test_every_story_adds_up(store: Store) -> None:
    class Story(LedgerMachine):
        pass

    Story.store = store
    run_state_machine_as_test(
        Story,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=30,
            deadline=None,
            derandomize=True,
            # A story is written to a disk: to make one shorter takes minutes, and is asked for.
            phases=set(Phase) if MANY else set(Phase) - {Phase.shrink, Phase.explain},
            suppress_health_check=list(HealthCheck),
        ),
    )
