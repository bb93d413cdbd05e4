"""A customer of the house: keys by plain HTTP, chats with the official `openai` package."""

from __future__ import annotations

from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import openai
import requests

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from openai.types.chat import ChatCompletionMessageParam

TIMEOUT_S = 60.0
COMPLETION_TOKENS_MAX = 500


class HouseError(Exception):
    """The house did not answer as it should."""


@dataclass(frozen=True, slots=True)
class Account:
    """What the house says an account has: to spend, and set aside for requests."""

    available_msat: int
    held_msat: int


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer: its `usage`, and what the house says it cost, `None` if it did not."""

    request_id: str
    usage: Mapping[str, Any]
    told_msat: int | None


@dataclass(frozen=True, slots=True)
class Key:
    """A key of the house, and what was credited to it."""

    api_key: str = field(repr=False)
    credited_msat: int


class Customer:
    """Speaks to the house at `base_url`; to be closed, for open connections keep it up.

    Every method raises `HouseError`, or an error of `requests` or `openai`.
    """

    def __init__(self, base_url: str) -> None:
        self._base_url = base_url
        self._session = requests.Session()
        # The house is on this machine: no proxy of the environment has business with it.
        self._session.trust_env = False

    def close(self) -> None:
        self._session.close()

    def create(self, token: str) -> Key:
        """Buy a key with a token."""
        body = {"initial_balance_token": token}
        answer = self._call("POST", "/v1/wallet/create", json=body)
        return Key(answer["api_key"], answer["balance"])

    def account(self, api_key: str) -> Account:
        answer = self._call("GET", "/v1/wallet/info", headers=_bearer(api_key))
        return Account(answer["balance"], answer["reserved"])

    def refund(self, api_key: str) -> tuple[str, int]:
        """Return a token for all that is available, and its amount in sat as told."""
        answer = self._call("POST", "/v1/wallet/refund", headers=_bearer(api_key))
        if "sats" not in answer:
            raise HouseError("the refund is not in sat")
        return answer["token"], int(answer["sats"])

    def ask(self, api_key: str, model: str, question: str) -> tuple[str, Answer]:
        """Return the text of an answer that comes as a whole."""
        with self._openai(api_key) as client:
            raw = client.chat.completions.with_raw_response.create(
                model=model, messages=_said(question), max_tokens=COMPLETION_TOKENS_MAX
            )
            completion = raw.parse()
        usage = completion.usage.model_dump() if completion.usage else {}
        told = _total(usage.get("cost") or (completion.model_extra or {}).get("cost"))
        text = completion.choices[0].message.content or ""
        return text, Answer(_request_id(raw.headers), usage, told)

    def ask_streamed(
        self, api_key: str, model: str, question: str, hear: Callable[[str], None]
    ) -> Answer:
        """Let `hear` have each piece of an answer as it arrives."""
        usage: dict[str, Any] = {}
        told = None
        with self._openai(api_key) as client:
            raw = client.chat.completions.with_raw_response.create(
                model=model,
                messages=_said(question),
                max_tokens=COMPLETION_TOKENS_MAX,
                stream=True,
                stream_options={"include_usage": True},
            )
            for chunk in raw.parse():
                if chunk.usage:
                    usage = chunk.usage.model_dump()
                    told = _total(usage.get("cost") or (chunk.model_extra or {}).get("cost"))
                for choice in chunk.choices:
                    hear(choice.delta.content or "")
        return Answer(_request_id(raw.headers), usage, told)

    def _openai(self, api_key: str) -> openai.OpenAI:
        # Nothing is tried again: the tour counts what each single request costs.
        return openai.OpenAI(
            base_url=f"{self._base_url}/v1",
            api_key=api_key,
            max_retries=0,
            timeout=TIMEOUT_S,
            http_client=openai.DefaultHttpxClient(trust_env=False),
        )

    def _call(self, method: str, path: str, **request: Any) -> dict[str, Any]:
        response = self._session.request(
            method, self._base_url + path, timeout=TIMEOUT_S, **request
        )
        if response.status_code != HTTPStatus.OK:
            said = response.text[:300]
            raise HouseError(f"{method} {path} answered {response.status_code}: {said}")
        answer: dict[str, Any] = response.json()
        return answer


def _said(question: str) -> list[ChatCompletionMessageParam]:
    return [{"role": "user", "content": question}]


def _bearer(api_key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {api_key}"}


def _request_id(headers: Mapping[str, str]) -> str:
    return headers.get("x-request-id", "")


def _total(cost: Any) -> int | None:
    """Return the total of a cost as answers carry it."""
    return cost.get("total_msats") if isinstance(cost, dict) else None
