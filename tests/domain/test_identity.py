from __future__ import annotations

from domain import identity
from tests.domain.given import ALICE, BOB


def test_names_are_for_ever() -> None:
    """A changed line here is money nobody finds again."""
    names = [
        identity.account_of_key("sk-test"),
        identity.account_of_token("a"),
        identity.deposit_of_token("a"),
        identity.hold_of_request(ALICE, "r"),
        identity.prices_of_version("p1"),
        identity.change_of_request(ALICE),
        identity.payout_of_request(ALICE, "r"),
        identity.reconciliation_of("https://mint.example"),
        identity.advance_of_keyset("00aa", 3),
    ]

    assert [str(each) for each in names] == [
        "6ed7669c-200a-580f-a680-5c2c1b8442ab",
        "9f644fec-2e7d-5067-989b-ad0f40009f62",
        "ab346e9d-828b-510c-929a-c47ad96179e7",
        "3697a05b-3205-52ed-a345-46bb675e990d",
        "a9f0faba-b0fc-5eeb-9e9b-185a33f06073",
        "d147c6df-2f22-5dfa-b6e4-3be818dc56ea",
        "61bc9edc-271d-505c-aa47-1a5dac0d13c9",
        "3c326dc9-5e4c-5c1a-960a-31b0a0b1c2b1",
        "57dc2a5c-59f0-524e-80c4-83f043882182",
    ]


def test_different_things_have_different_names() -> None:
    names = {
        identity.account_of_key("a"),
        identity.account_of_token("a"),
        identity.deposit_of_token("a"),
        identity.prices_of_version("a"),
        identity.change_of_request(ALICE),
        identity.hold_of_request(ALICE, "a"),
        identity.hold_of_request(BOB, "a"),
        identity.hold_of_request(ALICE, "b"),
    }

    assert len(names) == 8


def test_each_attempt_of_a_request_has_a_hold_of_its_own() -> None:
    attempts = [identity.hold_of_request(ALICE, "r", attempt) for attempt in range(10)]

    assert attempts[0] == identity.hold_of_request(ALICE, "r")
    assert str(attempts[1]) == "40af07e3-8b98-536d-b209-0e193e067f80"
    assert len({*attempts, identity.hold_of_request(ALICE, "attempt:1")}) == 11
