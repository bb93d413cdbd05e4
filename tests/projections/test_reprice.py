from __future__ import annotations

from fractions import Fraction

from domain.hold import Metered
from domain.price_list import from_models_json
from projections.moments import Period
from projections.reprice import Repriced, reprice
from tests.projections.story import CLIENTS, Story

USAGE = Metered(prompt_tokens=1000, completion_tokens=500)


def book(margin: str = "0", **prices: str) -> object:
    models = [
        {"id": model, "pricing": {"prompt": price, "completion": price}}
        for model, price in prices.items()
    ]
    return from_models_json({"models": models}, Fraction(margin))


def charged(*charges: tuple[str, int, str]) -> Story:
    story = Story()
    story.deposit(CLIENTS[0], 100_000)
    for model, msat, rate in charges:
        story.wait(hours=1)
        story.charge(story.hold(CLIENTS[0], msat, model, rate), msat, USAGE)
    return story


def repriced(story: Story, prices: object, period: Period = Period()) -> dict[str, Repriced]:  # noqa: B008
    events = (entry.event for entry in story.entries)
    return reprice(events, prices, period)  # type: ignore[arg-type]


def test_each_model_is_priced_again_at_the_rate_of_each_request() -> None:
    story = charged(("m", 100, "100000"), ("m", 200, "50000"))

    told = repriced(story, book(m="0.000001"))

    # 1500 tokens are 0.0015 dollars: 1500 msat at the first rate, 3000 at the second.
    assert told == {"m": Repriced(2, 300, 4500, 0)}
    assert told["m"].difference_msat == 4200


def test_a_margin_raises_what_would_have_been_earned() -> None:
    story = charged(("m", 100, "100000"))

    assert repriced(story, book("0.1", m="0.000001"))["m"].would_be_msat == 1650


def test_a_request_without_a_rate_takes_the_newest_observed_before() -> None:
    story = charged(("m", 1, ""))
    story.ledger.observe_rate(story.new(), "100000", ("here",))
    story.charge(story.hold(CLIENTS[0], 1, "m", ""), 1, USAGE)

    assert repriced(story, book(m="0.000001")) == {"m": Repriced(1, 1, 1500, unpriced=1)}


def test_a_model_the_other_book_lacks_is_counted_apart() -> None:
    story = charged(("m", 100, "100000"), ("n", 100, "100000"))

    told = repriced(story, book(m="0.000001"))

    assert list(told) == ["m", "n"]
    assert told["n"] == Repriced(0, 0, 0, unpriced=1)
    assert told["m"] + told["n"] == Repriced(1, 100, 1500, 1)


def test_only_the_period_is_priced() -> None:
    story = charged(("m", 100, "100000"), ("m", 200, "100000"))
    period = Period(story.entries[-1].event.at, None)

    assert repriced(story, book(m="0.000001"), period)["m"].charged_msat == 200
