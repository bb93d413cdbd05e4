"""Speaks the HTTP API of one mint; says of each call whether it is done, not done or unknown.

Every method that sends something raises, beside what it says itself:
`UnreachableError` when no connection was made, or none is to be made for now (`gate`),
`MintRefusedError` when the mint said no, and `MintUnknownError` when nobody can tell: then
the same call is made again, with the same inputs and outputs, or NUT-09 and NUT-07 are asked.
"""

from __future__ import annotations

import json
import ssl
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import quote as url_quote

import requests
import urllib3

from app.gateways.errors import (
    GatewayError,
    MintAnswerError,
    MintLimitError,
    MintRefusedError,
    MintUnknownError,
    UnreachableError,
)
from app.gateways.mint import wire
from app.gateways.mint.gate import Gate
from app.gateways.mint.tokens import normal_mint_url
from app.gateways.pools import BarredConnectionError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from app.gateways.mint.tokens import Proof
    from app.gateways.mint.wire import (
        BlindedMessage,
        BlindSignature,
        Keys,
        KeysetInfo,
        MeltQuote,
        MintInfo,
        MintQuote,
        ProofState,
    )

BATCH_MAX = 100
READ_BYTES = 65_536
_Item = TypeVar("_Item")
# NUT error codes that are no final answer: proofs or outputs pending, payment failed (a mint
# says so of payments that succeed later), quote pending. 0 is nutshell's "something failed".
UNDECIDED_CODES: Final = frozenset({0, 11002, 11004, 20004, 20005})


class MintClient:
    """One mint, at one URL, over a session of which nothing but the transport is used.

    The limits: seconds to connect, seconds to wait for the answer's beginning and again for
    its end, and bytes of an answer. No redirect is followed, no proxy or netrc of the
    environment is used.
    """

    def __init__(
        self,
        url: str,
        session: requests.Session,
        *,
        connect_timeout_s: float,
        read_timeout_s: float,
        answer_bytes_max: int,
        gate: Gate | None = None,
    ) -> None:
        self.url = normal_mint_url(url)
        self._session = session
        self._connect_timeout_s = connect_timeout_s
        self._read_timeout_s = read_timeout_s
        self._answer_bytes_max = answer_bytes_max
        session.trust_env = False
        self._gate = gate or Gate(self.url)

    def expect_open(self) -> None:
        """Raise a `MintPausedError` if the mint is to be left alone just now."""
        self._gate.expect_open()

    def info(self) -> MintInfo:
        """Return what the mint tells of itself (NUT-06)."""
        return wire.read_info(self._get("info"))

    def keysets(self) -> list[KeysetInfo]:
        """Return every keyset the mint has or had (NUT-02)."""
        return wire.read_keysets(self._get("keysets"))

    def keys(self, keyset_id: str) -> Keys:
        """Return the keys of a keyset by its full id, each a point of the curve (NUT-01)."""
        answer = self._get(f"keys/{url_quote(keyset_id, safe='')}")
        return wire.read_keys(answer, keyset_id)

    def swap(
        self, inputs: Sequence[Proof], outputs: Sequence[BlindedMessage]
    ) -> list[BlindSignature]:
        """Give the inputs up for signatures on the outputs, in their order (NUT-03)."""
        answer = self._post("swap", {"inputs": _inputs(inputs), "outputs": _outputs(outputs)})
        return wire.read_signatures(answer, outputs)

    def restore(
        self, outputs: Sequence[BlindedMessage]
    ) -> list[tuple[BlindedMessage, BlindSignature]]:
        """Return those outputs the mint has signed, ever, with their signatures (NUT-09)."""
        pairs: list[tuple[BlindedMessage, BlindSignature]] = []
        for batch in _batches(outputs):
            answer = self._post("restore", {"outputs": _outputs(batch)})
            pairs += wire.read_restored(answer, batch)
        return pairs

    def close(self) -> None:
        """Let go of the connections to the mint."""
        self._session.close()

    def states(self, ys: Sequence[str]) -> dict[str, ProofState]:
        """Return the state of each proof, by its Y (NUT-07)."""
        states: dict[str, ProofState] = {}
        for batch in _batches(ys):
            answer = self._post("checkstate", {"Ys": list(batch)})
            states |= wire.read_states(answer, batch)
        return states

    def mint_quote(self, amount: int, unit: str, pubkey: str | None = None) -> MintQuote:
        """Ask for an invoice over `amount` in `unit`, locked to `pubkey` (NUT-04, 20, 23).

        Raises `MintAnswerError` if the mint did not lock the quote as asked.
        """
        body: dict[str, object] = {"amount": amount, "unit": unit}
        body |= {} if pubkey is None else {"pubkey": pubkey}
        given = wire.read_mint_quote(self._post("mint/quote/bolt11", body))
        if pubkey is not None and given.pubkey != pubkey:
            message = "the mint did not lock the quote to the key"
            raise MintAnswerError(message)
        return given

    def mint_quote_state(self, quote: str) -> MintQuote:
        """Return the quote as it is now."""
        return wire.read_mint_quote(self._get(f"mint/quote/bolt11/{_quoted(quote)}"))

    def mint(
        self, quote: str, outputs: Sequence[BlindedMessage], signature: str | None = None
    ) -> list[BlindSignature]:
        """Take the ecash of a paid quote, signed over `crypto.mint_message` (NUT-04, 20)."""
        body: dict[str, object] = {"quote": quote, "outputs": _outputs(outputs)}
        body |= {} if signature is None else {"signature": signature}
        return wire.read_signatures(self._post("mint/bolt11", body), outputs)

    def melt_quote(self, request: str, unit: str) -> MeltQuote:
        """Ask what paying the invoice `request` costs in `unit` (NUT-05)."""
        body: dict[str, object] = {"request": request, "unit": unit}
        return wire.read_melt_quote(self._post("melt/quote/bolt11", body))

    def melt_quote_state(self, quote: str) -> MeltQuote:
        """Return the quote as it is now; this, not a second `melt`, tells how it went."""
        answer = self._get(f"melt/quote/bolt11/{_quoted(quote)}")
        return wire.read_melt_quote(answer, quote)

    def melt(
        self, quote: str, inputs: Sequence[Proof], outputs: Sequence[BlindedMessage]
    ) -> MeltQuote:
        """Pay the quote with the inputs; blank `outputs` are for change (NUT-05, NUT-08)."""
        body: dict[str, object] = {"quote": quote, "inputs": _inputs(inputs)}
        body |= {"outputs": _outputs(outputs)} if outputs else {}
        answer = wire.read_melt_quote(self._post("melt/bolt11", body), quote)
        if len(answer.change) > len(outputs):
            message = "the mint gave more change than there were outputs for it"
            raise MintAnswerError(message)
        return answer

    def _get(self, path: str) -> dict[str, Any]:
        return self._send("GET", path, None)

    def _post(self, path: str, body: Mapping[str, object]) -> dict[str, Any]:
        return self._send("POST", path, body)

    def _send(
        self, method: str, path: str, body: Mapping[str, object] | None
    ) -> dict[str, Any]:
        with self._gate.turn():
            return self._sent(method, path, body)

    def _sent(
        self, method: str, path: str, body: Mapping[str, object] | None
    ) -> dict[str, Any]:
        try:
            with self._session.request(
                method,
                f"{self.url}/v1/{path}",
                json=body,
                headers={"Accept": "application/json", "Accept-Encoding": "identity"},
                timeout=(self._connect_timeout_s, self._read_timeout_s),
                allow_redirects=False,
                stream=True,
            ) as response:
                content = self._content(response)
                if response.status_code == HTTPStatus.TOO_MANY_REQUESTS:
                    raise MintLimitError("too many requests", retry_after_s=_pause_s(response))
                return _done(response.status_code, content)
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            raise self._translated(error) from error

    def _content(self, response: requests.Response) -> bytes:
        """Read the body within its limits; the time runs even if it comes byte by byte."""
        deadline = time.monotonic() + self._read_timeout_s
        content = bytearray()
        while chunk := response.raw.read1(READ_BYTES, decode_content=False):
            content += chunk
            if len(content) > self._answer_bytes_max:
                message = "the mint's answer is too long"
                raise MintUnknownError(message)
            if time.monotonic() > deadline:
                message = "the mint's answer does not end"
                raise MintUnknownError(message)
        return bytes(content)

    def _translated(self, error: Exception) -> GatewayError:
        reason = _reason(error)
        if isinstance(reason, BarredConnectionError):
            return reason.barred
        if isinstance(reason, urllib3.exceptions.ConnectTimeoutError):
            return UnreachableError(self.url)
        # A certificate that is not the mint's ends the handshake before anything is sent;
        # any other TLS fault may as well come after the request.
        if any(isinstance(part, ssl.SSLCertVerificationError) for part in reason.args):
            return UnreachableError(self.url)
        return MintUnknownError(f"no answer: {type(reason).__name__}")


def _reason(error: BaseException) -> BaseException:
    """Return the urllib3 error that `requests` wrapped, perhaps with a retry between."""
    inner = (
        error.args[0] if isinstance(error, requests.RequestException) and error.args else error
    )
    if isinstance(inner, urllib3.exceptions.MaxRetryError) and inner.reason is not None:
        return inner.reason
    return inner if isinstance(inner, BaseException) else error


def _done(status: int, content: bytes) -> dict[str, Any]:
    """Return the answer of a call that was done; raise what it says otherwise."""
    try:
        answer = json.loads(content)
    except (ValueError, RecursionError):
        answer = None
    if status == HTTPStatus.OK and isinstance(answer, dict):
        return answer
    if status == HTTPStatus.OK:
        message = "the mint's answer is no JSON object"
        raise MintAnswerError(message)
    raise _failure(status, answer if isinstance(answer, dict) else {})


def _failure(status: int, answer: Mapping[str, Any]) -> GatewayError:
    code = answer.get("code")
    code = code if type(code) is int else None
    detail = _detail(answer.get("detail")) or f"HTTP {status}"
    if status == HTTPStatus.UNPROCESSABLE_ENTITY and "detail" in answer:
        return MintRefusedError(code, detail)
    if not _is_client_error(status):
        return MintUnknownError(detail, code=code)
    if code is None or code in UNDECIDED_CODES:
        return MintUnknownError(detail, code=code)
    return MintRefusedError(code, detail)


def _pause_s(response: requests.Response) -> float | None:
    """Return for how many seconds a mint wants to be left alone (RFC 9110), if it says so."""
    text = response.headers.get("Retry-After", "").strip()
    return float(text[:9]) if text.isascii() and text.isdigit() else None


def _is_client_error(status: int) -> bool:
    return HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR


def _detail(detail: object) -> str:
    """Return the mint's words; of a list of faults not the `input`, which would be secrets."""
    if isinstance(detail, list):
        faults = (fault.get("msg") for fault in detail if isinstance(fault, dict))
        return "; ".join(str(fault) for fault in faults)
    return detail if isinstance(detail, str) else ""


def _inputs(proofs: Sequence[Proof]) -> list[dict[str, object]]:
    return [wire.proof_json(proof) for proof in proofs]


def _outputs(outputs: Sequence[BlindedMessage]) -> list[dict[str, object]]:
    return [wire.output_json(output) for output in outputs]


def _batches(items: Sequence[_Item]) -> Iterator[Sequence[_Item]]:
    return (items[start : start + BATCH_MAX] for start in range(0, len(items), BATCH_MAX))


def _quoted(quote: str) -> str:
    return url_quote(quote, safe="")
