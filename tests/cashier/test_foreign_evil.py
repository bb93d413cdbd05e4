"""A foreign mint that lies, hangs or vanishes gains nothing, and costs nothing but time."""

from __future__ import annotations

import socket
import threading
from datetime import timedelta
from typing import TYPE_CHECKING, Self

import pytest

from app.cashier.errors import (
    DepositPendingError,
    ForeignMintDownError,
    ForeignSwapError,
    TokenRefusedError,
)
from app.gateways.mint.mints import UntrustedMintError
from app.gateways.mint.tokens import Token
from domain.deposit import Credited
from domain.errors import TokenTakenError
from domain.foreign import ForeignRefused
from tests.cashier.abroad import FACE_SAT, MELT, bill_of, credited
from tests.cashier.house import ALICE, BOB, House, MoodyMint, changed, stream_of
from tests.doubles.mint import Fault

if TYPE_CHECKING:
    from tests.cashier.conftest import Build, OpenMint


@pytest.fixture
def house(build: Build, ours: MoodyMint, theirs: MoodyMint) -> House:
    return build(ours, foreign=[theirs.url])


def test_a_mint_that_says_paid_and_does_not_pay_gains_nothing(
    house: House, theirs: MoodyMint
) -> None:
    """The invoice of our own mint is what counts; in the end its owner is told."""
    theirs.peers.clear()
    token = theirs.fund(FACE_SAT)
    with pytest.raises(DepositPendingError):
        house.deposit(token)
    with pytest.raises(DepositPendingError):
        house.deposit(token)
    assert theirs.calls[MELT] == 1

    house.late_by = timedelta(hours=26)

    with pytest.raises(ForeignSwapError, match="says that it has paid"):
        house.deposit(token)
    end = house.events(stream_of(token))[-1]
    assert isinstance(end, ForeignRefused)
    assert end.claims
    assert house.available_msat() == 0


def test_what_arrives_after_all_is_credited_when_the_token_is_shown_again(
    house: House, ours: MoodyMint, theirs: MoodyMint
) -> None:
    theirs.peers.clear()
    token = theirs.fund(FACE_SAT)
    with pytest.raises(DepositPendingError):
        house.deposit(token)
    house.late_by = timedelta(hours=26)
    with pytest.raises(ForeignSwapError):
        house.deposit(token)

    ours.pay(bill_of(house, token))

    with pytest.raises(TokenTakenError):
        house.deposit(token, BOB)
    assert credited(house, token).credited_msat == 196_000
    assert house.available_msat(BOB) == 0


def test_a_mint_that_is_gone_for_ever_is_given_up(house: House, theirs: MoodyMint) -> None:
    token = theirs.fund(FACE_SAT)
    theirs.fault(MELT, Fault.DROP_REQUEST)
    with pytest.raises(DepositPendingError):
        house.deposit(token)
    theirs.go_away()
    with pytest.raises(DepositPendingError):
        house.deposit(token)

    house.late_by = timedelta(hours=26)

    with pytest.raises(ForeignSwapError):
        house.deposit(token)
    assert house.store.open_movements() == []


def test_a_mint_that_copies_our_keysets_gains_nothing(
    build: Build, open_mint: OpenMint, ours: MoodyMint
) -> None:
    """M7: its tokens have the ids, and the very keys, of our own mint's."""
    copy = open_mint("ours")
    house = build(ours, foreign=[copy.url])
    assert copy.active("sat").id == ours.active("sat").id

    with pytest.raises(DepositPendingError):
        house.deposit(copy.fund(1_000))

    assert house.available_msat() == 0
    assert house.store.free(ours.url, "sat") == 0
    ours.pays_invoices = True
    assert isinstance(house.deposit(ours.fund(13)), Credited)


def test_change_that_is_more_than_there_was_is_none(
    house: House, theirs: MoodyMint, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs.fee_paid = -1_000

    end = credited(house, theirs.fund(FACE_SAT))

    assert (end.change_msat, end.fee_msat) == (0, 4_000)
    assert house.foreign.left_over(stream_of(theirs.fund(1)), end) is None


def test_change_that_cannot_be_had_does_not_stop_the_credit(
    house: House, theirs: MoodyMint
) -> None:
    token = theirs.fund(FACE_SAT)
    theirs.fault("keysets", Fault.SERVER_ERROR)
    with pytest.raises(ForeignMintDownError):
        house.deposit(token)
    theirs.refuse("keysets", 0, after=1, times=9)

    end = credited(house, token)

    assert (end.credited_msat, end.change_msat) == (196_000, 0)


def test_change_of_a_mint_that_is_away_is_there_later(house: House, theirs: MoodyMint) -> None:
    token = theirs.fund(FACE_SAT)
    end = credited(house, token)
    theirs.go_away()
    assert house.foreign.left_over(stream_of(token), end) is None

    theirs.come_back()

    assert house.foreign.left_over(stream_of(token), end) is not None


class Torture:
    """A server that says what no mint says: `answer` is all it sends, for ever if told."""

    def __init__(self, answer: bytes, drip: bytes = b"") -> None:
        self._answer, self._drip = answer, drip
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.visits = 0
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                visitor, _ = self._listener.accept()
            except OSError:
                return
            self.visits += 1
            with visitor:
                try:
                    visitor.recv(65_536)
                    visitor.sendall(self._answer)
                    while self._drip:
                        visitor.sendall(self._drip)
                except OSError:
                    continue


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
ELSEWHERE = b"HTTP/1.1 302 Found\r\nLocation: http://10.0.0.1/\r\nContent-Length: 0\r\n\r\n"


@pytest.mark.parametrize(
    ("answer", "drip"),
    [
        pytest.param(HEAD + b"\r\n", b"[" * 65_536, id="a body without end"),
        pytest.param(HEAD, b"X-More: yes\r\n", id="headers without end"),
        pytest.param(HEAD + b"Content-Length: 2\r\n\r\n{}", b"", id="no keysets"),
        pytest.param(ELSEWHERE, b"", id="a redirect inside"),
        pytest.param(b"", b"", id="nothing"),
    ],
)
def test_a_mint_that_answers_like_none_costs_nothing_but_time(
    build: Build, ours: MoodyMint, answer: bytes, drip: bytes
) -> None:
    with Torture(answer, drip) as torture:
        house = build(ours, foreign=[torture.url], timeout_s=2.0)
        token = changed(
            ours.fund(FACE_SAT), lambda read: Token(torture.url, read.unit, read.proofs)
        )

        with pytest.raises((ForeignMintDownError, TokenRefusedError)):
            house.deposit(token)

    assert torture.visits
    assert house.log() == []
    assert ours.mint_quotes == {}


def test_a_mint_that_is_no_longer_allowed_is_not_asked(
    build: Build, ours: MoodyMint, theirs: MoodyMint
) -> None:
    first = build(ours, foreign=[theirs.url])
    token = theirs.fund(FACE_SAT)
    theirs.fault(MELT, Fault.DROP_REQUEST)
    with pytest.raises(DepositPendingError):
        first.deposit(token)
    stricter = build(ours, owner="worker-2")
    theirs.calls.clear()

    with pytest.raises(DepositPendingError):
        stricter.deposit(token)

    assert not theirs.calls
    assert first.deposit(token).credited_msat == 196_000


def test_the_door_to_a_mint_that_was_not_named_stays_shut(house: House) -> None:
    with (
        pytest.raises(UntrustedMintError),
        house.foreign._foreign.at("https://other.example", ALICE),
    ):
        pass
