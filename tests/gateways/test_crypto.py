"""The curve operations give what the specification's vectors give, and never a secret away."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from typing import Any

import pytest
from cashu.core.crypto import b_dhke
from coincurve import PrivateKey, PublicKey
from hypothesis import given
from hypothesis import strategies as st

from app.gateways.errors import MintAnswerError
from app.gateways.mint import crypto, wire
from app.gateways.mint.crypto import Dleq, Seed
from app.gateways.mint.errors import CurveError, MnemonicError
from tests.gateways.vectors import vectors

NUT00, NUT02, NUT11, NUT12 = vectors("00"), vectors("02"), vectors("11"), vectors("12")
NUT13, NUT20 = vectors("13"), vectors("20")
SCALARS = st.integers(1, crypto.CURVE_ORDER - 1).map(lambda number: number.to_bytes(32, "big"))


def mint_signature(b: str, key: bytes) -> tuple[str, str, str]:
    """What a mint answers: C_, e, s."""
    c, e, s = b_dhke.step2_bob(PublicKey(bytes.fromhex(b)), PrivateKey(key))
    return c.format().hex(), e.to_hex(), s.to_hex()


@pytest.mark.parametrize("case", NUT00["hash_to_curve"])
def test_hash_to_curve_nut00(case: dict[str, str]) -> None:
    assert crypto.hash_to_curve(bytes.fromhex(case["message"]).decode()) == case["point"]


@pytest.mark.parametrize("case", NUT00["blinded_messages"])
def test_blinded_messages_nut00(case: dict[str, str]) -> None:
    y = b_dhke.hash_to_curve(bytes.fromhex(case["x"]))

    assert crypto._blinded(y, bytes.fromhex(case["r"])) == case["B_"]


@pytest.mark.parametrize("case", NUT00["blind_signatures"])
def test_blind_signatures_nut00(case: dict[str, str]) -> None:
    assert mint_signature(case["B_"], bytes.fromhex(case["k"]))[0] == case["C_"]


@pytest.mark.parametrize("keys", vectors("01")["valid"])
def test_proper_keys_are_taken_nut01(keys: dict[str, str]) -> None:
    read = wire.read_keys({"keysets": [{"id": "00", "keys": keys}]}, "00")

    assert read.by_amount == {int(amount): key for amount, key in keys.items()}


@pytest.mark.parametrize("keys", vectors("01")["invalid"])
def test_improper_keys_are_refused_nut01(keys: dict[str, str]) -> None:
    with pytest.raises(MintAnswerError):
        wire.read_keys({"keysets": [{"id": "00", "keys": keys}]}, "00")


def amounts(keys: dict[str, str]) -> dict[int, str]:
    return {int(amount): key for amount, key in keys.items()}


@pytest.mark.parametrize("case", NUT02["v1"])
def test_keyset_ids_v1_nut02(case: dict[str, Any]) -> None:
    assert crypto.keyset_id_v1(amounts(case["keys"])) == case["id"]
    assert crypto.keyset_id_is_genuine(case["id"], amounts(case["keys"]), "sat", 0, None)


@pytest.mark.parametrize("case", NUT02["v2"])
def test_keyset_ids_v2_nut02(case: dict[str, Any]) -> None:
    keys, fee, expiry = amounts(case["keys"]), case["input_fee_ppk"], case["final_expiry"]

    assert crypto.keyset_id_v2(keys, case["unit"], fee, expiry) == case["id"]
    assert crypto.keyset_id_is_genuine(case["id"], keys, case["unit"], fee, expiry)
    assert not crypto.keyset_id_is_genuine(case["id"], keys, "usd", fee, expiry)
    assert not crypto.keyset_id_is_genuine(case["id"], keys, case["unit"], fee + 1, expiry)


def test_a_final_expiry_of_zero_is_genuine_in_both_spellings() -> None:
    keys = amounts(NUT02["v1"][0]["keys"])
    spelt_out = crypto.keyset_id_v2(keys, "sat", 100, 0)
    left_out = crypto.keyset_id_v2(keys, "sat", 100, None)

    assert spelt_out != left_out
    assert crypto.keyset_id_is_genuine(spelt_out, keys, "sat", 100, 0)
    assert crypto.keyset_id_is_genuine(left_out, keys, "sat", 100, 0)
    assert not crypto.keyset_id_is_genuine(spelt_out, keys, "sat", 100, None)


@pytest.mark.parametrize(("place", "holds"), [(3, True), (4, False)])
def test_p2pk_signatures_nut11(place: int, *, holds: bool) -> None:
    proof = NUT11["cases"][place]["data"]
    key = json.loads(proof["secret"])[1]["data"]
    (signature,) = json.loads(proof["witness"])["signatures"]

    assert crypto.signature_holds(key, proof["secret"], signature) is holds


def test_multisig_signatures_nut11() -> None:
    proof = NUT11["cases"][1]["data"]
    secret, signatures = proof["secret"], json.loads(proof["witness"])["signatures"]
    body = json.loads(secret)[1]
    keys = [body["data"], *{tag[0]: tag[1:] for tag in body["tags"]}["pubkeys"]]

    signers = [
        key
        for key in keys
        for signature in signatures
        if crypto.signature_holds(key, secret, signature)
    ]

    assert len(set(signers)) == 2


def test_hash_e_nut12() -> None:
    case = NUT12["hash_e"]
    points = [PublicKey(bytes.fromhex(case[name])) for name in ("R1", "R2", "K", "C_")]

    assert b_dhke.hash_e(*points).hex() == case["hash"]


def test_a_signature_with_deterministic_nonce_nut12() -> None:
    case = NUT12["nonce"]

    c, e, s = mint_signature(case["B_"], bytes.fromhex(case["a"]))

    assert (c, e, s) == (case["C_"], case["e"], case["s"])
    assert crypto.dleq_holds_for_signature(case["A"], case["B_"], c, e, s)


def test_dleq_of_a_signature_nut12() -> None:
    case = NUT12["signature"]
    given_, dleq = case["signature"], case["signature"]["dleq"]

    assert crypto.dleq_holds_for_signature(
        case["A"], case["B_"], given_["C_"], dleq["e"], dleq["s"]
    )
    assert not crypto.dleq_holds_for_signature(
        case["A"], case["B_"], given_["C_"], dleq["s"], dleq["e"]
    )


def test_dleq_of_a_proof_nut12() -> None:
    case = NUT12["proof"]
    proof, dleq = case["proof"], Dleq(**case["proof"]["dleq"])

    assert crypto.dleq_holds_for_proof(case["A"], proof["secret"], proof["C"], dleq)
    assert not crypto.dleq_holds_for_proof(case["A"], proof["secret"] + "0", proof["C"], dleq)


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_derivation_nut13(version: str) -> None:
    seed, case = Seed.from_mnemonic(NUT13["mnemonic"]), NUT13[version]

    derived = [seed.derive(case["keyset_id"], counter) for counter in range(5)]

    assert [one.secret for one in derived] == case["secrets"]
    assert [one.blinding.hex() for one in derived] == case["r"]


@pytest.mark.parametrize(("name", "holds"), [("valid", True), ("invalid", False)])
def test_mint_request_signatures_nut20(name: str, *, holds: bool) -> None:
    case = NUT20[name]

    message = crypto.mint_message(case["quote"], (out["B_"] for out in case["outputs"]))

    assert message == NUT20["message"]
    assert crypto.signature_holds(NUT20["pubkey"], message, case["signature"]) is holds


@given(secret=st.text(min_size=1, max_size=80), r=SCALARS, key=SCALARS)
def test_what_is_unblinded_is_the_signature_on_the_secret(
    secret: str, r: bytes, key: bytes
) -> None:
    published = crypto.public_key(key)
    b = crypto.blind(secret, r)

    c_, e, s = mint_signature(b, key)
    c = crypto.unblind(c_, r, published)

    assert b_dhke.verify(PrivateKey(key), PublicKey(bytes.fromhex(c)), secret)
    assert crypto.dleq_holds_for_signature(published, b, c_, e, s)
    assert crypto.dleq_holds_for_proof(published, secret, c, Dleq(e, s, r.hex()))
    assert not crypto.dleq_holds_for_signature(crypto.public_key(r), b, c_, e, s) or r == key


@given(key=SCALARS, message=st.text(max_size=50))
def test_a_signature_holds_for_its_key_and_message_only(key: bytes, message: str) -> None:
    signature = crypto.sign(key, message)

    assert crypto.signature_holds(crypto.public_key(key), message, signature)
    assert not crypto.signature_holds(crypto.public_key(key), message + "!", signature)
    assert not crypto.signature_holds("02" + "00" * 32, message, signature)
    assert not crypto.signature_holds(crypto.public_key(key), message, "zz")


@pytest.mark.parametrize(
    "bad", ["", "02", "05" + "11" * 32, "02" + "ff" * 32, "02" + "GG" * 32]
)
def test_what_is_no_point_is_refused(bad: str) -> None:
    assert not crypto.is_point(bad)
    with pytest.raises(CurveError):
        crypto.unblind(bad, b"\x01" * 32, crypto.public_key(b"\x01" * 32))


@pytest.mark.parametrize("factor", [bytes(32), b"\xff" * 32])
def test_a_factor_beyond_the_curve_blinds_nothing(factor: bytes) -> None:
    point = crypto.public_key(b"\x01" * 32)

    with pytest.raises(CurveError):
        crypto.blind("secret", factor)
    with pytest.raises(CurveError):
        crypto.unblind(point, factor, point)


def test_points_that_cancel_out_are_no_point() -> None:
    key = crypto.public_key(b"\x01" * 32)

    with pytest.raises(CurveError):
        crypto.unblind(key, (1).to_bytes(32, "big"), key)


@pytest.mark.parametrize("bad", ["00" * 32, "ff" * 32, "", "0x" + "1" * 62])
def test_a_dleq_of_improper_scalars_does_not_hold(bad: str) -> None:
    case = NUT12["signature"]

    c = case["signature"]["C_"]
    assert not crypto.dleq_holds_for_signature(case["A"], case["B_"], c, bad, bad)
    assert not crypto.dleq_holds_for_proof(case["A"], "secret", c, Dleq(bad, bad, bad))


@pytest.mark.parametrize(
    ("keyset_id", "counter"),
    [("009a1f293253e41e", 2**31), ("009a1f293253e41e", -1), ("02" + "00" * 32, 0), ("01ab", 0)],
)
def test_there_is_no_derivation_beyond_the_versions(keyset_id: str, counter: int) -> None:
    seed = Seed.from_mnemonic(NUT13["mnemonic"])

    with pytest.raises(ValueError, match="keyset"):
        seed.derive(keyset_id, counter)


def test_a_wrong_phrase_is_refused_without_being_shown() -> None:
    with pytest.raises(MnemonicError) as refusal:
        Seed.from_mnemonic(NUT13["mnemonic"].replace("humble", "hungry"))

    assert refusal.value.words == 12
    assert "hungry" not in str(refusal.value)
    assert refusal.value.__cause__ is None


def test_a_phrase_may_be_written_untidily() -> None:
    tidy = Seed.from_mnemonic(NUT13["mnemonic"])

    untidy = Seed.from_mnemonic("  " + NUT13["mnemonic"].upper().replace(" ", "\n "))

    assert untidy.subkey(b"x") == tidy.subkey(b"x")


def test_a_seed_shows_and_keeps_nothing() -> None:
    seed = Seed.from_mnemonic(NUT13["mnemonic"])
    derived = seed.derive("009a1f293253e41e", 0)

    assert repr(seed) == "Seed(…)"
    assert derived.secret not in repr(derived)
    assert derived.blinding.hex() not in repr(derived)
    with pytest.raises(TypeError):
        pickle.dumps(seed)


def test_each_purpose_has_its_own_subkey() -> None:
    seed = Seed.from_mnemonic(NUT13["mnemonic"])

    keys = {seed.subkey(info) for info in (b"seal", b"p2pk", b"quote")}

    assert len(keys) == 3
    assert {len(key) for key in keys} == {32}
    assert seed.subkey(b"seal") in keys


def test_many_keysets_may_be_derived_for() -> None:
    seed = Seed.from_mnemonic(NUT13["mnemonic"])
    first = seed.derive("009a1f293253e41e", 7)

    for number in range(crypto.BRANCHES_MAX + 1):
        seed.derive(f"00{number:014x}", 0)

    assert seed.derive("009a1f293253e41e", 7) == first
    assert len(seed._branches) <= crypto.BRANCHES_MAX


def test_importing_our_crypto_changes_nothing_in_the_process() -> None:
    program = (
        "import os, sys; before = dict(os.environ);"
        "import app.gateways.mint.client, app.gateways.mint.keysets;"
        "cashu = {name for name in sys.modules if name.startswith('cashu.')};"
        "assert not hasattr(sys, 'tracebacklimit'), 'tracebacks are cut';"
        "assert dict(os.environ) == before, 'the environment changed';"
        "assert all(n.startswith('cashu.core') and 'settings' not in n for n in cashu), cashu"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=False, timeout=60
    )

    assert done.returncode == 0, done.stderr.decode()
