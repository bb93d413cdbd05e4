"""Reading what an upstream says was used, in whichever dialect it says it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from math import ceil

from domain.bounds import Usage
from domain.exact import exact

COUNT_MAX = 100_000_000
USD_MAX, USD_DECIMALS = 10_000, 18
CHARACTERS_PER_TOKEN = 4
SPOKEN_TOKENS_PER_CHARACTER, HEARD_TOKENS_PER_SECOND = 2, 10
READ = ("prompt_tokens_details", "input_tokens_details", "input_token_details")
WRITTEN = ("completion_tokens_details", "output_tokens_details", "output_token_details")


def estimate(prompt_bytes: int, delivered_text_characters: int) -> Usage:
    """Guess the usage of an answer that told none: four characters a token.

    >>> guess = estimate(10, 8)
    >>> guess.prompt_tokens, guess.completion_tokens, guess.estimated
    (3, 2, True)
    """
    return Usage(
        prompt_tokens=-(-prompt_bytes // CHARACTERS_PER_TOKEN),
        completion_tokens=-(-delivered_text_characters // CHARACTERS_PER_TOKEN),
        estimated=True,
    )


def spoken(guess: Usage, characters: int) -> Usage:
    """Return the guess of a voice: about two tokens for each of its characters."""
    tokens = SPOKEN_TOKENS_PER_CHARACTER * characters
    return replace(guess, completion_tokens=tokens, spoken_tokens=tokens)


def heard(guess: Usage, seconds: int) -> Usage:
    """Return the guess of a recording of so many seconds, of some tokens each."""
    tokens = HEARD_TOKENS_PER_SECOND * seconds
    prompt = guess.prompt_tokens + tokens
    return replace(guess, prompt_tokens=prompt, audio_tokens=tokens, seconds=seconds)


def usage_of(document: object) -> Usage | None:
    """Return the usage told by an answer or by one event of a stream, in any dialect.

    OpenAI's chat, completions, embeddings, Responses and transcriptions, DeepSeek's cache
    counts, and Anthropic's messages. None where there is none, or where a count is not a
    sensible whole number: a hostile figure is never charged.
    """
    members = usage_members(document)
    return None if members is None else with_searches(usage_from(members), document)


def with_searches(usage: Usage | None, document: object) -> Usage | None:
    """Return `usage` with the searches that stand in a Responses' output, if it tells none.

    >>> with_searches(Usage(), {"output": [{"type": "web_search_call"}]}).web_searches
    1
    """
    if usage is None or usage.web_searches or not isinstance(document, Mapping):
        return usage
    inner = document.get("response")
    output = (inner if isinstance(inner, Mapping) else document).get("output")
    items = output if isinstance(output, list) else ()
    searches = sum(
        isinstance(item, Mapping) and item.get("type") == "web_search_call" for item in items
    )
    return replace(usage, web_searches=searches) if searches else usage


def usage_members(document: object) -> Mapping[str, object] | None:
    """Return the raw usage, wherever in `document` its dialect puts it."""
    if not isinstance(document, Mapping):
        return None
    for holder in (document, *(document.get(n) for n in ("response", "message", "x_groq"))):
        if isinstance(holder, Mapping) and isinstance(holder.get("usage"), Mapping):
            members: Mapping[str, object] = holder["usage"]
            return members
    return None


class _HostileCountError(ValueError):
    """A count is not a whole number from 0 to a hundred million."""


def _count(members: Mapping[str, object], *names: str) -> int:
    """Return the first of `names` that is given, 0 if none is."""
    for name in names:
        value = members.get(name)
        if value is None:
            continue
        if type(value) is not int or not 0 <= value <= COUNT_MAX:
            raise _HostileCountError(name)
        return value
    return 0


def _details(members: Mapping[str, object], *names: str) -> Mapping[str, object]:
    for name in names:
        details = members.get(name)
        if isinstance(details, Mapping):
            return details
    return {}


def usage_from(members: Mapping[str, object]) -> Usage | None:
    """Return what the `members` of a usage count, None if nothing is counted in them."""
    names = ("prompt_tokens", "completion_tokens", "input_tokens", "output_tokens", "seconds")
    if all(members.get(name) is None for name in names):
        return None
    try:
        return _counted(members)
    except _HostileCountError:
        return None


def _counted(members: Mapping[str, object]) -> Usage:
    read, written = _details(members, *READ), _details(members, *WRITTEN)
    prompt = _count(members, "prompt_tokens", "input_tokens")
    completion = _count(members, "completion_tokens", "output_tokens")
    total = _count(members, "total_tokens")
    reasoning = _count(written, "reasoning_tokens")
    cached = _count(read, "cached_tokens") or _count(
        members, "prompt_cache_hit_tokens", "cache_read_input_tokens"
    )
    cache_write = _count(read, "cache_write_tokens") or _count(
        members, "cache_creation_input_tokens"
    )
    anthropic = "prompt_tokens" not in members and not read
    if anthropic or cached + cache_write > prompt:
        # Anthropic counts what went through its cache beside the input, not within it.
        prompt += cached + cache_write
    if reasoning > completion or (reasoning and total == prompt + completion + reasoning):
        # xAI and Perplexity count the reasoning beside the completion.
        completion += reasoning
    long = _count(_details(members, "cache_creation"), "ephemeral_1h_input_tokens")
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        cached_tokens=cached,
        cache_write_tokens=cache_write,
        reasoning_tokens=reasoning,
        web_searches=_count(_details(members, "server_tool_use"), "web_search_requests")
        or _count(members, "num_search_queries"),
        seconds=_seconds(members),
        audio_tokens=min(_count(read, "audio_tokens"), prompt),
        spoken_tokens=min(_count(written, "audio_tokens"), completion),
        long_cache_tokens=min(long, cache_write),
        upstream_usd=_asked_usd(members),
    )


def _seconds(members: Mapping[str, object]) -> int:
    value = members.get("seconds")
    seconds = 0 if value is None else seconds_in(value)
    if seconds is None:
        raise _HostileCountError("seconds")
    return seconds


def seconds_in(value: object) -> int | None:
    """Return a duration in whole seconds, a begun one counted; None if it is none.

    >>> seconds_in(8.47), seconds_in("9"), seconds_in(-1), seconds_in("long")
    (9, 9, None, None)
    """
    try:
        seconds = ceil(exact(value))
    except ValueError:
        return None
    return seconds if 0 <= seconds <= COUNT_MAX else None


def _asked_usd(members: Mapping[str, object]) -> str:
    """Return what an upstream asks for the request, in dollars; empty if it does not say.

    OpenRouter says `cost`, and, where it used a key of ours at another house, what that
    house will ask; Routstr's nodes say `cost.total_usd`. Nothing is not believed: a model
    that is sold is not free.
    """
    cost = members.get("cost")
    amounts = [cost.get("total_usd") if isinstance(cost, Mapping) else cost]
    if members.get("is_byok") is True:
        amounts.append(_details(members, "cost_details").get("upstream_inference_cost"))
    told = [amount for amount in amounts if amount is not None]
    if not told:
        return ""
    try:
        usd = sum(map(exact, told), Fraction(0))
    except ValueError:
        return ""
    # Some write more decimals than any price list has.
    rounded = Fraction(ceil(usd * 10**USD_DECIMALS), 10**USD_DECIMALS)
    return decimal_text(rounded) if 0 < rounded < USD_MAX else ""


def decimal_text(number: Fraction) -> str:
    """Write a number that has finitely many decimals in full.

    >>> decimal_text(Fraction(3, 20_000_000)), decimal_text(Fraction(12))
    ('0.00000015', '12')
    """
    decimals = 0
    while number.denominator != 1:
        number, decimals = number * 10, decimals + 1
    digits = str(number.numerator).rjust(decimals + 1, "0")
    return f"{digits[:-decimals]}.{digits[-decimals:]}" if decimals else digits
