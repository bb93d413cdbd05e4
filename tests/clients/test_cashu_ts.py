"""A wallet made with cashu-ts pays request by request, and no sat of its change is lost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from domain.deposit import Credited, Received
from domain.hold import Charged, Held
from domain.refund import Issued, Started
from tests.clients.books import COST_MSAT, MODEL, QUESTION, Books, of
from tests.clients.program import Program, node_program

if TYPE_CHECKING:
    from collections.abc import Iterator

    from domain.event import Event
    from tests.integration.mint import RealMint
    from tests.integration.service import Service

pytestmark = [pytest.mark.clients, pytest.mark.timeout(180)]

FUNDS_SAT = 2_000
COST_SAT = -(-COST_MSAT // 1_000)


class Wallet:
    """The wallet's program, and where it shops."""

    def __init__(self, program: Program, base_url: str, books: Books) -> None:
        self._program = program
        self._base_url = base_url
        self._books = books

    def do(self, act: str, **given: Any) -> tuple[dict[str, Any], list[Event]]:
        """Do `act`; return what it saw, and what the log says happened meanwhile."""
        position = self._books.head()
        given = {"base_url": self._base_url, "model": MODEL, "question": QUESTION, **given}
        said = self._program.do(act, **given)
        return said, self._books.since(position)


@pytest.fixture(scope="module")
def wallet(
    service: Service, mint: RealMint, books: Books, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Wallet]:
    with node_program("cashu", tmp_path_factory.mktemp("cashu")) as program:
        assert program.do("fund", mint_url=mint.url, amount=FUNDS_SAT) == {"purse": FUNDS_SAT}
        yield Wallet(program, service.base_url, books)


@pytest.mark.parametrize("request_format", ["", "creqB"])
@pytest.mark.parametrize("way", ["plain", "stream", "stream at once"])
def test_it_pays_what_is_asked_and_takes_its_change_home(
    way: str, request_format: str, wallet: Wallet, mint: RealMint
) -> None:
    at_once = "stream" if way == "stream at once" else ""

    said, events = wallet.do(
        "buy", stream=way != "plain", way=at_once, format=request_format
    )  # fmt: skip

    assert (said["challenged"], said["status"]) == (402, 200)
    assert said["request"].lower() == (request_format or "creqA").lower()
    assert said["wanted"] == {"amount": said["paid"], "unit": "sat", "mints": [mint.url]}
    assert said["text"].endswith(QUESTION)
    assert said["in_header"] is not bool(at_once)
    assert_the_log_agrees(events, said["paid"], said["change"])
    assert said["change"] - 1 <= said["received"] < said["change"]


def test_a_token_that_is_too_small_comes_back_as_it_was(wallet: Wallet) -> None:
    said, events = wallet.do("pay_too_little", amount=2)
    raised = said["raised"]

    assert (raised["status"], raised["code"]) == (402, "minimum_balance_required")
    assert raised["type"] == "minimum_balance_required"
    assert raised["detail"]["reason"] == "Insufficient balance"
    assert raised["same_token"]
    assert events == []


def test_the_same_token_buys_one_request(wallet: Wallet) -> None:
    said, events = wallet.do("spend_twice", amount=200)

    assert said["statuses"] == [200, 409]
    assert said["code"] == "request_repeated"
    assert said["late"] == 410
    assert [event.cost_msat for event in of(events, Charged)] == [COST_MSAT]


def test_it_opens_an_account_and_takes_home_what_is_left(wallet: Wallet) -> None:
    said, events = wallet.do("own_account", amount=200)

    (credited,) = of(events, Credited)
    assert said["balance"] == credited.credited_msat == 200_000 - credited.fee_msat
    assert said["status"] == 200
    assert said["sats"] == str(said["face"])
    assert_the_log_agrees(events, 200, said["face"])


def assert_the_log_agrees(events: list[Event], paid_sat: int, change_sat: int) -> None:
    """Check that what was paid is the charge, the change, the mint's fees and less than a sat.

    The change is as much as whole sats can be.
    """
    assert len(of(events, Received)) == len(of(events, Started)) == len(of(events, Held)) == 1
    (credited,), (charged,), (issued,) = (
        of(events, Credited),
        of(events, Charged),
        of(events, Issued),
    )
    draft = issued.draft
    assert credited.face_msat == paid_sat * 1_000
    assert credited.credited_msat == credited.face_msat - credited.fee_msat
    assert (charged.cost_msat, charged.shortfall_msat) == (COST_MSAT, 0)
    assert draft.token_msat == change_sat * 1_000
    assert draft.taken_msat == draft.token_msat + draft.fee_msat
    left_msat = credited.credited_msat - COST_MSAT - draft.taken_msat
    assert 0 <= left_msat < 1_000
