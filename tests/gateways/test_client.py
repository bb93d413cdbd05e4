"""Each call of a mint is done, not done or unknown; none is ever taken for another."""

from __future__ import annotations

import gzip
import json
import socket
from typing import TYPE_CHECKING, Any

import pytest
import requests

from app.gateways.errors import (
    MintAnswerError,
    MintBusyError,
    MintLimitError,
    MintRefusedError,
    MintUnknownError,
    OutcomeUnknownError,
    RefusedError,
    UnreachableError,
)
from app.gateways.mint import crypto
from app.gateways.mint.client import BATCH_MAX, MintClient
from app.gateways.mint.errors import TokenMintError
from app.gateways.mint.gate import Gate
from app.gateways.mint.keysets import split
from app.gateways.mint.tokens import decode
from app.gateways.mint.wire import BlindedMessage, ProofState, QuoteState
from tests.doubles.mint import FakeMint, Fault
from tests.gateways.canned import CannedServer, answer
from tests.gateways.conftest import ANSWER_BYTES_MAX
from tests.gateways.outputs import prepare

if TYPE_CHECKING:
    from collections.abc import Callable

    Connect = Callable[..., MintClient]

POINT = crypto.public_key(b"\x01" * 32)
ASKED = [BlindedMessage(8, "00aa", POINT)]


def swap_at(mint: FakeMint, client: MintClient) -> Callable[[], list[Any]]:
    """Prepare a swap of 7 sat, to be sent as often as wanted."""
    inputs = decode(mint.fund(8)).proofs
    prepared = prepare(mint.active("sat").id, split(7))
    return lambda: client.swap(inputs, prepared.outputs)


def canned(connect: Connect, body: object, status: str = "200 OK", *headers: str) -> Any:
    """A client's swap at a server that answers `body`, whatever it is asked."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    with CannedServer(answer(data, status, *headers)) as server:
        return connect(server.url).swap([], ASKED)


@pytest.mark.parametrize("fault", [Fault.SERVER_ERROR, Fault.RATE_LIMIT, Fault.DROP_REQUEST])
def test_a_call_that_was_not_carried_out_can_be_made_again(
    fake_mint: FakeMint, connect: Connect, fault: Fault
) -> None:
    swap = swap_at(fake_mint, connect(fake_mint.url))
    fake_mint.fault("swap", fault)

    with pytest.raises(OutcomeUnknownError):
        swap()
    signatures = swap()

    assert sum(signature.amount for signature in signatures) == 7


@pytest.mark.parametrize("fault", [Fault.DROP_RESPONSE, Fault.GARBAGE, Fault.OTHER_AMOUNT])
def test_a_call_whose_answer_was_lost_is_unknown_and_can_be_restored(
    fake_mint: FakeMint, connect: Connect, fault: Fault
) -> None:
    client = connect(fake_mint.url)
    inputs = decode(fake_mint.fund(8)).proofs
    prepared = prepare(fake_mint.active("sat").id, split(7))
    fake_mint.fault("swap", fault)

    with pytest.raises(MintUnknownError):
        client.swap(inputs, prepared.outputs)
    with pytest.raises(MintRefusedError) as replayed:
        client.swap(inputs, prepared.outputs)

    assert replayed.value.code == 11001
    assert len(client.restore(prepared.outputs)) == 3


def test_a_late_answer_is_unknown(fake_mint: FakeMint, connect: Connect) -> None:
    swap = swap_at(fake_mint, connect(fake_mint.url, read_timeout_s=0.1))
    fake_mint.fault("swap", Fault.DELAY, delay_s=0.5)

    with pytest.raises(MintUnknownError, match="ReadTimeout"):
        swap()


def test_a_mint_that_is_not_there_was_told_nothing(connect: Connect) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

    with pytest.raises(UnreachableError) as failure:
        connect(f"http://127.0.0.1:{port}").info()

    assert isinstance(failure.value, RefusedError)
    assert failure.value.host == f"http://127.0.0.1:{port}"


def test_a_name_that_is_none_was_told_nothing(connect: Connect) -> None:
    with pytest.raises(UnreachableError):
        connect("http://mint.invalid").info()


@pytest.mark.parametrize("code", [0, 11002, 11004, 20004, 20005])
def test_codes_that_are_no_final_answer(connect: Connect, code: int) -> None:
    with pytest.raises(MintUnknownError) as failure:
        canned(connect, {"detail": "later", "code": code}, "400 Bad Request")

    assert failure.value.code == code


@pytest.mark.parametrize("code", [10001, 11000, 11001, 11003, 11005, 12001, 12002, 20001])
def test_codes_that_are_a_refusal(connect: Connect, code: int) -> None:
    with pytest.raises(MintRefusedError) as failure:
        canned(connect, {"detail": "no", "code": code}, "400 Bad Request")

    assert (failure.value.code, failure.value.detail) == (code, "no")


@pytest.mark.parametrize(
    ("status", "body"),
    [
        ("400 Bad Request", {"detail": "no code"}),
        ("400 Bad Request", {"detail": "odd code", "code": True}),
        ("400 Bad Request", b"<html>"),
        ("404 Not Found", {"detail": "Not Found"}),
        ("429 Too Many Requests", {"detail": "slow down", "code": 11001}),
        ("500 Internal Server Error", {"detail": "oh", "code": 11001}),
        ("502 Bad Gateway", b"<html>"),
        ("204 No Content", b""),
    ],
)
def test_an_answer_that_is_no_plain_refusal_is_unknown(
    connect: Connect, status: str, body: object
) -> None:
    with pytest.raises(MintUnknownError):
        canned(connect, body, status)


def test_a_request_the_mint_cannot_read_was_not_carried_out(connect: Connect) -> None:
    secret = "5" * 64
    body = {"detail": [{"loc": ["body"], "msg": "wrong", "input": {"secret": secret}}]}

    with pytest.raises(MintRefusedError) as failure:
        canned(connect, body, "422 Unprocessable Entity")

    assert failure.value.detail == "wrong"
    assert failure.value.code is None


def test_a_mint_cannot_write_a_secret_into_our_log(connect: Connect) -> None:
    secret = "5" * 64

    with pytest.raises(MintRefusedError) as failure:
        canned(connect, {"detail": f"bad\n{secret}", "code": 10001}, "400 Bad Request")

    assert str(failure.value) == "mint refused (10001): bad …"


def test_no_redirect_is_followed(connect: Connect) -> None:
    with (
        CannedServer(answer(b"{}")) as elsewhere,
        CannedServer(
            answer(b"", "307 Temporary Redirect", f"Location: {elsewhere.url}/v1/swap")
        ) as server,
    ):
        with pytest.raises(MintUnknownError):
            connect(server.url).swap([], ASKED)

        assert elsewhere.requests == []


def test_an_answer_has_a_largest_length(connect: Connect) -> None:
    with pytest.raises(MintUnknownError, match="too long"):
        canned(connect, b" " * (ANSWER_BYTES_MAX + 1))


def test_a_packed_answer_is_not_unpacked(connect: Connect) -> None:
    bomb = gzip.compress(b" " * 10_000_000)

    with pytest.raises(MintAnswerError):
        canned(connect, bomb, "200 OK", "Content-Encoding: gzip")


def test_an_answer_that_comes_byte_by_byte_is_given_up(connect: Connect) -> None:
    drops = [answer(b"")] + [b" "] * 20

    with CannedServer(*drops, pause_s=0.05) as server:
        client = connect(server.url, read_timeout_s=0.2)
        with pytest.raises(MintUnknownError, match="does not end"):
            client.info()


def test_a_chunked_answer_is_read(connect: Connect) -> None:
    body = b'6\r\n{"name\r\n8\r\n": "me"}\r\n0\r\n\r\n'

    with CannedServer(answer(body, "200 OK", "Transfer-Encoding: chunked")) as server:
        assert connect(server.url).info().name == "me"


def test_a_cut_answer_is_unknown(connect: Connect) -> None:
    with pytest.raises(MintUnknownError):
        canned(connect, b'{"signatures": [', "200 OK", "Content-Length: 400")


@pytest.mark.parametrize(
    "signatures",
    [
        None,
        [],
        [{"amount": 8, "id": "00aa", "C_": POINT}] * 2,
        [{"amount": 4, "id": "00aa", "C_": POINT}],
        [{"amount": 8.0, "id": "00aa", "C_": POINT}],
        [{"amount": 8, "id": "00bb", "C_": POINT}],
        [{"amount": 8, "id": "00aa", "C_": "02"}],
        [{"amount": 8, "id": "00aa", "C_": POINT, "dleq": {"e": "1", "s": "2"}}],
        [{"amount": 8, "id": "00aa", "C_": POINT, "dleq": 7}],
        ["x"],
    ],
)
def test_signatures_on_something_else_are_no_answer(
    connect: Connect, signatures: object
) -> None:
    with pytest.raises(MintAnswerError):
        canned(connect, {"signatures": signatures})


def test_what_the_client_does_not_know_is_ignored(connect: Connect) -> None:
    given = {"amount": 8, "id": "00aa", "C_": POINT, "mood": "fine", "dleq": None}

    (signature,) = canned(connect, {"signatures": [given], "news": []})

    assert (signature.amount, signature.c, signature.dleq) == (8, POINT, None)


@pytest.mark.parametrize(
    "body",
    [
        {"outputs": [{"B_": POINT}], "signatures": []},
        {
            "outputs": [{"B_": "other"}],
            "signatures": [{"amount": 8, "id": "00aa", "C_": POINT}],
        },
        {"outputs": [{"B_": POINT}], "signatures": [{"amount": 8, "id": "00bb", "C_": POINT}]},
        {
            "outputs": [{"B_": POINT}] * 2,
            "signatures": [{"amount": 8, "id": "00aa", "C_": POINT}] * 2,
        },
    ],
)
def test_a_restore_of_something_else_is_no_answer(connect: Connect, body: object) -> None:
    server = CannedServer(answer(json.dumps(body).encode()))

    with server, pytest.raises(MintAnswerError):
        connect(server.url).restore(ASKED)


@pytest.mark.parametrize(
    "states",
    [[], [{"Y": "other", "state": "SPENT"}], [{"Y": POINT, "state": "GONE"}], [7]],
)
def test_states_of_something_else_are_no_answer(connect: Connect, states: object) -> None:
    server = CannedServer(answer(json.dumps({"states": states}).encode()))

    with server, pytest.raises(MintAnswerError):
        connect(server.url).states([POINT])


def test_much_is_asked_in_batches(fake_mint: FakeMint, connect: Connect) -> None:
    client, count = connect(fake_mint.url), 2 * BATCH_MAX + 1
    ys = [crypto.hash_to_curve(str(number)) for number in range(count)]
    prepared = prepare(fake_mint.active("sat").id, [1] * 5)

    states = client.states(ys)
    restored = client.restore(prepared.outputs * 41)

    assert states == dict.fromkeys(ys, ProofState.UNSPENT)
    assert restored == []
    assert (fake_mint.calls["checkstate"], fake_mint.calls["restore"]) == (3, 3)


def test_nothing_is_asked_about_nothing(fake_mint: FakeMint, connect: Connect) -> None:
    client = connect(fake_mint.url)

    assert client.states([]) == {}
    assert client.restore([]) == []
    assert not fake_mint.calls


def test_the_mint_is_never_shown_the_blinding(fake_mint: FakeMint, connect: Connect) -> None:
    inputs = decode(fake_mint.fund(8)).proofs
    assert inputs[0].dleq is not None

    connect(fake_mint.url).swap(inputs, prepare(fake_mint.active("sat").id, split(7)).outputs)

    (sent,) = fake_mint.bodies
    assert "dleq" not in json.dumps(sent)
    assert inputs[0].dleq.r not in json.dumps(sent)


def test_a_quote_that_was_not_locked_is_no_answer(connect: Connect) -> None:
    body = {"quote": "q", "request": "lnbc1", "state": "UNPAID", "expiry": None}

    with CannedServer(answer(json.dumps(body).encode())) as server:
        client = connect(server.url)
        with pytest.raises(MintAnswerError):
            client.mint_quote(8, "sat", POINT)
        assert client.mint_quote(8, "sat").state is QuoteState.UNPAID


def test_quotes_of_old_mints_are_read(connect: Connect) -> None:
    body = {"quote": "q", "amount": 8, "fee_reserve": 2, "paid": True}

    with CannedServer(answer(json.dumps(body).encode())) as server:
        assert connect(server.url).melt_quote("lnbc1", "sat").state is QuoteState.PAID


@pytest.mark.parametrize(
    "body",
    [
        {"quote": "", "state": "PAID"},
        {"quote": "q", "state": "FINE"},
        {"quote": "q", "state": "PAID", "amount": -1},
        {"quote": "q", "state": "PAID", "change": [{"amount": 1, "id": "00aa", "C_": POINT}]},
    ],
)
def test_a_melt_answer_that_is_none_is_unknown(connect: Connect, body: object) -> None:
    server = CannedServer(answer(json.dumps(body).encode()))

    with server, pytest.raises(MintAnswerError):
        connect(server.url).melt("", [], [])


def test_the_environment_does_not_lead_us_elsewhere(
    fake_mint: FakeMint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with requests.Session() as session:
        client = MintClient(
            fake_mint.url,
            session,
            connect_timeout_s=1.0,
            read_timeout_s=5.0,
            answer_bytes_max=ANSWER_BYTES_MAX,
        )

        assert client.info().name == "fake"


def test_a_client_is_of_a_mint_with_a_proper_url(connect: Connect) -> None:
    assert connect("HTTP://Mint.Example/").url == "http://mint.example"
    with pytest.raises(TokenMintError):
        connect("file:///etc/passwd")


@pytest.mark.parametrize(
    ("said", "pause_s"), [("Retry-After: 120", 120.0), ("Retry-After: soon", None), ("", None)]
)
def test_a_mint_with_too_many_requests_says_for_how_long(
    connect: Connect, said: str, pause_s: float | None
) -> None:
    headers = [said] if said else []

    with pytest.raises(MintLimitError) as limited:
        canned(connect, {"detail": "Rate limit exceeded."}, "429 Too Many Requests", *headers)

    assert limited.value.retry_after_s == pause_s


def test_a_mint_that_is_to_be_left_alone_is_not_called(
    fake_mint: FakeMint, connect: Connect
) -> None:
    client = connect(fake_mint.url)
    client._gate = Gate(fake_mint.url)
    fake_mint.fault("info", Fault.RATE_LIMIT)
    with pytest.raises(MintLimitError):
        client.info()

    with pytest.raises(MintBusyError):
        client.info()

    assert fake_mint.calls["info"] == 1
