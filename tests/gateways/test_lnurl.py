"""M33: an invoice is over what was asked for and for whom it was asked, or it is not paid."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from app.gateways.errors import (
    AddressBarredError,
    GatewayError,
    RecipientAmountError,
    RecipientAnswerError,
    RecipientDownError,
    RecipientError,
    RecipientFormatError,
)
from app.gateways.guarded import BODY_BYTES_MAX, Fetch, Guard
from app.gateways.lnurl import LightningAddresses
from app.gateways.mint import bech32
from tests.doubles.recipient import CALLBACK, METADATA_HASH, TERMS, RecipientServer
from tests.gateways.canned import CannedServer, answer
from tests.gateways.invoices import invoice_msat
from tests.gateways.traps import NameService, Trap

if TYPE_CHECKING:
    from collections.abc import Iterator

AMOUNT_MSAT = 21_000
SAID = "sk-secret-of-the-server <script>"
JSON = "application/json"


@pytest.fixture
def server() -> Iterator[RecipientServer]:
    with RecipientServer() as server:
        yield server


@pytest.fixture
def addresses(server: RecipientServer) -> LightningAddresses:
    return allowed(server.netloc)


def allowed(*netlocs: str, **options: Any) -> LightningAddresses:
    guard = Guard(netlocs, resolve=NameService(["127.0.0.1"]), connect_timeout_s=2.0)
    return LightningAddresses(Fetch(guard, total_timeout_s=5.0), **options)


def asked_for(addresses: LightningAddresses, text: str, amount_msat: int = AMOUNT_MSAT) -> str:
    return addresses.invoice(addresses.terms(addresses.read(text)), amount_msat)


def lnurl(url: str) -> str:
    return bech32.encode("lnurl", url.encode(), bech32.BECH32)


def test_an_address_yields_an_invoice_over_just_the_amount(
    server: RecipientServer, addresses: LightningAddresses
) -> None:
    request = asked_for(addresses, server.address)

    assert [request] == server.invoices
    assert server.asked == [TERMS, f"{CALLBACK}?id=1&amount={AMOUNT_MSAT}"]


@pytest.mark.parametrize(
    "form",
    [
        "bob@{netloc}",
        "  BOB@{netloc} ",
        "lightning:bob@{netloc}",
        "LIGHTNING:{bech32}",
        "{bech32}",
        "{upper}",
        "lnurlp://{netloc}/.well-known/lnurlp/bob",
    ],
)
def test_a_recipient_is_known_in_every_form(
    server: RecipientServer, addresses: LightningAddresses, form: str
) -> None:
    encoded = lnurl(f"http://{server.netloc}{TERMS}")
    text = form.format(netloc=server.netloc, bech32=encoded, upper=encoded.upper())

    recipient = addresses.read(text)

    assert recipient.url == f"http://{server.netloc}{TERMS}"
    assert server.netloc in recipient.address or recipient.address == encoded
    assert asked_for(addresses, text) in server.invoices


def test_names_of_the_world_are_asked_by_https() -> None:
    addresses = allowed()

    assert addresses.read("satoshi+tips@pay.example").url == (
        "https://pay.example/.well-known/lnurlp/satoshi+tips"
    )
    assert addresses.read("lnurlp://pay.example/X?y=Z").url == "https://pay.example/X?y=Z"
    assert addresses.read(lnurl("https://pay.example/X")).url == "https://pay.example/X"


@pytest.mark.parametrize(
    "text",
    [
        "", "bob", "@pay.example", "bob@", "bob@pay.example/x", "b ob@pay.example",
        "a@b@c.example",
        "bob@pay.example?x", "bob@pay.example#x", "b/../x@pay.example", "b%2e@pay.example",
        "bob@pay.example:x", "bob@[zz]", "lnurl1", "lnurl1qqqq", lnurl("https://\xe4.example"),
        lnurl("https://pay.example/")[:-1],
        bech32.encode("lnurlx", b"https://x", bech32.BECH32),
        bech32.encode("lnurl", b"https://pay.example/", bech32.BECH32M),
        bech32.encode("lnurl1a", b"https://pay.example/", bech32.BECH32),
        "https://pay.example/", "b\xf6b@pay.example", "b" * 65 + "@pay.example", "x" * 3_000,
    ],
)  # fmt: skip
def test_what_is_no_address_is_told_so(text: str) -> None:
    with pytest.raises(RecipientFormatError):
        allowed().read(text)


@pytest.mark.parametrize(
    "text",
    [
        "bob@localhost", "bob@127.0.0.1", "bob@127.1", "bob@2130706433", "bob@0x7f000001",
        "bob@[::1]:443", "bob@pay.example.", "bob@pay.example:8080", "bob@printer.local",
        "bob@x.onion", "lnurlp://bob@pay.example/", "lnurlp://169.254.169.254/latest",
        lnurl("http://pay.example/"), lnurl("https://169.254.169.254/latest/meta-data"),
        lnurl("https://[::ffff:127.0.0.1]/"), lnurl("file:///etc/passwd"), lnurl("/x"),
        lnurl("https://pay.example/\r\nHost: x"), lnurl("https://u:p@pay.example/"),
    ],
)  # fmt: skip
def test_an_address_that_leads_home_is_barred(text: str) -> None:
    with pytest.raises(AddressBarredError):
        allowed().read(text)


def test_a_name_that_leads_home_is_not_followed() -> None:
    with Trap() as trap:
        addresses = allowed()

        with pytest.raises(AddressBarredError):
            addresses.terms(addresses.read("bob@pay.example"))

        assert trap.visitors == 0


@pytest.mark.parametrize(
    "callback",
    [
        "http://169.254.169.254/latest", "https://169.254.169.254/latest", "https://[::1]/",
        "https://0x7f000001/", "http://127.0.0.1:{trap}/", "https://127.0.0.1:{trap}/",
        "https://localhost:{trap}/", "https://pay.example:22/", "https://u@pay.example/",
        "//pay.example/", "/pay/bob", "javascript:alert(1)", "",
    ],
)  # fmt: skip
def test_a_callback_that_leads_home_is_not_followed(
    server: RecipientServer, addresses: LightningAddresses, callback: str
) -> None:
    with Trap() as trap:
        server.terms = {"callback": callback.format(trap=trap.port)}

        with pytest.raises(AddressBarredError):
            asked_for(addresses, server.address)

        assert trap.visitors == 0


@pytest.mark.parametrize("path", [TERMS, CALLBACK])
@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed(
    server: RecipientServer, addresses: LightningAddresses, path: str, status: int
) -> None:
    server.instead[path] = (status, JSON, b"{}")

    with pytest.raises(RecipientAnswerError, match=f"answers with status {status}"):
        asked_for(addresses, server.address)


@pytest.mark.parametrize(
    ("lie", "told"),
    [
        ({"tag": "withdrawRequest"}, "takes no payments"),
        ({"tag": None}, "takes no payments"),
        ({"tag": ["payRequest"]}, "takes no payments"),
        ({"callback": None}, "leaves out"),
        ({"callback": 1}, "leaves out"),
        ({"metadata": None}, "leaves out"),
        ({"metadata": [["text/plain", "x"]]}, "leaves out"),
        ({"metadata": "\ud800"}, "leaves out"),
        ({"minSendable": None}, "tells no amounts"),
        ({"minSendable": "1000"}, "tells no amounts"),
        ({"minSendable": True}, "tells no amounts"),
        ({"maxSendable": 1e9}, "tells no amounts"),
        ({"minSendable": 2_000, "maxSendable": 1_000}, "make no sense"),
        ({"minSendable": 0}, "make no sense"),
        ({"minSendable": -1}, "make no sense"),
        ({"maxSendable": 10**30}, "make no sense"),
    ],
)
def test_terms_that_make_no_sense_are_refused(
    server: RecipientServer, addresses: LightningAddresses, lie: dict[str, Any], told: str
) -> None:
    server.terms = lie

    with pytest.raises(RecipientAnswerError, match=told):
        asked_for(addresses, server.address)

    assert server.asked == [TERMS]


@pytest.mark.parametrize("amount_msat", [999, 1_000_000_001, 0, -1])
def test_an_amount_out_of_bounds_is_not_asked_for(
    server: RecipientServer, addresses: LightningAddresses, amount_msat: int
) -> None:
    with pytest.raises(RecipientAmountError, match="takes 1000 to 1000000000 msat") as raised:
        asked_for(addresses, server.address, amount_msat)

    assert (raised.value.min_msat, raised.value.max_msat) == (1_000, 1_000_000_000)
    assert server.asked == [TERMS]


@pytest.mark.parametrize(
    ("lie", "told"),
    [
        (invoice_msat(AMOUNT_MSAT + 1, description_hash=METADATA_HASH), "another amount"),
        (invoice_msat(AMOUNT_MSAT - 1, description_hash=METADATA_HASH), "another amount"),
        (invoice_msat(1_000 * AMOUNT_MSAT, description_hash=METADATA_HASH), "another amount"),
        (invoice_msat(None, description_hash=METADATA_HASH), "another amount"),
        (invoice_msat(AMOUNT_MSAT, description_hash="00" * 32), "something else"),
        (invoice_msat(AMOUNT_MSAT, network="bcrt"), "another network"),
        (invoice_msat(AMOUNT_MSAT, network="tb"), "another network"),
        (invoice_msat(AMOUNT_MSAT, expiry_s=5), "has expired"),
        (invoice_msat(AMOUNT_MSAT, made_at_s=int(time.time()) - 7_200), "has expired"),
        (invoice_msat(AMOUNT_MSAT, made_at_s=int(time.time()) + 7_200), "of the future"),
        (invoice_msat(AMOUNT_MSAT)[:-1], "cannot be read"),
        (invoice_msat(AMOUNT_MSAT).replace("lnbc", "lnbx", 1), "cannot be read"),
        ("", "cannot be read"),
        ("lnbc1", "cannot be read"),
        (None, "gives no invoice"),
        ({"pr": "x"}, "gives no invoice"),
    ],
)
def test_an_invoice_for_anything_else_is_refused(
    server: RecipientServer, addresses: LightningAddresses, lie: object, told: str
) -> None:
    server.bill = {"pr": lie, "routes": []}

    with pytest.raises(RecipientAnswerError, match=told):
        asked_for(addresses, server.address)


def test_an_invoice_without_a_hash_is_taken(
    server: RecipientServer, addresses: LightningAddresses
) -> None:
    server.bill = {"pr": invoice_msat(AMOUNT_MSAT)}

    assert asked_for(addresses, server.address) == server.bill["pr"]


def test_networks_and_clock_are_handed_in(server: RecipientServer) -> None:
    server.bill = {"pr": invoice_msat(AMOUNT_MSAT, network="bcrt")}
    later = datetime.now(UTC) + timedelta(hours=2)

    assert asked_for(allowed(server.netloc, networks={"bcrt"}), server.address)
    with pytest.raises(RecipientAnswerError, match="has expired"):
        asked_for(allowed(server.netloc, networks={"bcrt"}, now=lambda: later), server.address)


@pytest.mark.parametrize("path", [TERMS, CALLBACK])
@pytest.mark.parametrize("status", [200, 400, 500])
def test_what_a_server_says_of_its_errors_is_repeated_nowhere(
    server: RecipientServer, addresses: LightningAddresses, path: str, status: int
) -> None:
    error = {"status": "ERROR", "reason": SAID, "tag": "payRequest"}
    server.instead[path] = (status, JSON, json.dumps(error).encode())

    with pytest.raises(RecipientAnswerError, match="refuses to be paid") as raised:
        asked_for(addresses, server.address)

    told: BaseException | None = raised.value
    while told is not None:
        assert SAID not in repr(told)
        told = told.__cause__ or told.__context__


@pytest.mark.parametrize("path", [TERMS, CALLBACK])
@pytest.mark.parametrize(
    ("content_type", "body", "error"),
    [
        ("text/html", b"<html>", RecipientAnswerError),
        ("text/html", b"{}", RecipientAnswerError),
        (JSON, b"<html>", RecipientAnswerError),
        (JSON, b"", RecipientAnswerError),
        (JSON, b"[1]", RecipientAnswerError),
        (JSON, b"null", RecipientAnswerError),
        (JSON, b"\xff\xfe", RecipientAnswerError),
        (JSON, b"[" * 100_000, RecipientAnswerError),
        (JSON, b'{"minSendable": ' + b"9" * 5_000 + b"}", RecipientAnswerError),
        (JSON, b'{"pr": "' + b"x" * 10_000_000, RecipientDownError),
        (JSON, b" " * (BODY_BYTES_MAX + 1), RecipientDownError),
    ],
)
def test_an_answer_that_is_none_of_lnurl_is_refused(
    server: RecipientServer,
    addresses: LightningAddresses,
    path: str,
    content_type: str,
    body: bytes,
    error: type[GatewayError],
) -> None:
    server.instead[path] = (200, content_type, body)

    with pytest.raises(error):
        asked_for(addresses, server.address)


def test_a_server_that_drips_is_cut_off() -> None:
    with CannedServer(answer(b"{"), *[b" "] * 1_000, pause_s=0.05) as server:
        netloc = server.url.removeprefix("http://")
        addresses = LightningAddresses(Fetch(Guard([netloc]), total_timeout_s=0.3))

        with pytest.raises(RecipientDownError):
            addresses.terms(addresses.read(f"bob@{netloc}"))


def test_a_server_that_is_not_there_is_unreachable(server: RecipientServer) -> None:
    with Trap() as trap:
        netloc = f"127.0.0.1:{trap.port}"
    addresses = allowed(netloc)

    with pytest.raises(RecipientDownError):
        addresses.terms(addresses.read(f"bob@{netloc}"))


def test_an_address_is_not_shown_with_where_it_leads(addresses: LightningAddresses) -> None:
    assert "well-known" not in repr(addresses.read("bob@pay.example"))
    assert issubclass(RecipientAnswerError, RecipientError)
