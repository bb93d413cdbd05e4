from __future__ import annotations

from datetime import UTC, datetime, timedelta

from app.web.admin import words
from domain.deposit import Received
from domain.prices import PricesAdopted
from tests.domain.given import KEYSET, claim
from tests.projections.story import Story


def test_what_is_sealed_is_only_counted() -> None:
    story = Story()
    begun = story.ledger.receive_token(story.new(), claim(), KEYSET, (4, 32, 64))
    assert isinstance(begun.event, Received)

    found = dict(words.fields(begun.event))

    assert found["claim.sealed"] == "6 bytes, sealed"
    assert found["claim.face_msat"] == "100000"
    assert found["plan.amounts"] == "[4, 32, 64]"


def test_a_long_list_is_cut_and_the_rest_counted() -> None:
    models = [{"id": f"model-{number}", "prompt": "1/3"} for number in range(30)]
    event = PricesAdopted(at=datetime.now(UTC), version="p1", document={"models": models})

    found = list(words.fields(event))

    assert ("document.models[0]", "id model-0, prompt 1/3") in found
    assert ("document.models", "and 10 more") in found
    assert len(found) == 2 + 20 + 1


def test_a_long_text_is_cut() -> None:
    event = PricesAdopted(at=datetime.now(UTC), version="x" * 1000, document={})

    found = dict(words.fields(event))

    assert len(found["version"]) == words.VALUE_CHARACTERS_MAX + 1


def test_a_moment_in_the_future_is_not_ago() -> None:
    assert words.ago(timedelta(seconds=-5).total_seconds()) == "0 s"
