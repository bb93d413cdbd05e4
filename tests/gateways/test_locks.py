"""Who may spend a proof is read from its secret, and doubt is a refusal."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.gateways.mint import crypto
from app.gateways.mint.locks import OtherLock, P2pkLock, spending_condition
from tests.gateways.vectors import vectors

CASES = [case["data"] for case in vectors("11")["cases"]]
OURS, THEIRS = crypto.public_key(b"\x01" * 32), crypto.public_key(b"\x02" * 32)
NOW = 1_700_000_000.0


def p2pk(*tags: list[str], data: object = OURS, kind: str = "P2PK") -> str:
    return json.dumps([kind, {"nonce": "ab", "data": data, "tags": list(tags)}])


def proofs_of(case: dict[str, Any]) -> list[dict[str, Any]]:
    return list(case["inputs"]) if "inputs" in case else [case]


@pytest.mark.parametrize("secret", ["5" * 64, "hello", "{}", "[", "[not json", "12", '"P2PK"'])
def test_a_plain_secret_has_no_condition(secret: str) -> None:
    assert spending_condition(secret) is None


@pytest.mark.parametrize("case", CASES)
def test_every_vector_is_read_nut11(case: dict[str, Any]) -> None:
    for proof in proofs_of(case):
        kind, body = json.loads(proof["secret"])

        lock = spending_condition(proof["secret"])

        if kind == "P2PK":
            assert isinstance(lock, P2pkLock)
            assert lock.pubkey == body["data"]
        else:
            assert lock == OtherLock("HTLC")


def test_all_tags_are_read_nut11() -> None:
    lock = spending_condition(CASES[0]["secret"])

    assert isinstance(lock, P2pkLock)
    assert (lock.locktime, lock.n_sigs, lock.n_sigs_refund) == (21, 2, 1)
    assert (len(lock.pubkeys), len(lock.refund), lock.sig_flag) == (2, 2, "SIG_INPUTS")


@pytest.mark.parametrize(
    "secret",
    [
        p2pk(["locktime", "1"], ["locktime", "2"]),
        p2pk(["sigflag", "SIG_SOME"]),
        p2pk(["n_sigs", "2"]),
        p2pk(["n_sigs", "0"]),
        p2pk(["n_sigs", "+1"]),
        p2pk(["n_sigs_refund", "2"], ["refund", THEIRS]),
        p2pk(["locktime", "tomorrow"]),
        p2pk(["locktime", "-1"]),
        p2pk(["pubkeys", "02"]),
        p2pk(["locktime", ""]),
        p2pk([]),
        p2pk(data="02" + "ff" * 32),
        p2pk(data=None),
        '["P2PK"]',
        '["P2PK",{}]',
        '["P2PK",7]',
        json.dumps(["P2PK", {"data": OURS}]),
        json.dumps(["P2PK", {"nonce": "1", "data": OURS, "tags": "abc"}]),
        json.dumps(["P2PK", {"nonce": "1", "data": OURS, "tags": ["abc"]}]),
        json.dumps(["P2PK", {"nonce": "1", "data": OURS}, 1]),
    ],
)
def test_a_malformed_lock_is_one_we_do_not_open(secret: str) -> None:
    assert spending_condition(secret) == OtherLock("P2PK")


@pytest.mark.parametrize(
    "secret",
    [
        '["P2PK",{"nonce":"1","data":"' + OURS + '","data":"' + THEIRS + '"}]',
        '["P2PK"',
        "[1]",
        "[]",
        "[" * 5_000,
    ],
)
def test_what_mints_may_read_in_another_way_is_no_plain_secret(secret: str) -> None:
    condition = spending_condition(secret)

    assert condition == (None if secret == "[" * 5_000 else OtherLock("malformed"))


def test_other_kinds_are_named() -> None:
    assert spending_condition(p2pk(kind="HTLC")) == OtherLock("HTLC")
    assert spending_condition(p2pk(kind="SOMETHING ELSE ALTOGETHER")) == OtherLock(
        "SOMETHING ELSE A"
    )


@pytest.mark.parametrize(
    ("tags", "is_ours"),
    [
        ([], True),
        ([["sigflag", "SIG_INPUTS"]], True),
        ([["locktime", "1700000001"]], True),
        ([["locktime", "1700000000"]], False),
        ([["locktime", "1700000001"], ["refund", THEIRS]], True),
        ([["sigflag", "SIG_ALL"]], False),
        ([["pubkeys", THEIRS]], False),
        ([["pubkeys", THEIRS], ["n_sigs", "2"]], False),
    ],
)
def test_only_what_nobody_else_can_spend_is_ours(
    tags: list[list[str]], *, is_ours: bool
) -> None:
    lock = spending_condition(p2pk(*tags))

    assert isinstance(lock, P2pkLock)
    assert lock.is_only_for(OURS, until=NOW) is is_ours
    assert not lock.is_only_for(THEIRS, until=NOW)


@given(text=st.text(max_size=60).map(lambda text: "[" + text))
def test_no_secret_crashes_the_reader(text: str) -> None:
    assert spending_condition(text) is None or isinstance(
        spending_condition(text), P2pkLock | OtherLock
    )
