from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from msgspec.structs import replace

from domain.catalogue import (
    FEE_MAX,
    KEY_BYTES_MAX,
    MODELS_MAX,
    PATTERNS_MAX,
    PRIORITY_MAX,
    TEXT_MAX,
    URL_MAX,
    Provider,
    ProviderRow,
    check_models,
    check_provider,
    margin_of,
)
from domain.command import Needs
from domain.errors import (
    InvalidProviderError,
    LedgerBrokenError,
    PricingError,
    ProviderChangedError,
)
from domain.guards import GuardRows
from domain.provider import (
    WHO_MAX,
    ListModels,
    ProviderListed,
    ProviderRemoved,
    ProviderSet,
    RemoveProvider,
    SetProvider,
)
from tests.domain.given import LATER, made, name

ID, OTHER_ID = name(500), name(501)
PROVIDER = Provider(base_url="https://a.example/v1", sealed_key=b"sealed", fee="1.05")
DEARER = replace(PROVIDER, fee="1.1")
MODELS = ({"id": "gpt-x", "pricing": {"prompt": "0.1", "completion": "0.2"}},)
NEW = SetProvider(ID, 0, "a", "me", PROVIDER)


def with_one() -> GuardRows:
    rows = GuardRows()
    made(NEW, rows)
    return rows


def test_a_provider_is_recorded_with_who_wanted_it() -> None:
    rows = GuardRows()

    entry = made(NEW, rows)

    assert (entry.stream, entry.version) == (ID, 1)
    assert entry.event == ProviderSet(at=LATER, name="a", provider=PROVIDER, who="me")
    assert rows.providers.get("a") == ProviderRow(ID, 1, PROVIDER, ())


def test_a_change_of_terms_leaves_the_models_as_they_are() -> None:
    rows = with_one()
    made(ListModels(ID, 1, "a", "me", MODELS), rows)

    made(SetProvider(ID, 2, "a", "you", DEARER), rows)

    assert rows.providers.get("a") == ProviderRow(ID, 3, DEARER, MODELS)


def test_a_new_list_leaves_the_terms_as_they_are() -> None:
    rows = with_one()

    entry = made(ListModels(ID, 1, "a", "back office", MODELS), rows)

    assert entry.event == ProviderListed(at=LATER, name="a", models=MODELS, who="back office")
    assert rows.providers.get("a") == ProviderRow(ID, 2, PROVIDER, MODELS)


def test_a_provider_that_is_removed_is_gone_and_its_name_is_free() -> None:
    rows = with_one()

    entry = made(RemoveProvider(ID, 1, "a", "me"), rows)
    again = made(SetProvider(OTHER_ID, 0, "a", "me", DEARER), rows)

    assert entry.event == ProviderRemoved(at=LATER, name="a", who="me")
    assert (again.stream, again.version) == (OTHER_ID, 1)
    assert rows.providers.get("a") == ProviderRow(OTHER_ID, 1, DEARER, ())


OUTDATED = {
    "the name is taken": SetProvider(OTHER_ID, 0, "a", "me", PROVIDER),
    "it is there already": SetProvider(ID, 0, "a", "me", DEARER),
    "it was changed meanwhile": SetProvider(ID, 7, "a", "me", DEARER),
    "another one has its name now": ListModels(OTHER_ID, 1, "a", "me", MODELS),
    "its list was changed": ListModels(ID, 0, "a", "me", MODELS),
    "it was removed": SetProvider(ID, 1, "b", "me", DEARER),
    "it never was": RemoveProvider(ID, 0, "b", "me"),
    "there is nobody to list": ListModels(ID, 0, "b", "me", MODELS),
}


@pytest.mark.parametrize("command", OUTDATED.values(), ids=OUTDATED)
def test_what_was_wanted_of_another_state_is_refused(command: Any) -> None:
    """M47: what was meant for one provider never reaches another one of its name."""
    rows = with_one()
    before = dict(rows.providers.rows)

    with pytest.raises(ProviderChangedError, match=command.name):
        made(command, rows)

    assert rows.providers.rows == before


def test_a_change_is_never_answered_by_an_older_one() -> None:
    with pytest.raises(ProviderChangedError):
        NEW.replay([made(NEW, GuardRows())])


def test_a_change_reads_the_provider_of_its_name() -> None:
    needs = Needs()

    NEW.need(needs)

    assert needs == Needs(providers={"a"})


def test_a_list_of_nobody_is_a_broken_log() -> None:
    listed = ProviderListed(at=LATER, name="a", models=MODELS, who="me")

    with pytest.raises(LedgerBrokenError, match="provider a"):
        listed.apply(GuardRows(), ID, 1)


@pytest.mark.parametrize("who", ["", "x" * (WHO_MAX + 1)])
def test_somebody_must_have_wanted_it(who: str) -> None:
    with pytest.raises(InvalidProviderError, match="who"):
        made(SetProvider(ID, 0, "a", who, PROVIDER), GuardRows())


@pytest.mark.parametrize("called", ["", "A", "-a", "a b", "a" * 41, "ä", "a/b"])
def test_a_name_is_short_and_plain(called: str) -> None:
    with pytest.raises(InvalidProviderError, match="name"):
        check_provider(called, PROVIDER)


SENSELESS = {
    "no address": ({"base_url": ""}, "base_url"),
    "a long address": ({"base_url": "h" * (URL_MAX + 1)}, "base_url"),
    "a long key": ({"sealed_key": b"k" * (KEY_BYTES_MAX + 1)}, "key"),
    "no fee": ({"fee": "0"}, "fee"),
    "a fee below nothing": ({"fee": "-1"}, "fee"),
    "a fee beyond all": ({"fee": str(FEE_MAX + 1)}, "fee"),
    "a fee that is no number": ({"fee": "much"}, "fee"),
    "a priority beyond all": ({"priority": -PRIORITY_MAX - 1}, "priority"),
    "many patterns": ({"only": ("*",) * (PATTERNS_MAX + 1)}, "only"),
    "an empty pattern": ({"only": ("",)}, "only"),
    "a long pattern": ({"only": ("*" * (TEXT_MAX + 1),)}, "only"),
}


@pytest.mark.parametrize(("members", "field"), SENSELESS.values(), ids=SENSELESS)
def test_what_cannot_be_meant_is_refused(members: dict[str, Any], field: str) -> None:
    command = SetProvider(ID, 0, "a", "me", replace(PROVIDER, **members))

    with pytest.raises(InvalidProviderError, match=field) as refusal:
        made(command, GuardRows())

    assert refusal.value.field == field


def test_a_catalogue_that_cannot_be_sold_from_is_refused() -> None:
    with pytest.raises(PricingError, match="pricing"):
        made(ListModels(ID, 1, "a", "me", ({"id": "gpt-x"},)), with_one())
    with pytest.raises(PricingError, match=str(MODELS_MAX)):
        check_models([MODELS[0]] * (MODELS_MAX + 1))


def test_the_fee_of_a_provider_is_raised_by_the_houses_own() -> None:
    assert 1 + margin_of("1.1", Fraction("1.005")) == Fraction("1.1055")
