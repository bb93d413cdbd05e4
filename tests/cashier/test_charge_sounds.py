"""Files and sounds: no honest answer costs more than was held for it."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st

from app.cashier.charge import body_for
from app.cashier.form import Form, Part
from app.cashier.paths import PATHS, bounds_of
from domain.bounds import Bounds, Usage
from domain.pricing import ModelPrice
from tests.cashier.counter import call_of

prices = st.fractions(min_value=0, max_value=5, max_denominator=1_000)
counts = st.integers(0, 20_000)
sizes = st.sampled_from(["1x1", "hd 1x1"])


@st.composite
def model_prices(draw: Any) -> ModelPrice:
    part = st.none() | prices
    return ModelPrice(
        id="m",
        currency="msat",
        prompt=draw(prices),
        completion=draw(prices),
        image=draw(prices),
        audio=draw(part),
        audio_output=draw(part),
        second=draw(part),
        character=draw(part),
        image_sizes=draw(
            st.none() | st.dictionaries(st.sampled_from(["1x1", "hd 1x1"]), prices)
        ),
        context_length=draw(st.none() | st.integers(1, 10_000)),
        max_completion_tokens=draw(st.none() | st.integers(1, 5_000)),
        max_seconds=draw(st.none() | st.integers(1, 10_000)),
    )


@st.composite
def documents(draw: Any) -> dict[str, Any]:
    return {
        "input": draw(st.text(max_size=200)),
        "n": draw(st.integers(1, 10)),
        "size": draw(st.sampled_from(["1x1", "auto", "9x9"])),
        "quality": draw(st.sampled_from(["hd", "auto"])),
        "file": {"type": "form_file", "seconds_max": draw(counts)},
        "image": {"type": "form_file"},
    }


def within(bounds: Bounds, data: st.DataObject) -> Usage:
    """Draw what an honest upstream may tell of a request within `bounds`."""

    def up_to(most: int) -> int:
        return data.draw(st.integers(0, most))

    prompt = up_to(bounds.prompt_tokens_max)
    written = bounds.completion_tokens_max
    if bounds.context_tokens_max is not None:
        prompt = min(prompt, bounds.context_tokens_max)
        written = min(written, bounds.context_tokens_max - prompt)
    completion = up_to(bounds.choices * written)
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        audio_tokens=up_to(prompt) if bounds.hears else 0,
        spoken_tokens=up_to(completion) if bounds.speaks else 0,
        images=up_to(bounds.images),
        seconds=up_to(bounds.seconds),
        characters=bounds.characters,
        image_size=data.draw(st.sampled_from(["", bounds.image_size])),
    )


@given(
    path=st.sampled_from([path for path, how in PATHS.items() if how.kind != "text"]),
    price=model_prices(),
    document=documents(),
    prompt_bytes=counts,
    data=st.data(),
)
def test_no_honest_answer_costs_more_than_was_held(
    path: str,
    price: ModelPrice,
    document: dict[str, Any],
    prompt_bytes: int,
    data: st.DataObject,
) -> None:
    bounds = bounds_of(path, document, prompt_bytes, price)

    used = within(bounds, data)

    assert bounds.admit(used)
    assert price.ceiling(bounds, None) >= price.cost(used, None).total


@given(
    price=model_prices(),
    seconds=st.integers(1, 600),
    heard_a_second=st.integers(0, 50),
    written=st.integers(0, 5_000),
)
def test_a_recording_that_is_as_long_as_it_shows_is_always_covered(
    price: ModelPrice, seconds: int, heard_a_second: int, written: int
) -> None:
    longest = price.max_seconds or 7_200
    lasts = min(seconds, longest)
    used = Usage(
        prompt_tokens=30 + lasts * heard_a_second,
        completion_tokens=min(written, price.max_completion_tokens or written),
        audio_tokens=lasts * heard_a_second,
        seconds=lasts,
    )
    assume(price.max_completion_tokens or written <= (price.context_length or 32_000))
    document = {"file": {"seconds_max": seconds}}

    bounds = bounds_of("/audio/transcriptions", document, 30, price)

    assert bounds.admit(used)
    assert price.ceiling(bounds, None) >= price.cost(used, None).total


def test_a_form_is_written_for_a_provider_that_calls_its_model_otherwise() -> None:
    form = Form((Part("model", b"mine"), Part("file", b"\x00", "a.wav", "audio/wav")))
    call = call_of({"model": "mine"}, path="/audio/transcriptions", form=form)

    same, other = body_for(call, "mine"), body_for(call, "theirs")

    assert same == call.body == form.written()
    assert other == same.replace(b"mine", b"theirs")


def test_a_file_is_no_text_that_a_model_would_read() -> None:
    form = Form((Part("model", b"m"), Part("file", bytes(10_000), "a.wav", "audio/wav")))

    call = call_of({"model": "m"}, path="/audio/transcriptions", form=form)

    assert call.prompt_bytes == len(form.written()) - 10_000 < 500


def test_seconds_are_priced_exactly() -> None:
    price = ModelPrice(id="m", currency="msat", second=Fraction(1, 3))

    assert price.cost(Usage(seconds=4), None).total.msat == 2
