from __future__ import annotations

import re

import domain.errors
from domain.errors import HoldEndedError, LedgerError, MovementEndedError, UnknownHoldError
from tests.domain.given import name, received

SUMMARY = domain.errors.__doc__ or ""


def kinds() -> list[type[LedgerError]]:
    return [
        each
        for each in vars(domain.errors).values()
        if isinstance(each, type) and issubclass(each, LedgerError)
    ]


def test_every_error_stands_in_the_tree() -> None:
    assert sorted(each.__name__ for each in kinds()) == sorted(
        re.findall(r"\w+Error\b", SUMMARY)
    )


def test_an_error_says_what_is_wrong_without_being_told() -> None:
    assert str(UnknownHoldError(name(1))) == "No such hold was ever made."
    assert str(LedgerError()) == "Something is wrong with a movement of money."
    assert str(LedgerError("This.")) == "This."


def test_what_has_ended_says_how() -> None:
    end = received().event

    assert str(HoldEndedError(name(1), end)) == "The hold has already ended: Received."
    assert str(MovementEndedError(name(1), end)) == "The movement has already ended: Received."
