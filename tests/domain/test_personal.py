"""What of an event names a person is sealed, and every text of every event is known."""

from __future__ import annotations

import typing
from base64 import b64encode

import msgspec
import pytest
from msgspec import structs

from domain.allowance import Rules
from domain.donation import Donated
from domain.key import KeySet
from domain.payout import PayoutPaid, PayoutStarted
from domain.personal import DESTINATION, REFUND_TO, Sealed, sealed_in
from domain.posting import KINDS
from tests.domain.given import ALICE, AT, BOB
from tests.domain.test_golden_log import CODEC, LINES

if typing.TYPE_CHECKING:
    from domain.event import Event

SEALED = {"Rules.refund_to", "Payment.destination"}
"""Names a person, and is sealed under a key of the account."""
SECRET = {"Claim.sealed", "Provider.sealed_key"}
"""Bearer secrets and our own, sealed under the seed: they name nobody."""
OF_THE_HOUSE = {
    "Bill.purpose", "Held.owner", "Metered.image_size", "Metered.markup",
    "Metered.upstream_usd", "OperatorActed.about", "OperatorActed.act",
    "OperatorRemoved.name", "OperatorSet.name", "OperatorSet.scopes",
    "OperatorSignedOut.name", "PricesAdopted.document", "PricesAdopted.version",
    "Provider.base_url", "Provider.fee", "Provider.only", "ProviderListed.models",
    "ProviderListed.name", "ProviderRemoved.name", "ProviderSet.name",
    "RateObserved.btc_usd", "RateObserved.sources", "Released.reason", "Rules.models",
    "Rules.reset", "SettingChanged.name", "SettingChanged.value", "SwapStarted.purpose",
    "Terms.btc_usd", "Terms.model", "Terms.price_version", "Terms.route",
}  # fmt: skip
"""Words of the house and of its operators."""
OF_OPERATORS = {"who"}
"""Fields that say which operator wanted something."""
OF_MINTS = {
    "mint", "from_mint", "unit", "quote", "request", "keyset_id", "c", "e", "s", "ys", "reason",
}  # fmt: skip
"""Fields that say what a mint is called, has made or has said; a quote names an invoice."""
MARKS = {"Held.request_hash", "Refused.dead"}
"""Hashes of what nobody finds who does not have it."""


def texts(kind: type) -> set[str]:
    """Every text in a kind of event, whatever it is made of: `Struct.field`."""
    found: set[str] = set()
    left: list[type] = [kind]
    seen: set[type] = set()
    while left:
        struct = left.pop()
        if struct in seen:
            continue
        seen.add(struct)
        for field, hint in typing.get_type_hints(struct).items():
            if typing.get_origin(hint) is typing.ClassVar:
                continue
            for part in parts(hint):
                if part in {str, bytes}:
                    found.add(f"{struct.__name__}.{field}")
                elif isinstance(part, type) and issubclass(part, msgspec.Struct | tuple):
                    left.append(part)
    return found


def parts(hint: object) -> set[object]:
    """What a type is made of: of `tuple[X, ...] | None` it is X and None."""
    found: set[object] = set()
    left = [hint]
    while left:
        each = left.pop()
        inner = typing.get_args(each)
        if inner:
            left.extend(inner)
        else:
            found.add(each)
    return found


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.TOPIC)
def test_every_text_of_an_event_is_known_to_name_nobody_or_is_sealed(kind: type[Event]) -> None:
    """A field that is new here has to be thought about: whose words are these?"""
    known, fields = SEALED | SECRET | OF_THE_HOUSE | MARKS, OF_MINTS | OF_OPERATORS

    unknown = {each for each in texts(kind) - known if each.partition(".")[2] not in fields}

    assert unknown == set()


def test_texts_are_found_wherever_they_stand() -> None:
    assert {"Rules.refund_to", "Rules.models"} <= texts(KeySet)
    assert {"Payment.destination", "Signed.c"} <= texts(PayoutPaid)


def test_an_address_that_a_key_is_bound_to_is_found() -> None:
    sealed = b64encode(b"sealed").decode()
    event = KeySet(at=AT, by=ALICE, rules=Rules(refund_to=sealed))

    assert sealed_in(event) == Sealed(ALICE, REFUND_TO, b"sealed")
    assert sealed_in(KeySet(at=AT, by=BOB, rules=Rules())) is None


def test_whom_a_payout_goes_to_is_found_in_each_of_its_events() -> None:
    found = {}
    for line in LINES:
        if line.topic.startswith("payout."):
            event = CODEC.decode(line.topic, bytes(line.state))
            found[line.topic] = sealed_in(event)

    assert len(found) == 4
    assert {each and each.field for each in found.values()} == {DESTINATION}


def test_a_payout_that_names_nobody_has_nothing_sealed() -> None:
    states = [bytes(line.state) for line in LINES if line.topic == PayoutStarted.TOPIC]
    event = CODEC.decode(PayoutStarted.TOPIC, states[-1])
    assert isinstance(event, PayoutStarted)
    nobody = structs.replace(event, payment=structs.replace(event.payment, destination=b""))

    assert sealed_in(nobody) is None
    assert sealed_in(Donated(at=AT, account_id=ALICE, amount_msat=1)) is None
