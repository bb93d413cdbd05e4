from __future__ import annotations

import json
from fractions import Fraction
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from domain.errors import (
    InsufficientFundsError,
    InvalidBoundError,
    RequestInProgressError,
    RequestRepeatedError,
    UnknownAccountError,
    UnknownModelError,
)
from domain.msat import Msat
from domain.pricing import ModelPrice, PriceBook
from domain.request import TEMPLATE_TOKENS_MAX
from tests.cashier.counter import (
    BOOK,
    COMPLETION_MSAT,
    COST_MSAT,
    EMBEDDER,
    IMAGE_MSAT,
    MODEL,
    PROMPT_MSAT,
    REQUEST_MSAT,
    answer,
    call_of,
    chat,
    usage,
)
from tests.cashier.house import ALICE, BOB, TERMS
from tests.doubles.upstream import Behaviour

if TYPE_CHECKING:
    from tests.cashier.conftest import OpenCounter
    from tests.cashier.counter import Counter
    from tests.cashier.house import House
    from tests.doubles.upstream import UpstreamDouble

PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}


def body_of(served: Any) -> bytes:
    assert isinstance(served.body, bytes)
    return served.body


def test_the_cost_is_charged_and_the_rest_of_the_hold_comes_back(
    counter: Counter, funded: House
) -> None:
    call = chat()

    served = counter.serve(call)

    assert served.status == 200
    charged = counter.charged()
    assert charged.held_msat == counter.ceiling_msat(call) > COST_MSAT
    amounts = (charged.cost_msat, charged.from_hold_msat, charged.from_available_msat)
    assert amounts == (COST_MSAT, COST_MSAT, 0)
    assert (funded.available_msat(), funded.held_msat()) == (100_000 - COST_MSAT, 0)


def test_the_client_is_told_the_cost_where_existing_clients_look(counter: Counter) -> None:
    served = counter.serve(chat())

    document = json.loads(body_of(served))
    cost = {
        "base_msats": 100,
        "input_msats": 6,
        "output_msats": 42,
        "total_msats": 148,
        "cache_read_input_tokens": 0,
        "cache_creation_input_tokens": 0,
        "cache_read_msats": 0,
        "cache_creation_msats": 0,
    }
    assert document["usage"]["cost"] == cost
    assert document["usage"]["cost_sats"] == 1
    assert document["cost"] == {**cost, "input_tokens": 3, "output_tokens": 14}
    told = {name: value for name, value in served.headers.items() if "cost" in name}
    assert told == {
        "x-routstr-cost-msats": "148",
        "x-routstr-input-cost-msats": "6",
        "x-routstr-output-cost-msats": "42",
    }


def test_the_body_goes_to_the_upstream_as_it_came(
    counter: Counter, upstream: UpstreamDouble
) -> None:
    call = chat(metadata={"odd": [1.50, "\u00e9"]})

    counter.serve(call)

    assert upstream.requests[-1].body == call.body


def test_the_charge_tells_how_it_was_worked_out(counter: Counter) -> None:
    """M17."""
    counter.serve(chat(model="mini"))

    charged, held = counter.charged(), counter.held()
    assert charged.terms == held.terms
    terms = charged.terms
    assert (terms.model, terms.route, terms.price_version) == (MODEL, "main", BOOK.version)
    used = charged.usage
    assert (used.prompt_tokens, used.completion_tokens, used.estimated) == (3, 14, False)


def test_an_overrun_is_paid_from_what_is_free_and_then_by_the_house(
    counter: Counter, funded: House, upstream: UpstreamDouble
) -> None:
    """M16: never below zero, and never from another request's hold."""
    funded.ledger.hold(uuid4(), ALICE, Msat(20_000), TERMS)
    upstream.behave(Behaviour(body=answer(usage=usage(10, 50_000))))
    call = chat()

    counter.serve(call)

    charged = counter.charged()
    assert charged.cost_msat == 100 + 20 + 150_000
    assert charged.from_hold_msat == charged.held_msat == counter.ceiling_msat(call)
    assert charged.from_available_msat == 80_000 - charged.held_msat
    assert charged.shortfall_msat == charged.cost_msat - 80_000
    assert (funded.available_msat(), funded.held_msat()) == (0, 20_000)


def test_a_small_overrun_is_paid_from_what_is_free(
    counter: Counter, funded: House, upstream: UpstreamDouble
) -> None:
    """M16."""
    upstream.behave(Behaviour(body=answer(usage=usage(10, 1_000))))

    counter.serve(chat())

    charged = counter.charged()
    assert (charged.cost_msat, charged.shortfall_msat) == (3_120, 0)
    assert funded.available_msat() == 100_000 - 3_120


def test_an_unknown_model_is_refused_before_money_moves(
    counter: Counter, funded: House, upstream: UpstreamDouble
) -> None:
    head = funded.store.head()

    with pytest.raises(UnknownModelError):
        counter.serve(chat(model="gpt-5"))

    assert (funded.store.head(), upstream.requests) == (head, [])


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens", "max_output_tokens"])
@pytest.mark.parametrize("value", [-1, 0, 10**9, True, "100", 1.5])
def test_a_senseless_limit_is_refused_before_money_moves(
    counter: Counter, funded: House, upstream: UpstreamDouble, name: str, value: Any
) -> None:
    """M22."""
    head = funded.store.head()

    with pytest.raises(InvalidBoundError, match=name):
        counter.serve(chat(**{name: value}))

    assert (funded.store.head(), upstream.requests) == (head, [])


def test_of_several_limits_the_larger_is_held_for(counter: Counter) -> None:
    """M22."""
    call = chat(max_tokens=10, max_completion_tokens=1_000)

    counter.serve(call)

    read = len(call.body) + TEMPLATE_TOKENS_MAX
    most_msat = REQUEST_MSAT + PROMPT_MSAT * read + COMPLETION_MSAT * 1_000
    assert counter.held().amount_msat == most_msat


def test_several_answers_are_held_for_and_charged(counter: Counter) -> None:
    """M22."""
    call = chat(n=3)

    counter.serve(call)

    read = len(call.body) + TEMPLATE_TOKENS_MAX
    most_msat = REQUEST_MSAT + PROMPT_MSAT * read + COMPLETION_MSAT * 300
    assert counter.held().amount_msat == most_msat
    assert counter.charged().cost_msat == 100 + 2 * 3 + 3 * 14 * 3


def test_what_is_not_covered_is_refused_before_the_upstream_is_asked(
    counter: Counter, funded: House, upstream: UpstreamDouble
) -> None:
    call = chat(max_tokens=100_000)

    with pytest.raises(InsufficientFundsError) as refusal:
        counter.serve(call)

    assert refusal.value.required_msat == counter.ceiling_msat(call)
    assert refusal.value.available_msat == funded.available_msat() == 100_000
    assert upstream.requests == []


def test_an_account_nobody_opened_is_refused(
    counter: Counter, upstream: UpstreamDouble
) -> None:
    with pytest.raises(UnknownAccountError):
        counter.serve(chat(account_id=BOB))

    assert upstream.requests == []


def test_the_same_request_is_served_once(counter: Counter, upstream: UpstreamDouble) -> None:
    request_id = uuid4()
    counter.serve(chat(request_id=request_id))

    with pytest.raises(RequestRepeatedError):
        counter.serve(chat(request_id=request_id))

    assert counter.charged().cost_msat == COST_MSAT
    assert len(upstream.requests) == 1


def test_the_same_request_waits_while_it_is_served(
    counter: Counter, upstream: UpstreamDouble
) -> None:
    request_id = uuid4()
    stream = counter.stream(request_id=request_id)

    with pytest.raises(RequestInProgressError):
        counter.serve(chat(request_id=request_id))

    stream.close()
    assert len(upstream.requests) == 1


def test_prices_are_those_of_the_moment_of_admission(
    open_counter: OpenCounter, funded: House
) -> None:
    """M17: neither a new rate nor a new list changes what a running request costs."""
    price = ModelPrice(id=MODEL, currency="usd", completion=Fraction("0.001"))
    counter = open_counter(book=PriceBook({MODEL: price}))
    stream = counter.stream()
    counter.btc_usd, counter.seconds = "50000", 10.0
    dearer = ModelPrice(id=MODEL, currency="usd", completion=Fraction(1))
    later = open_counter(book=PriceBook({MODEL: dearer}))

    b"".join(stream)

    charged = counter.charged()
    assert (charged.cost_msat, charged.terms.btc_usd) == (14 * 1_000, "100000")
    assert charged.terms.price_version == PriceBook({MODEL: price}).version
    assert counter.ceiling_msat(chat()) == 2 * 100 * 1_000
    assert later.ceiling_msat(chat()) == 100 * 10**6
    assert funded.available_msat() == 86_000


def test_pictures_are_counted_by_the_request(counter: Counter) -> None:
    content = [{"type": "text", "text": "how are you?"}, PICTURE, PICTURE]
    call = chat(messages=[{"role": "user", "content": content}])

    counter.serve(call)

    charged = counter.charged()
    assert charged.usage.images == 2
    assert charged.cost_msat == COST_MSAT + 2 * IMAGE_MSAT


def test_cached_input_is_charged_at_its_own_price(
    counter: Counter, upstream: UpstreamDouble
) -> None:
    """M21."""
    details = {"prompt_tokens_details": {"cached_tokens": 8}}
    upstream.behave(Behaviour(body=answer(usage=usage(10, 1, **details))))

    counter.serve(chat())

    assert counter.charged().cost_msat == 100 + 2 * 2 + 8 * 1 + 3


def test_an_embedding_costs_its_input_only(counter: Counter, funded: House) -> None:
    """M21: a completion that costs nothing does not make the whole hold the price."""
    document = {"model": EMBEDDER, "input": "how are you today?"}

    served = counter.serve(call_of(document, path="/embeddings"))

    assert served.status == 200
    charged = counter.charged()
    assert (charged.cost_msat, charged.usage.completion_tokens) == (2 * 4, 0)
    assert charged.held_msat > charged.cost_msat
    assert funded.available_msat() == 100_000 - 8


def test_the_models_own_name_in_the_answer_decides_nothing(
    counter: Counter, upstream: UpstreamDouble
) -> None:
    """M21: an upstream may call the model as it likes."""
    body = answer(usage=usage(3, 14)).replace(b'"c1"', b'"c1", "model": "another-2026"')
    upstream.behave(Behaviour(body=body))

    counter.serve(chat())

    assert counter.charged().cost_msat == COST_MSAT
