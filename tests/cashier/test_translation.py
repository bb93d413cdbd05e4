"""Requests of other APIs, on routes that have them and on routes that have chats alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from app.cashier.parts import KNOWN_S, LOOKING_S, Parts
from app.cashier.paths import CHAT, MESSAGES, RESPONSES, bounds_of
from app.cashier.plan import tries_of
from app.cashier.stream import MeteredStream
from app.cashier.translation import Translation
from app.translating.errors import UntranslatableError
from domain.hold import Held
from tests.cashier.counter import MODEL, call_of
from tests.cashier.routes import upstream_at
from tests.doubles.upstream import Behaviour, UpstreamDouble

if TYPE_CHECKING:
    from app.cashier.bill import Call
    from app.cashier.quote import Try
    from tests.cashier.house import House
    from tests.cashier.street import Street

LACKING = {f"/v1{MESSAGES}", f"/v1{RESPONSES}"}
QUESTION = [{"role": "user", "content": "how are you today?"}]
# Each is longer as a function of a chat.
TOOLS = [{"name": "f", "input_schema": {"type": "object"}}] * 20
# The sample upstream says eleven words and the four of the question; its dialects say four,
# and count five tokens from a cache and three into it.
CHAT_MSAT = 100 + 4 * 2 + 15 * 3
NATIVE_MSAT = 100 + (4 + 5 + 3) * 2 + 4 * 3


def message(**members: Any) -> Call:
    document = {"model": MODEL, "messages": QUESTION, "max_tokens": 50, **members}
    return call_of(document, path=MESSAGES)


def paths(upstream: UpstreamDouble) -> list[str]:
    return [seen.path.removeprefix("/v1") for seen in upstream.requests]


def tries(street: Street, call: Call) -> list[Try]:
    return tries_of(
        street.counter.quotes, call.path, call.model, call.document, call.prompt_bytes
    )


def test_the_cheapest_is_asked_first_translated_or_not(street: Street) -> None:
    street.cheap.lacks = LACKING

    served = street.serve(message())

    assert served.status == 200
    assert street.counter.charged().terms.route == "main"
    assert street.counter.charged().cost_msat == CHAT_MSAT
    assert (paths(street.cheap), paths(street.dear)) == ([MESSAGES, CHAT], [])


@pytest.mark.parametrize("stream", [False, True])
def test_another_one_serves_in_its_own_way_when_the_first_fails(
    street: Street, funded: House, *, stream: bool
) -> None:
    street.cheap.lacks = LACKING
    street.cheap.behave(Behaviour(status=503))

    served = street.serve(message(stream=stream))
    if isinstance(served.body, MeteredStream):
        b"".join(served.body)
        served.body.close()

    charged = street.counter.charged()
    assert (served.status, charged.terms.route) == (200, "dear")
    assert charged.cost_msat == 3 * NATIVE_MSAT
    assert (paths(street.cheap), paths(street.dear)) == ([MESSAGES, CHAT], [MESSAGES])
    assert len([event for event in funded.log() if isinstance(event, Held)]) == 1


@pytest.mark.parametrize("stream", [False, True])
def test_another_one_serves_translated_when_the_first_fails(
    street: Street, *, stream: bool
) -> None:
    street.cheap.behave(Behaviour(status=503))
    street.dear.lacks = LACKING

    served = street.serve(message(stream=stream))
    if isinstance(served.body, MeteredStream):
        b"".join(served.body)
        served.body.close()

    assert street.counter.charged().terms.route == "dear"
    assert street.counter.charged().cost_msat == 3 * CHAT_MSAT
    assert (paths(street.cheap), paths(street.dear)) == ([MESSAGES], [MESSAGES, CHAT])


def test_an_answer_that_is_none_is_asked_of_another(street: Street) -> None:
    street.cheap.lacks = LACKING
    body = b'{"choices": [{"message": {"content": {"x": 1}}}], "usage": {"prompt_tokens": 1}}'
    street.cheap.behave(Behaviour(body=body))

    served = street.serve(message())

    assert (served.status, street.counter.charged().terms.route) == (200, "dear")


def test_what_no_chat_can_say_goes_to_those_that_need_none(street: Street) -> None:
    street.cheap.lacks = LACKING

    served = street.serve(message(top_k=3))

    assert (served.status, street.counter.charged().terms.route) == (200, "dear")
    assert [seen.body for seen in street.cheap.requests] == [b"{}"]


def test_what_nobody_can_say_is_refused_before_anything_is_held(
    street: Street, funded: House
) -> None:
    street.cheap.lacks = street.dear.lacks = LACKING
    position = len(funded.log())

    with pytest.raises(UntranslatableError):
        street.serve(message(top_k=3))

    assert len(funded.log()) == position


def test_who_has_served_it_is_not_said_to_lack_it(street: Street) -> None:
    """Then "not found" is of the request, whatever it says."""
    street.serve(message())
    street.cheap.lacks = LACKING

    street.serve(message())

    assert paths(street.cheap) == [MESSAGES, MESSAGES]
    assert paths(street.dear) == [MESSAGES]


def test_a_hold_covers_what_is_asked_in_its_place(street: Street) -> None:
    """While nobody knows what a provider has, that is both."""
    call = message(tools=TOOLS)

    for each in tries(street, call):
        translation = each.translation
        assert translation is not None
        price, ceiling = each.quote.tariff.price, each.quote.tariff.ceiling
        chat = bounds_of(CHAT, translation.chat, translation.prompt_bytes, price)
        own = bounds_of(MESSAGES, call.document, call.prompt_bytes, price)
        assert each.ceiling == max(ceiling(chat), ceiling(own))
        assert ceiling(chat) > ceiling(own)


def test_a_hold_is_for_the_chat_alone_where_there_is_nothing_else(street: Street) -> None:
    street.cheap.lacks = street.dear.lacks = LACKING
    street.serve(message())
    call = message(tools=TOOLS, system=[{"type": "text", "text": ""}] * 200)

    (each,) = (each for each in tries(street, call) if each.quote.terms.route == "main")

    assert each.translation is not None
    price, size = each.quote.tariff.price, each.translation.prompt_bytes
    chat = bounds_of(CHAT, each.translation.chat, size, price)
    assert each.ceiling == each.quote.tariff.ceiling(chat)


def test_a_chat_is_longer_than_the_request_it_is_made_of(street: Street) -> None:
    """So that the hold is not that of the request by chance."""
    call = message(tools=TOOLS)

    translation = tries(street, call)[0].translation

    assert translation is not None
    assert translation.prompt_bytes > call.prompt_bytes


def test_a_part_that_was_not_there_is_looked_for_again_after_a_while() -> None:
    now_s = 0.0
    with UpstreamDouble() as upstream:
        parts = Parts(upstream_at(upstream.base_url), lambda: now_s)
        assert parts.has(MESSAGES) is None

        assert parts.missed(MESSAGES)
        assert parts.has(MESSAGES) is False

        now_s += KNOWN_S
        assert parts.has(MESSAGES) is None

        parts.found(MESSAGES)
        assert not parts.missed(MESSAGES)
        assert parts.has(MESSAGES) is True


@pytest.mark.parametrize(
    ("behaviour", "lacks", "is_there"),
    [
        (Behaviour(status=400), (), True),
        (Behaviour(status=401), (), True),
        (Behaviour(status=500), (), True),
        (Behaviour(), LACKING, False),
        (Behaviour(body=b'{"error": "Unexpected endpoint or method. (POST /x)"}'), (), False),
        (Behaviour(status=404, body=b'{"error": {"message": "model missing"}}'), (), True),
    ],
)
def test_a_part_is_found_out_about_by_asking_it_for_nothing(
    behaviour: Behaviour, lacks: set[str], *, is_there: bool
) -> None:
    with UpstreamDouble(lacks) as upstream:
        upstream.behave(behaviour)
        parts = Parts(upstream_at(upstream.base_url))

        assert parts.look(MESSAGES) is is_there
        assert [seen.body for seen in upstream.requests] == [b"{}"]


def test_nobody_can_have_a_provider_looked_at_all_the_time() -> None:
    now_s = 0.0
    parts = Parts(upstream_at(), lambda: now_s)

    assert parts.look(MESSAGES) is None
    assert parts.has(MESSAGES) is True

    now_s += LOOKING_S
    assert parts.has(MESSAGES) is None


@pytest.mark.parametrize(
    ("base_url", "name"),
    [
        ("https://api.openai.com/v1", "max_completion_tokens"),
        ("https://house.openai.azure.com/openai/v1", "max_completion_tokens"),
        ("https://notopenai.com/v1", "max_tokens"),
        ("http://127.0.0.1:11434/v1", "max_tokens"),
    ],
)
def test_a_bound_has_the_name_that_is_obeyed_there(base_url: str, name: str) -> None:
    upstream = upstream_at(base_url)

    chat = Translation.of(MESSAGES, message().document).chat_for(upstream.limit_name)

    assert chat[name] == 50
    assert {"max_tokens", "max_completion_tokens"} & chat.keys() == {name}
