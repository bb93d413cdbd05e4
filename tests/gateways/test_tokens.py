"""Tokens are read as the specification writes them, and nothing else is taken for one."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.gateways.mint import cbor, crypto, tokens
from app.gateways.mint.errors import (
    TokenAmountError,
    TokenDuplicateError,
    TokenError,
    TokenFormatError,
    TokenKeysetError,
    TokenMintError,
    TokenSizeError,
)
from app.gateways.mint.tokens import Dleq, Proof, Token
from tests.gateways.vectors import vectors

NUT00 = vectors("00")
V1_ID, V2_ID = "009a1f293253e41e", vectors("13")["v2"]["keyset_id"]
POINT = NUT00["hash_to_curve"][0]["point"]
HEX32 = st.binary(min_size=32, max_size=32).map(bytes.hex)
PROOFS = st.builds(
    Proof,
    keyset_id=st.sampled_from([V1_ID, V2_ID, V2_ID[:16]]),
    amount=st.integers(1, 2**50),
    secret=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=80),
    c=st.sampled_from([case["point"] for case in NUT00["hash_to_curve"]]),
    dleq=st.none() | st.builds(Dleq, HEX32, HEX32, HEX32),
    witness=st.none() | st.text('abc{}"', min_size=1, max_size=20),
)
TOKENS = st.builds(
    Token,
    mint=st.just("https://mint.example"),
    unit=st.sampled_from(["sat", "msat", "usd"]),
    proofs=st.lists(PROOFS, min_size=1, max_size=20, unique_by=lambda proof: proof.secret).map(
        lambda proofs: tuple(sorted(proofs, key=lambda proof: proof.keyset_id))
    ),
    memo=st.none() | st.just("Thank you"),
)


def v3(**changes: Any) -> str:
    """A V3 token of one proof, with parts of it exchanged."""
    proof = {"id": V1_ID, "amount": 8, "secret": "the secret", "C": POINT}
    proof |= {name: changes.pop(name) for name in list(changes) if name in (*proof, "dleq")}
    entry = {"mint": "https://mint.example", "proofs": [proof]}
    table = {"token": [entry], "unit": "sat"} | changes
    return "cashuA" + base64.urlsafe_b64encode(json.dumps(table).encode()).decode()


def v4(*, proof: dict[str, Any] | None = None, **changes: Any) -> str:
    inner = {"a": 8, "s": "the secret", "c": bytes.fromhex(POINT)} | (proof or {})
    table = {
        "t": [{"i": bytes.fromhex(V1_ID), "p": [inner]}],
        "m": "https://mint.example",
        "u": "sat",
    } | changes
    return "cashuB" + base64.urlsafe_b64encode(cbor2.dumps(table)).decode()


def test_v3_vector_nut00() -> None:
    case = NUT00["v3"]["token"]
    entry = case["token"][0]

    token = tokens.decode(NUT00["v3"]["serialized"])

    assert (token.mint, token.unit, token.memo) == (entry["mint"], "sat", "Thank you.")
    assert token.proofs == tuple(
        Proof(proof["id"], proof["amount"], proof["secret"], proof["C"])
        for proof in entry["proofs"]
    )
    assert token.amount == 10


@pytest.mark.parametrize("text", NUT00["v3"]["invalid"])
def test_wrong_prefixes_are_refused_nut00(text: str) -> None:
    with pytest.raises(TokenFormatError):
        tokens.decode(text)


def test_padding_may_be_left_out_nut00() -> None:
    padded, unpadded = NUT00["v3"]["padded"], NUT00["v3"]["unpadded"]

    assert padded != unpadded
    assert tokens.decode(padded) == tokens.decode(unpadded)


@pytest.mark.parametrize("case", NUT00["v4"])
def test_v4_vectors_nut00(case: dict[str, Any]) -> None:
    expected = tuple(
        Proof(group["i"], proof["a"], proof["s"], proof["c"])
        for group in case["token"]["t"]
        for proof in group["p"]
    )

    token = tokens.decode(case["serialized"])

    assert token == Token("http://localhost:3338", "sat", expected, case["token"].get("d"))
    assert tokens.encode(token) == case["serialized"].rstrip("=")


@given(token=TOKENS)
def test_what_was_written_is_read_again(token: Token) -> None:
    text = tokens.encode(token)

    assert tokens.decode(text) == token
    assert tokens.decode(f" cashu:{text}\n") == token


@given(token=TOKENS)
def test_our_cbor_is_everybodys(token: Token) -> None:
    text = tokens.encode(token)[len("cashuB") :]

    table = cbor2.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))

    assert table["m"] == token.mint
    assert sum(len(group["p"]) for group in table["t"]) == len(token.proofs)


@given(token=TOKENS, data=st.data())
def test_a_tokens_id_is_that_of_its_proofs_in_any_order(
    token: Token, data: st.DataObject
) -> None:
    shuffled = data.draw(st.permutations(token.proofs))
    bare = [replace(proof, dleq=None, witness=None) for proof in shuffled]

    assert tokens.token_id(bare) == tokens.token_id(token.proofs)
    assert tokens.token_id(token.proofs[1:]) != tokens.token_id(token.proofs)


def test_v3_and_v4_of_the_same_proofs_have_one_id() -> None:
    old, new = tokens.decode(v3()), tokens.decode(v4())

    assert old == new
    assert tokens.token_id(old.proofs) == tokens.token_id(new.proofs)


@given(
    text=st.text(max_size=200)
    | st.binary(max_size=200).map(
        lambda data: "cashuB" + base64.urlsafe_b64encode(data).decode()
    )
)
def test_anything_else_is_refused_and_nothing_else_happens(text: str) -> None:
    with pytest.raises(TokenError):
        tokens.decode(text)


@given(cut=st.integers(0, 400), token=TOKENS)
def test_a_damaged_token_never_crashes(cut: int, token: Token) -> None:
    text = tokens.encode(token)
    damaged = text[:cut] + text[cut + 1 :]

    try:
        read = tokens.decode(damaged)
    except TokenError:
        return

    assert read.proofs


@pytest.mark.parametrize("amount", [-8, 0, 8.0, 0.5, True, "8", None, [8], 2**63 + 1])
def test_strange_amounts_are_refused(amount: object) -> None:
    with pytest.raises(TokenError):
        tokens.decode(v4(proof={"a": amount}))
    with pytest.raises(TokenAmountError):
        tokens.decode(v3(amount=amount))


def test_the_largest_amount_there_is_a_key_for_is_taken() -> None:
    assert tokens.decode(v3(amount=2**63)).amount == 2**63


def test_proofs_may_not_add_up_to_more_than_there_is() -> None:
    proofs = tuple(Proof(V1_ID, 2**63, secret, POINT) for secret in ("one", "two"))

    with pytest.raises(TokenAmountError):
        tokens.decode(tokens.encode(Token("https://mint.example", "sat", proofs)))


def test_the_same_proof_twice_is_refused() -> None:
    proof = Proof(V1_ID, 8, "the secret", POINT)
    twice = (proof, replace(proof, amount=16))

    with pytest.raises(TokenDuplicateError):
        tokens.decode(tokens.encode(Token("https://mint.example", "sat", twice)))


@pytest.mark.parametrize("count", [100, 101])
def test_at_most_a_hundred_proofs_are_read(count: int) -> None:
    proofs = tuple(Proof(V1_ID, 1, f"secret {number}", POINT) for number in range(count))
    text = tokens.encode(Token("https://mint.example", "sat", proofs))

    if count == 100:
        assert len(tokens.decode(text).proofs) == 100
    else:
        with pytest.raises(TokenSizeError):
            tokens.decode(text)


def test_a_token_that_is_too_long_is_not_even_looked_at() -> None:
    with pytest.raises(TokenSizeError):
        tokens.decode("cashuA" + "A" * tokens.TOKEN_CHARS_MAX)


@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
def test_a_deep_nest_is_refused(opening: bytes) -> None:
    text = "cashuA" + base64.urlsafe_b64encode(opening * 8_000).decode()

    with pytest.raises(TokenFormatError):
        tokens.decode(text)


@pytest.mark.parametrize(
    "entries",
    [
        [],
        [{"proofs": []}],
        [{"mint": "https://a.example", "proofs": []}, {"mint": "https://b.example"}],
        [{"mint": 7, "proofs": []}],
    ],
)
def test_a_token_has_exactly_one_mint(entries: list[Any]) -> None:
    with pytest.raises(TokenMintError):
        tokens.decode(v3(token=entries))


@pytest.mark.parametrize(
    "text",
    [
        v3(token=7),
        v3(token=["x"]),
        v3(token=[{"mint": "https://mint.example", "proofs": []}]),
        v4(t=7),
        v4(t=[]),
        v4(proof={"c": POINT}),
        v4(proof={"d": 7}),
        v4(proof={"w": 7}),
        "cashuB" + "A" * 5,
        "cashuA" + base64.urlsafe_b64encode(b"[]").decode(),
        "cashuBéé",
    ],
)
def test_a_part_of_another_kind_is_refused(text: str) -> None:
    with pytest.raises(TokenFormatError):
        tokens.decode(text)


def test_two_entries_of_one_mint_are_one_token() -> None:
    entries = [
        {
            "mint": mint,
            "proofs": [{"id": V1_ID, "amount": 1, "secret": mint, "C": POINT}],
        }
        for mint in ("https://mint.example/", "HTTPS://MINT.example")
    ]

    token = tokens.decode(v3(token=entries))

    assert token.mint == "https://mint.example"
    assert token.amount == 2


def test_only_v3_may_leave_the_unit_out() -> None:
    assert tokens.decode(v3(unit=None)).unit == "sat"
    with pytest.raises(TokenFormatError):
        tokens.decode(v4(u=None))


@pytest.mark.parametrize("unit", ["", "s a t", "x" * 17, 7, "<b>"])
def test_a_strange_unit_is_refused(unit: object) -> None:
    with pytest.raises(TokenFormatError):
        tokens.decode(v3(unit=unit))


@pytest.mark.parametrize(
    "keyset_id", ["", "00", "I2yN+iRYfkzT", "02" + V1_ID[2:], "00" + "zz" * 7]
)
def test_a_strange_keyset_id_is_refused(keyset_id: str) -> None:
    with pytest.raises(TokenKeysetError):
        tokens.decode(v3(id=keyset_id))


@pytest.mark.parametrize("secret", ["", 7, None, "s" * 1025, "\ud800"])
def test_a_strange_secret_is_refused(secret: object) -> None:
    with pytest.raises(TokenFormatError):
        tokens.decode(v3(secret=secret))


@pytest.mark.parametrize("point", ["", POINT[:-2], "05" + POINT[2:], 7, "02" + "ff" * 32])
def test_a_signature_that_is_no_point_is_refused(point: object) -> None:
    with pytest.raises(TokenFormatError):
        tokens.decode(v3(C=point))


def test_hex_is_read_in_either_case_and_kept_in_one() -> None:
    assert tokens.decode(v3(C=POINT.upper(), id=V1_ID.upper())) == tokens.decode(v3())


def test_a_dleq_without_its_factor_convinces_nobody() -> None:
    token = tokens.decode(v3(dleq={"e": "11" * 32, "s": "22" * 32}))

    assert token.proofs[0].dleq is None


@pytest.mark.parametrize("dleq", [7, {"e": "1", "s": "2", "r": "3"}, {"r": "33" * 32}])
def test_a_malformed_dleq_is_refused(dleq: object) -> None:
    with pytest.raises(TokenFormatError):
        tokens.decode(v3(dleq=dleq))


def test_a_memo_is_cut_and_cleaned() -> None:
    memo = "thanks\x00\x1b[31m\n\u202e " + "very much " * 50

    shown = tokens.decode(v3(memo=memo)).memo

    assert shown is not None
    assert len(shown) <= tokens.MEMO_CHARS_MAX
    assert shown.isprintable()
    assert shown.startswith("thanks")


def test_unknown_fields_are_ignored() -> None:
    assert tokens.decode(v4(x=[1, {"y": None}], proof={"z": True})) == tokens.decode(v4())


@pytest.mark.parametrize(
    ("url", "normal"),
    [
        ("https://Mint.Example/", "https://mint.example"),
        ("HTTPS://mint.example:443/Bitcoin//", "https://mint.example/Bitcoin"),
        ("http://127.0.0.1:3338", "http://127.0.0.1:3338"),
        ("http://[::1]:80/", "http://[::1]"),
    ],
)
def test_a_mint_has_one_spelling(url: str, normal: str) -> None:
    assert tokens.normal_mint_url(url) == normal


@pytest.mark.parametrize(
    "url",
    [
        "", "mint.example", "ftp://mint.example", "https://", "https://a@mint.example",
        "https://mint.example?x", "https://mint.example#x", "https://mint.example:x",
        "https://mint.ex\nample", "https://mint.example\\@evil", "https://mïnt.example",
        "https://" + "m" * 600, None,
    ],
)  # fmt: skip
def test_a_strange_url_is_refused(url: str | None) -> None:
    with pytest.raises(TokenMintError):
        tokens.normal_mint_url(url)


def test_no_fault_shows_the_token() -> None:
    secret = "5" * 64
    faulty = [
        v3(secret=secret, amount=-1),
        v3(secret=secret, C="no"),
        v3(secret=secret, id="00"),
    ]

    messages = []
    for text in faulty:
        with pytest.raises(TokenError) as fault:
            tokens.decode(text)
        messages.append(f"{fault.value}{fault.value.__cause__}")

    assert not any(secret[:8] in message for message in messages)


def test_a_proof_and_a_token_show_no_secret() -> None:
    text = repr(tokens.decode(v3(secret="very secret")))

    assert "very secret" not in text
    assert POINT not in text


def test_encoding_keeps_what_a_third_party_needs() -> None:
    dleq = Dleq("11" * 32, "22" * 32, "33" * 32)
    proof = Proof(V2_ID, 4, crypto.random_key().hex(), POINT, dleq, '{"signatures":[]}')

    text = tokens.encode(Token("https://mint.example", "sat", (proof,)))

    assert tokens.decode(text).proofs == (proof,)
    assert cbor.decode(base64.urlsafe_b64decode(text[6:] + "=" * (-len(text[6:]) % 4)))
