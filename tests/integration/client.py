"""A client of the service over real HTTP, as strict as an SDK about what it is answered."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import requests

from tests.integration.house import QUESTION

TIMEOUT_S = (10.0, 45.0)
OK = 200
CHAT = "/v1/chat/completions"
READ_BYTES = 1_024


@dataclass(frozen=True)
class Reply:
    """An answer that came whole."""

    status: int
    request_id: str
    body: bytes

    @property
    def document(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.body)
        return document

    @property
    def error(self) -> dict[str, Any]:
        """The error, as OpenAI's SDKs read it."""
        error: dict[str, Any] = self.document["error"]
        return error

    @property
    def error_code(self) -> str:
        """The code of the error, "" if it is none."""
        return str(self.document.get("error", {}).get("code", ""))

    @property
    def is_clean_error(self) -> bool:
        """Tell whether this is an error that every SDK understands."""
        kinds = {name: type(self.error.get(name)) for name in ("message", "type", "code")}
        return self.status >= requests.codes.bad_request and set(kinds.values()) == {str}

    @property
    def is_whole_stream(self) -> bool:
        return self.status == OK and self.body.rstrip().endswith(b"data: [DONE]")

    @property
    def is_cut_short(self) -> bool:
        """Tell whether a stream has come to an end that neither is one nor says why."""
        is_told = b'\ndata: {"error":' in b"\n" + self.body
        return self.status == OK and not self.is_whole_stream and not is_told


@dataclass(frozen=True)
class Client:
    """Calls with one credential. Each call is a connection of its own.

    A dropped connection is `requests.RequestException`.
    """

    base_url: str
    bearer: str

    def chat(
        self,
        *,
        stream: bool = False,
        model: str = "gpt-4o-mini",
        question: str = QUESTION,
        request_key: str | None = None,
    ) -> Reply:
        body = chat_body(stream=stream, model=model, question=question)
        headers = {} if request_key is None else {"Idempotency-Key": request_key}
        return self.post(CHAT, body, headers)

    def leave_a_stream(self, *, model: str) -> Reply:
        """Begin to read a stream, and hang up; return what was read."""
        with self._session() as session:
            answer = session.post(
                self.base_url + CHAT,
                json=chat_body(stream=True, model=model, question=QUESTION),
                timeout=TIMEOUT_S,
                stream=True,
            )
            with answer:
                seen = next(answer.iter_content(READ_BYTES), b"")
            return Reply(answer.status_code, answer.headers.get("x-request-id", ""), seen)

    def info(self) -> Reply:
        return self._ask("GET", "/v1/balance/info", None, {})

    def msat(self) -> tuple[int, int]:
        """Return what is available and held."""
        document = self.info().document
        return document["balance"], document["reserved"]

    def topup(self, token: str) -> Reply:
        return self.post("/v1/balance/topup", {"cashu_token": token})

    def refund(self) -> Reply:
        return self.post("/v1/balance/refund", {})

    def pay(self, name: str, address: str, amount_sat: int) -> Reply:
        """Ask for a part of the money at a Lightning address; the same name pays once."""
        wish = {"lightning_address": address, "amount_sats": amount_sat}
        return self.post("/v1/wallet/refund", wish, {"Idempotency-Key": name})

    def get(self, path: str) -> Reply:
        return self._ask("GET", path, None, {})

    def post(self, path: str, document: object, headers: dict[str, str] | None = None) -> Reply:
        return self._ask("POST", path, document, headers or {})

    def _ask(self, method: str, path: str, document: object, headers: dict[str, str]) -> Reply:
        with self._session() as session:
            answer = session.request(
                method,
                self.base_url + path,
                json=document,
                headers=headers,
                timeout=TIMEOUT_S,
            )
            request_id = answer.headers.get("x-request-id", "")
            return Reply(answer.status_code, request_id, answer.content)

    def _session(self) -> requests.Session:
        session = requests.Session()
        session.trust_env = False
        session.headers["Authorization"] = f"Bearer {self.bearer}"
        return session


def open_account(base_url: str, token: str) -> Client:
    """Return a client whose API key was bought with `token`."""
    reply = Client(base_url, "none").post(
        "/v1/balance/create", {"initial_balance_token": token}
    )
    return Client(base_url, reply.document["api_key"])


def chat_body(*, stream: bool, model: str, question: str) -> dict[str, Any]:
    return {
        "model": model,
        "messages": [{"role": "user", "content": question}],
        "max_tokens": 64,
        "stream": stream,
    }
