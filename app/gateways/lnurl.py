"""Asks the server of a Lightning address or LNURL for an invoice, and believes none of it.

Nothing is paid here: whatever goes wrong, no money has moved.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from app.gateways.errors import (
    FetchBrokenError,
    RecipientAmountError,
    RecipientAnswerError,
    RecipientDownError,
    RecipientFormatError,
    UnreachableError,
)
from app.gateways.mint import bech32
from app.gateways.mint.bech32 import Bech32Error
from app.gateways.mint.bolt11 import read_invoice
from app.gateways.mint.errors import InvoiceError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from app.gateways.guarded import Fetch
    from app.gateways.mint.bolt11 import Bolt11

MAINNET: Final = frozenset({"bc"})
ADDRESS_CHARS_MAX = 2_000
AMOUNT_MSAT_MAX: Final = 21_000_000 * 100_000_000_000
TIME_LEFT_MIN = timedelta(seconds=30)
"""An invoice that expires sooner than this might do so on its way to the mint."""

MADE_AHEAD_MAX = timedelta(minutes=10)
JSON_TYPES: Final = frozenset({"", "application/json", "text/json", "text/plain"})

# LUD-16; the host is looked at where it is fetched from.
_USER = re.compile(r"[a-z0-9._+-]{1,64}")
_NETLOC = re.compile(r"[a-z0-9.-]{1,253}(?::[0-9]{1,5})?|\[[0-9a-f:.]{2,45}\]:[0-9]{1,5}")


@dataclass(frozen=True, slots=True)
class Recipient:
    """Whom to pay: the address as it is shown, and where its terms are fetched from."""

    address: str
    url: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class PayTerms:
    """What a recipient takes in one payment (LUD-06), and whom to ask for the invoice."""

    recipient: Recipient
    callback: str = field(repr=False)
    min_msat: int
    max_msat: int
    metadata_hash: str


class LightningAddresses:
    """Turns what a stranger wrote into an invoice over just the amount that is to be paid.

    `networks` are the prefixes of invoices that are taken, bc is bitcoin. Every method
    raises a `RecipientError` when the recipient cannot be paid, and `AddressBarredError` when
    it is nowhere we go.
    """

    def __init__(
        self,
        fetch: Fetch,
        *,
        networks: Collection[str] = MAINNET,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._fetch = fetch
        self._networks = frozenset(networks)
        self._now = now

    def read(self, text: str) -> Recipient:
        """Return whom `text` names; nobody is asked yet.

        It may be `user@host` (LUD-16), `lnurl1…` (LUD-01), each after `lightning:` too, or
        `lnurlp://host/…` (LUD-17).
        """
        written = text.strip()
        if len(written) > ADDRESS_CHARS_MAX or not written.isascii():
            raise RecipientFormatError("That is no Lightning address and no LNURL.")
        if written[:10].lower() == "lightning:":
            written = written[10:]
        if written[:6].lower() == "lnurl1":
            recipient = Recipient(written.lower(), _decoded(written))
        elif written[:9].lower() == "lnurlp://":
            netloc = written[9:].partition("/")[0]
            scheme = self._fetch.guard.scheme_for(netloc)
            recipient = Recipient(written, f"{scheme}://{written[9:]}")
        else:
            recipient = self._internet_identifier(written.lower())
        self._fetch.guard.check(recipient.url)
        return recipient

    def terms(self, recipient: Recipient) -> PayTerms:
        """Return what the recipient's server says that it takes."""
        answer = self._answer(recipient.url)
        if answer.get("tag") != "payRequest":
            raise RecipientAnswerError("takes no payments")
        callback, metadata = answer.get("callback"), answer.get("metadata")
        if not isinstance(callback, str) or not isinstance(metadata, str):
            raise RecipientAnswerError("leaves out what a payment needs")
        min_msat, max_msat = answer.get("minSendable"), answer.get("maxSendable")
        if type(min_msat) is not int or type(max_msat) is not int:
            raise RecipientAnswerError("tells no amounts")
        if not 1 <= min_msat <= max_msat <= AMOUNT_MSAT_MAX:
            raise RecipientAnswerError("tells amounts that make no sense")
        self._fetch.guard.check(callback)
        return PayTerms(recipient, callback, min_msat, max_msat, _hash(metadata))

    def invoice(self, terms: PayTerms, amount_msat: int) -> str:
        """Return a BOLT11 invoice over exactly `amount_msat`, as checked as it can be."""
        if not terms.min_msat <= amount_msat <= terms.max_msat:
            raise RecipientAmountError(min_msat=terms.min_msat, max_msat=terms.max_msat)
        callback = terms.callback.partition("#")[0]
        joint = "&" if "?" in callback else "?"
        request = self._answer(f"{callback}{joint}amount={amount_msat}").get("pr")
        if not isinstance(request, str):
            raise RecipientAnswerError("gives no invoice")
        try:
            invoice = read_invoice(request)
        except InvoiceError as error:
            raise RecipientAnswerError("gives an invoice that cannot be read") from error
        self._check(invoice, terms, amount_msat)
        return request

    def _check(self, invoice: Bolt11, terms: PayTerms, amount_msat: int) -> None:
        if invoice.network not in self._networks:
            raise RecipientAnswerError("gives an invoice of another network")
        if invoice.amount_msat != amount_msat:
            raise RecipientAnswerError("gives an invoice over another amount")
        # An invoice without a description hash is taken: servers that have theirs from a
        # mint or a small node cannot make one, and it is TLS that says whose server it is.
        # A hash that is there and differs means that the invoice was made for another.
        if invoice.description_hash not in {None, terms.metadata_hash}:
            raise RecipientAnswerError("gives an invoice for something else")
        now_s = self._now().timestamp()
        if invoice.expires_at_s < now_s + TIME_LEFT_MIN.total_seconds():
            raise RecipientAnswerError("gives an invoice that has expired")
        if invoice.made_at_s > now_s + MADE_AHEAD_MAX.total_seconds():
            raise RecipientAnswerError("gives an invoice of the future")

    def _internet_identifier(self, written: str) -> Recipient:
        user, at, netloc = written.partition("@")
        if not at or _USER.fullmatch(user) is None or _NETLOC.fullmatch(netloc) is None:
            raise RecipientFormatError("That is no Lightning address and no LNURL.")
        scheme = self._fetch.guard.scheme_for(netloc)
        return Recipient(written, f"{scheme}://{netloc}/.well-known/lnurlp/{user}")

    def _answer(self, url: str) -> dict[str, Any]:
        try:
            fetched = self._fetch.get(url)
        except (FetchBrokenError, UnreachableError) as error:
            raise RecipientDownError from error
        if fetched.media_type not in JSON_TYPES and not fetched.media_type.endswith("+json"):
            raise RecipientAnswerError("answers with something that is no JSON")
        try:
            answer = json.loads(fetched.body)
        except (ValueError, RecursionError):
            raise RecipientAnswerError("answers with something that is no JSON") from None
        if not isinstance(answer, dict):
            raise RecipientAnswerError("answers with something that is no JSON object")
        if str(answer.get("status")).upper() == "ERROR":
            raise RecipientAnswerError("refuses to be paid")
        if fetched.status != HTTPStatus.OK:
            raise RecipientAnswerError(f"answers with status {fetched.status}")
        return answer


def _decoded(written: str) -> str:
    """Return the URL in an LNURL (LUD-01)."""
    try:
        prefix, data = bech32.decode(written, bech32.BECH32)
        url = data.decode("ascii")
    except (Bech32Error, UnicodeDecodeError):
        raise RecipientFormatError("That LNURL cannot be read.") from None
    if prefix != "lnurl":
        raise RecipientFormatError("That LNURL cannot be read.")
    return url


def _hash(metadata: str) -> str:
    """Return what an invoice for this offer commits to (LUD-06)."""
    try:
        return sha256(metadata.encode()).hexdigest()
    except UnicodeEncodeError:
        raise RecipientAnswerError("leaves out what a payment needs") from None
