from __future__ import annotations

import msgspec
import pytest

from domain.deposit import Plan, Receive, Refuse, Refused, Replan
from domain.errors import (
    KeysetTakenError,
    LedgerBrokenError,
    MovementEndedError,
    NotInstantError,
    TokenTakenError,
)
from domain.event import Entry
from domain.foreign import ForeignRefused
from domain.guards import (
    BATCH,
    BATCHED,
    FREE,
    INSTANT,
    INSTANT_ALONE,
    ONLINE,
    TAKEN,
    AccountRow,
    ExposureRow,
    GuardRows,
    KeysetRow,
    LockedRow,
    MovementRow,
)
from domain.identity import OWNER
from domain.instant import (
    Batch,
    Batched,
    BatchParted,
    BatchPlanned,
    BatchReplanned,
    BatchSwapped,
    CreditInstantly,
    InstantCredited,
    InstantLost,
    LoseInstant,
    PartBatch,
    PlanBatch,
    ReplanBatch,
    SwapBatch,
)
from domain.posting import FEES_MINT, LOST, Posting, available, instant, mint, postings
from domain.purse import split
from tests.domain.given import (
    ALICE,
    AT,
    BOB,
    KEYSET,
    LATER,
    MINT,
    answers,
    claim,
    fold,
    made,
    name,
    receive,
    signed,
)

TOKEN_ID, OTHER_ID, BATCH_ID = name(500), name(501), name(502)
YS, OTHER_YS = ("y1", "y2"), ("y3",)
LIMIT_MSAT = 250_000
CLAIM = claim(ALICE, 100, 1)
CREDITED_EVENT = InstantCredited(at=AT, claim=CLAIM, ys=YS)
CREDITED = Entry(TOKEN_ID, 1, CREDITED_EVENT)
OTHER = Entry(OTHER_ID, 1, InstantCredited(at=AT, claim=claim(BOB, 50, 1), ys=OTHER_YS))
DEPOSITS = (
    Batched(stream=TOKEN_ID, credited_msat=99_000),
    Batched(stream=OTHER_ID, credited_msat=49_000),
)
AMOUNTS = split(149)
PLAN = Plan(keyset_id=KEYSET, counter_from=0, amounts=AMOUNTS)
BATCH_OF_TWO = Batch(mint=MINT, unit="sat", deposits=DEPOSITS, plan=PLAN)
PLANNED = Entry(BATCH_ID, 1, BatchPlanned(at=AT, batch=BATCH_OF_TWO))
REFUSED = Entry(
    TOKEN_ID,
    2,
    Refused(at=AT, account_id=ALICE, mint=MINT, code=0, reason="no", final=False, ys=YS),
)


def credit(
    stream: object = TOKEN_ID,
    version: int = 0,
    account_id: object = ALICE,
    ys: tuple[str, ...] = YS,
    sat: int = 100,
) -> CreditInstantly:
    owned = msgspec.structs.replace(claim(ALICE, sat, 1), account_id=account_id)
    return CreditInstantly(stream, version, owned, ys, LIMIT_MSAT)  # type: ignore[arg-type]


def plan(*deposits: Batched) -> PlanBatch:
    return PlanBatch(BATCH_ID, MINT, "sat", deposits or DEPOSITS, KEYSET, AMOUNTS)


def swap(proofs: object = None) -> SwapBatch:
    return SwapBatch(BATCH_ID, 1, BATCH_OF_TWO, proofs or signed(PLAN))  # type: ignore[arg-type]


def part() -> PartBatch:
    return PartBatch(BATCH_ID, 1, BATCH_OF_TWO, "no" * 200)


def lose() -> LoseInstant:
    return LoseInstant(TOKEN_ID, 1, CREDITED_EVENT, "spent" * 100)


def test_a_locked_token_is_credited_at_once_and_counts_as_exposure() -> None:
    entry = made(credit(), fold())

    assert entry == Entry(TOKEN_ID, 1, msgspec.structs.replace(CREDITED_EVENT, at=LATER))
    rows = fold(entry)
    assert rows.accounts.get(ALICE) == AccountRow(99_000, 0, MINT, "sat")
    assert rows.exposures.get(MINT) == ExposureRow(99_000, 0)
    assert rows.ys.rows == {y: LockedRow(TOKEN_ID, TAKEN) for y in YS}
    assert rows.movements.get(TOKEN_ID) == MovementRow(INSTANT, 1, ALICE, MINT, LATER)
    assert rows.proofs.rows == {}
    assert postings(entry.event) == [
        Posting(instant(MINT), available(ALICE), 100_000),
        Posting(available(ALICE), instant(MINT), 1_000),
    ]


def test_a_credit_at_once_is_told_like_any_other() -> None:
    event = CREDITED_EVENT

    assert (event.account_id, event.mint, event.unit) == (ALICE, MINT, "sat")
    assert (event.face_msat, event.fee_msat, event.credited_msat) == (100_000, 1_000, 99_000)
    assert event.owner == ALICE
    assert event.proofs == ()
    assert not event.may_begin_again


def test_a_token_is_credited_once_and_for_one_account() -> None:
    assert made(credit(), fold(CREDITED), CREDITED) == CREDITED
    with pytest.raises(TokenTakenError):
        made(credit(account_id=BOB), fold(CREDITED), CREDITED)
    swapped = fold(CREDITED, OTHER, PLANNED, made(swap(), fold(CREDITED, OTHER, PLANNED)))
    assert made(credit(), swapped, CREDITED) == CREDITED


def test_a_proof_in_another_token_is_not_credited_again() -> None:
    """Offline nobody tells that it was spent: our own memory has to."""
    rows = fold(CREDITED)

    with pytest.raises(NotInstantError):
        made(credit(OTHER_ID, ys=("y2", "y9")), rows)


@pytest.mark.parametrize(("sat", "fits"), [(152, True), (153, False)])
def test_no_more_is_credited_at_a_mint_than_may_be_lost_there(sat: int, *, fits: bool) -> None:
    (answer,) = answers([credit(OTHER_ID, ys=OTHER_YS, sat=sat)], fold(CREDITED))

    assert isinstance(answer, Entry) is fits
    assert isinstance(answer, NotInstantError) is not fits


def test_where_something_was_lost_nothing_is_credited_at_once() -> None:
    rows = fold(CREDITED)
    rows.exposures.put(MINT, ExposureRow(0, 1))

    with pytest.raises(NotInstantError):
        made(credit(OTHER_ID, ys=OTHER_YS), rows)


def test_two_tokens_with_one_proof_at_the_same_moment_are_credited_once() -> None:
    first, second = answers([credit(), credit(OTHER_ID, account_id=BOB)], fold())

    assert isinstance(first, Entry)
    assert isinstance(second, NotInstantError)


def test_a_token_that_was_refused_before_may_be_credited_unless_it_was_locked() -> None:
    refused = REFUSED._replace(
        event=ForeignRefused(at=AT, account_id=BOB, mint=MINT, reason="", claims=False)
    )

    assert made(credit(version=2), fold(refused), refused).version == 3
    with pytest.raises(NotInstantError):
        made(credit(version=2), fold(REFUSED), REFUSED)


def test_what_another_process_refused_meanwhile_is_not_credited() -> None:
    with pytest.raises(NotInstantError):
        made(credit(version=1), fold(REFUSED), REFUSED)


# Tokens that are locked and go the ordinary way.


def ordinary(stream: object = OTHER_ID, ys: tuple[str, ...] = YS) -> Receive:
    return Receive(stream, CLAIM, KEYSET, AMOUNTS, ys)  # type: ignore[arg-type]


def test_a_locked_token_on_its_ordinary_way_is_no_other_tokens() -> None:
    received = made(ordinary(), fold())

    rows = fold(received)
    assert rows.ys.rows == {y: LockedRow(OTHER_ID, TAKEN) for y in YS}
    with pytest.raises(NotInstantError):
        made(credit(), rows)
    with pytest.raises(TokenTakenError):
        made(ordinary(name(503)), rows)


def test_a_proof_credited_at_once_is_not_swapped_as_another_token() -> None:
    with pytest.raises(TokenTakenError):
        made(ordinary(), fold(CREDITED))
    with pytest.raises(TokenTakenError):
        made(Replan(OTHER_ID, 2, CLAIM, KEYSET, AMOUNTS, ("y1",)), fold(CREDITED))


def test_after_a_refusal_only_the_mints_word_counts() -> None:
    received = made(ordinary(), fold())
    refused = made(Refuse(OTHER_ID, 1, received.event, 0, "no", False), fold(received))  # type: ignore[arg-type]  # noqa: FBT003

    rows = fold(received, refused)
    assert rows.ys.rows == {y: LockedRow(OTHER_ID, ONLINE) for y in YS}
    with pytest.raises(NotInstantError):
        made(credit(), rows)
    assert isinstance(made(ordinary(name(503)), rows), Entry)
    again = fold(received, refused)
    replanned = made(Replan(OTHER_ID, 2, CLAIM, KEYSET, AMOUNTS, YS), again, received, refused)
    assert fold(received, refused, replanned).ys.get("y1") == LockedRow(OTHER_ID, TAKEN)


def test_tokens_that_are_not_locked_are_not_remembered_by_their_proofs() -> None:
    assert fold(made(receive(), fold())).ys.rows == {}


# Swapping them later.


def test_a_batch_sets_its_deposits_and_its_counters_aside() -> None:
    rows = fold(CREDITED, OTHER)
    rows.keysets.put(KEYSET, KeysetRow(MINT, "sat", 7))

    entry = made(plan(), rows)

    planned = entry.event
    assert isinstance(planned, BatchPlanned)
    assert (entry.version, planned.batch.plan.counter_from) == (1, 7)
    assert planned.batch.credited_msat == 148_000
    planned.apply(rows, BATCH_ID, 1)
    assert rows.movements.get(BATCH_ID) == MovementRow(BATCH, 1, OWNER, MINT, LATER)
    assert rows.movements.get(TOKEN_ID) == MovementRow(BATCHED, 1, ALICE, MINT, AT)
    assert rows.keysets.get(KEYSET) == KeysetRow(MINT, "sat", 7 + len(AMOUNTS))
    assert rows.exposures.get(MINT) == ExposureRow(148_000, 0)
    assert postings(planned) == []


def test_a_deposit_is_in_one_batch_at_a_time() -> None:
    with pytest.raises(NotInstantError):
        made(PlanBatch(name(504), MINT, "sat", DEPOSITS[:1], KEYSET, (1,)), after_planning())
    with pytest.raises(NotInstantError):
        made(plan(), fold(CREDITED))


def after_planning() -> GuardRows:
    return fold(CREDITED, OTHER, PLANNED)


def test_a_batch_planned_twice_is_one() -> None:
    rows = fold(CREDITED, OTHER)

    assert made(plan(), rows, PLANNED) == PLANNED


def test_a_keyset_of_another_mint_is_not_asked() -> None:
    rows = fold(CREDITED, OTHER)
    rows.keysets.put(KEYSET, KeysetRow("https://evil.example", "sat", 0))

    with pytest.raises(KeysetTakenError):
        made(plan(), rows)


def test_other_outputs_are_planned_for_the_same_proofs() -> None:
    command = ReplanBatch(BATCH_ID, 1, BATCH_OF_TWO, "00other")

    entry = made(command, after_planning(), PLANNED)

    assert isinstance(entry.event, BatchReplanned)
    assert (entry.version, entry.event.batch.plan.keyset_id) == (2, "00other")
    rows = fold(CREDITED, OTHER, PLANNED, entry)
    assert rows.movements.get(BATCH_ID) == MovementRow(BATCH, 2, OWNER, MINT, LATER)
    assert made(command, rows, PLANNED, entry) == entry


def test_what_was_swapped_is_ours_and_no_exposure_any_more() -> None:
    entry = made(swap(), after_planning(), PLANNED)

    event = entry.event
    assert isinstance(event, BatchSwapped)
    rows = fold(CREDITED, OTHER, PLANNED, entry)
    assert rows.movements.rows == {}
    assert rows.exposures.get(MINT) == ExposureRow(0, 0)
    assert {row.state for row in rows.proofs.rows.values()} == {FREE}
    assert sum(row.amount for row in rows.proofs.rows.values()) == 149
    assert set(rows.ys.rows) == {*YS, *OTHER_YS}
    # Alone each would have cost a sat; together they cost one.
    assert postings(event) == [
        Posting(mint(MINT), instant(MINT), 148_000),
        Posting(mint(MINT), FEES_MINT, 1_000),
    ]


def test_a_fee_that_has_risen_meanwhile_is_the_houses() -> None:
    event = BatchSwapped(at=AT, batch=BATCH_OF_TWO, proofs=signed(PLAN)[1:])

    assert event.swapped_msat == 148_000
    less = msgspec.structs.replace(event, proofs=signed(PLAN)[2:])
    assert postings(less) == [
        Posting(mint(MINT), instant(MINT), 144_000),
        Posting(FEES_MINT, instant(MINT), 4_000),
    ]


def test_a_batch_has_one_end() -> None:
    swapped = made(swap(), after_planning(), PLANNED)
    rows = fold(CREDITED, OTHER, PLANNED, swapped)

    assert made(swap(), rows, PLANNED, swapped) == swapped
    with pytest.raises(MovementEndedError):
        made(part(), rows, PLANNED, swapped)


def test_deposits_of_a_refused_batch_wait_to_be_swapped_alone() -> None:
    entry = made(part(), after_planning(), PLANNED)

    assert isinstance(entry.event, BatchParted)
    assert len(entry.event.reason) == 200
    rows = fold(CREDITED, OTHER, PLANNED, entry)
    row = rows.movements.get(TOKEN_ID)
    assert row == MovementRow(INSTANT_ALONE, 1, ALICE, MINT, AT)
    assert rows.movements.get(BATCH_ID) is None
    assert made(part(), rows, PLANNED, entry) == entry
    assert made(plan(), rows).version == 1


def test_what_cannot_be_swapped_is_the_houses_loss_and_not_the_clients() -> None:
    entry = made(lose(), after_planning(), CREDITED)

    event = entry.event
    assert isinstance(event, InstantLost)
    assert (event.lost_msat, len(event.reason), event.owner) == (99_000, 200, ALICE)
    rows = fold(CREDITED, OTHER, PLANNED, entry)
    assert rows.accounts.get(ALICE) == AccountRow(99_000, 0, MINT, "sat")
    assert rows.exposures.get(MINT) == ExposureRow(49_000, 99_000)
    assert rows.movements.get(TOKEN_ID) is None
    assert postings(event) == [Posting(LOST, instant(MINT), 99_000)]
    assert made(lose(), rows, CREDITED, entry) == entry
    # The batch it was in is parted without it.
    parted = fold(CREDITED, OTHER, PLANNED, entry, made(part(), rows, PLANNED))
    assert set(parted.movements.rows) == {OTHER_ID}


def test_what_is_not_being_swapped_cannot_be_lost() -> None:
    with pytest.raises(MovementEndedError):
        made(lose(), fold(CREDITED), CREDITED)


def test_no_more_can_be_swapped_than_was_credited() -> None:
    swapped = made(swap(), after_planning(), PLANNED)

    with pytest.raises(LedgerBrokenError):
        fold(CREDITED, PLANNED, swapped)
