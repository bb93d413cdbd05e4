"""What goes over the wire to a mint and back (NUT-01 to 09, 23), read leniently but surely.

Unknown fields are ignored, for mints differ; what money hangs on is checked, and raises
`MintAnswerError` when it is missing or contradicts the request.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from app.gateways.errors import MintAnswerError, readable
from app.gateways.mint import crypto

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from app.gateways.mint.tokens import Proof

AMOUNT_MAX = 2**63
KEYS_MAX = 256
KEYSETS_MAX = 1_000
TEXT_CHARS_MAX = 8_192
ID_CHARS_MAX = 256


class ProofState(StrEnum):
    """What a mint knows of a proof (NUT-07); UNSPENT is also said of what it never signed."""

    UNSPENT = "UNSPENT"
    PENDING = "PENDING"
    SPENT = "SPENT"


class QuoteState(StrEnum):
    """How far a quote is: mint quotes end ISSUED, melt quotes end PAID (NUT-04, NUT-05)."""

    UNPAID = "UNPAID"
    PENDING = "PENDING"
    PAID = "PAID"
    ISSUED = "ISSUED"


@dataclass(frozen=True, slots=True)
class BlindedMessage:
    """An output: what the mint is to sign; `b` is B_ in hex."""

    amount: int
    keyset_id: str
    b: str


@dataclass(frozen=True, slots=True)
class SignatureDleq:
    """What convinces who blinded the message that the mint's published key signed it."""

    e: str
    s: str


@dataclass(frozen=True, slots=True)
class BlindSignature:
    """The mint's signature on an output; `c` is C_ in hex, useless without the blinding."""

    amount: int
    keyset_id: str
    c: str
    dleq: SignatureDleq | None = None


@dataclass(frozen=True, slots=True)
class KeysetInfo:
    """What a mint lists of a keyset; `fee_ppk` is per thousand inputs, in the unit."""

    id: str
    unit: str
    active: bool
    fee_ppk: int = 0
    final_expiry: int | None = None


@dataclass(frozen=True, slots=True)
class Keys:
    """The public keys of one keyset: amount to point in hex."""

    keyset_id: str
    by_amount: Mapping[int, str]


@dataclass(frozen=True, slots=True)
class MintInfo:
    """What a mint tells of itself (NUT-06); `nuts` as it was sent."""

    name: str
    version: str
    nuts: Mapping[str, Any] = field(repr=False)

    def supports(self, nut: int) -> bool:
        """Tell whether the mint says that it speaks an optional NUT."""
        setting = self.nuts.get(str(nut))
        return isinstance(setting, dict) and setting.get("supported") is True


@dataclass(frozen=True, slots=True)
class MintQuote:
    """What the mint asks to be paid before it issues; whoever knows an unlocked id can mint."""

    quote: str = field(repr=False)
    request: str
    state: QuoteState
    amount: int | None
    expiry: int | None
    pubkey: str | None


@dataclass(frozen=True, slots=True)
class MeltQuote:
    """What the mint asks for paying an invoice, and how far the payment is."""

    quote: str = field(repr=False)
    amount: int | None
    fee_reserve: int | None
    state: QuoteState
    expiry: int | None
    preimage: str | None = field(repr=False)
    change: tuple[BlindSignature, ...]


def proof_json(proof: Proof) -> dict[str, object]:
    """Write an input. Its DLEQ stays here: `r` would tell the mint which swap it came from."""
    table: dict[str, object] = {
        "amount": proof.amount,
        "id": proof.keyset_id,
        "secret": proof.secret,
        "C": proof.c,
    }
    return table if proof.witness is None else table | {"witness": proof.witness}


def output_json(output: BlindedMessage) -> dict[str, object]:
    return {"amount": output.amount, "id": output.keyset_id, "B_": output.b}


def read_signatures(
    answer: Mapping[str, Any], outputs: Sequence[BlindedMessage]
) -> list[BlindSignature]:
    """Read one signature an output, each for the very amount and keyset that was asked."""
    signatures = [_signature(item) for item in _listed(answer.get("signatures"))]
    asked = [(output.amount, output.keyset_id) for output in outputs]
    if [(given.amount, given.keyset_id) for given in signatures] != asked:
        message = "the mint signed other amounts or keysets than asked"
        raise MintAnswerError(message)
    return signatures


def read_restored(
    answer: Mapping[str, Any], outputs: Sequence[BlindedMessage]
) -> list[tuple[BlindedMessage, BlindSignature]]:
    """Pair what the mint once signed with the outputs asked about; the rest is left out.

    The amount is the signature's: of the blank outputs of a melt only the mint knows it.
    """
    asked = {output.b: output for output in outputs}
    signed = [str(_table(item).get("B_")) for item in _listed(answer.get("outputs"))]
    signatures = [_signature(item) for item in _listed(answer.get("signatures"))]
    if len(signed) != len(signatures) or len(set(signed)) != len(signed):
        message = "the mint restored outputs and signatures that do not pair"
        raise MintAnswerError(message)
    if not set(signed) <= asked.keys():
        message = "the mint restored an output that was not asked for"
        raise MintAnswerError(message)
    pairs = [(asked[b], given) for b, given in zip(signed, signatures, strict=True)]
    if any(output.keyset_id != given.keyset_id for output, given in pairs):
        message = "the mint restored under another keyset"
        raise MintAnswerError(message)
    return pairs


def read_states(answer: Mapping[str, Any], ys: Sequence[str]) -> dict[str, ProofState]:
    """Read the state of every Y that was asked for."""
    states: dict[str, ProofState] = {}
    for item in map(_table, _listed(answer.get("states"))):
        state = item.get("state")
        if state not in set(ProofState):
            message = "the mint told a proof state that is none"
            raise MintAnswerError(message)
        states[str(item.get("Y"))] = ProofState(state)
    if not states.keys() >= set(ys):
        message = "the mint did not tell the state of every proof"
        raise MintAnswerError(message)
    return {y: states[y] for y in ys}


def read_keysets(answer: Mapping[str, Any]) -> list[KeysetInfo]:
    listed = _listed(answer.get("keysets"), KEYSETS_MAX)
    return [
        KeysetInfo(
            id=_text(item.get("id"), ID_CHARS_MAX),
            unit=_text(item.get("unit"), ID_CHARS_MAX).lower(),
            active=item.get("active") is True,
            fee_ppk=_optional_number(item.get("input_fee_ppk")) or 0,
            final_expiry=_optional_number(item.get("final_expiry")),
        )
        for item in map(_table, listed)
    ]


def read_keys(answer: Mapping[str, Any], keyset_id: str) -> Keys:
    """Read the keys of one keyset; each must be a point of the curve (NUT-01)."""
    for item in map(_table, _listed(answer.get("keysets"), KEYSETS_MAX)):
        if item.get("id") == keyset_id:
            return Keys(keyset_id, _keys(_table(item.get("keys"))))
    message = "the mint answered with other keysets than asked"
    raise MintAnswerError(message)


def read_info(answer: Mapping[str, Any]) -> MintInfo:
    nuts = answer.get("nuts")
    return MintInfo(
        name=readable(str(answer.get("name") or "")),
        version=readable(str(answer.get("version") or "")),
        nuts=nuts if isinstance(nuts, dict) else {},
    )


def read_mint_quote(answer: Mapping[str, Any]) -> MintQuote:
    pubkey = answer.get("pubkey")
    return MintQuote(
        quote=_text(answer.get("quote"), ID_CHARS_MAX),
        request=_text(answer.get("request"), TEXT_CHARS_MAX),
        state=_quote_state(answer, QuoteState.PAID),
        amount=_optional_number(answer.get("amount")),
        expiry=_optional_number(answer.get("expiry")),
        pubkey=pubkey if isinstance(pubkey, str) else None,
    )


def read_melt_quote(answer: Mapping[str, Any], quote: str | None = None) -> MeltQuote:
    """Read a melt quote; the answer to a melt may leave out the id, which is then `quote`."""
    preimage = answer.get("payment_preimage")
    return MeltQuote(
        quote=_text(answer.get("quote") or quote, ID_CHARS_MAX),
        amount=_optional_number(answer.get("amount")),
        fee_reserve=_optional_number(answer.get("fee_reserve")),
        state=_quote_state(answer, QuoteState.PAID),
        expiry=_optional_number(answer.get("expiry")),
        preimage=preimage if isinstance(preimage, str) else None,
        change=tuple(_signature(item) for item in _listed(answer.get("change") or [])),
    )


def _quote_state(answer: Mapping[str, Any], when_paid: QuoteState) -> QuoteState:
    """Return the state; mints before NUT-04 had states say `paid` instead."""
    state = answer.get("state")
    if state is None and isinstance(answer.get("paid"), bool):
        return when_paid if answer["paid"] else QuoteState.UNPAID
    if state not in set(QuoteState):
        message = "the mint told a quote state that is none"
        raise MintAnswerError(message)
    return QuoteState(state)


def _signature(item: object) -> BlindSignature:
    table = _table(item)
    c, dleq = table.get("C_"), table.get("dleq")
    if not isinstance(c, str) or not crypto.is_point(c):
        message = "the mint answered with a signature that is no point"
        raise MintAnswerError(message)
    return BlindSignature(
        amount=_number(table.get("amount")),
        keyset_id=_text(table.get("id"), ID_CHARS_MAX),
        c=c,
        dleq=_dleq(_table(dleq)) if dleq is not None else None,
    )


def _dleq(table: Mapping[str, Any]) -> SignatureDleq:
    e, s = table.get("e"), table.get("s")
    if not crypto.is_scalar(e) or not crypto.is_scalar(s):
        message = "the mint answered with a DLEQ that is none"
        raise MintAnswerError(message)
    return SignatureDleq(str(e), str(s))


def _keys(table: Mapping[str, Any]) -> dict[int, str]:
    if not 0 < len(table) <= KEYS_MAX or not all(map(crypto.is_point, table.values())):
        message = "the mint's keys are not points of the curve"
        raise MintAnswerError(message)
    if not all(amount.isascii() and amount.isdigit() for amount in table):
        message = "the mint has keys for amounts that are none"
        raise MintAnswerError(message)
    return {_number(int(amount[:20])): key for amount, key in _sorted_by_amount(table.items())}


def _sorted_by_amount(pairs: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    return sorted(pairs, key=lambda pair: (len(pair[0]), pair[0]))


def _table(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        message = "a part of the mint's answer that should be a table is none"
        raise MintAnswerError(message)
    return value


def _listed(value: object, most: int = 2_000) -> list[Any]:
    if not isinstance(value, list) or len(value) > most:
        message = "a part of the mint's answer that should be a list is none"
        raise MintAnswerError(message)
    return value


def _text(value: object, most: int) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= most:
        message = "a text of the mint's answer is missing or too long"
        raise MintAnswerError(message)
    return value


def _number(value: object) -> int:
    if type(value) is not int or not 0 <= value <= AMOUNT_MAX:
        message = "a number of the mint's answer is none"
        raise MintAnswerError(message)
    return value


def _optional_number(value: object) -> int | None:
    return None if value is None else _number(value)
