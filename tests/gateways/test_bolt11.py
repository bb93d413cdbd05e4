"""An invoice is read whole or not at all: money hangs on its amount and its hash."""

from __future__ import annotations

import bolt11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.gateways.mint import bech32
from app.gateways.mint.bolt11 import INVOICE_CHARS_MAX, MSAT_OF_BITCOIN, read_invoice
from app.gateways.mint.errors import InvoiceError
from tests.gateways.invoices import invoice, invoice_msat

# From BOLT 11, "Examples".
HASH = "0001020304050607080900010203040506070809000102030405060708090102"
ANY_AMOUNT = (
    "lnbc1pvjluezsp5zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zygspp5qqqsyqcyq5rqwzqfqqqsy"
    "qcyq5rqwzqfqqqsyqcyq5rqwzqfqypqdpl2pkx2ctnv5sxxmmwwd5kgetjypeh2ursdae8g6twvus8g6rfwvs8qun0d"
    "fjkxaq9qrsgq357wnc5r2ueh7ck6q93dj32dlqnls087fxdwk8qakdyafkq3yap9us6v52vjjsrvywa6rt52cm9r9zq"
    "t8r2t7mlcwspyetp5h2tztugp9lfyql"
)
A_COFFEE = (
    "lnbc2500u1pvjluezsp5zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zygspp5qqqsyqcyq5rqwzqf"
    "qqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqypqdq5xysxxatsyp3k7enxv4jsxqzpu9qrsgquk0rl77nj30yxdy8j9vdx"
    "85fkpmdla2087ne0xh8nhedh8w27kyke0lp53ut353s06fv3qfegext0eh0ymjpf39tuven09sam30g4vgpfna3rh"
)


def signed(head: str, *fields: tuple[int, list[int]], timestamp: int = 1_000) -> str:
    """Write an invoice of these fields, with a signature of zeros."""
    words = [timestamp >> 5 * (6 - place) & 31 for place in range(7)]
    for kind, data in fields:
        words += [kind, len(data) >> 5, len(data) & 31, *data]
    return written(head, [*words, *[0] * 104])


def written(head: str, words: list[int]) -> str:
    checksum = bech32._polymod([*bech32._expanded(head), *words, *[0] * 6]) ^ bech32.BECH32
    tail = [checksum >> 5 * (5 - place) & 31 for place in range(6)]
    return head + "1" + "".join(bech32._ALPHABET[word] for word in [*words, *tail])


PAYMENT = (1, [0] * 52)


def test_the_examples_of_the_standard_are_read() -> None:
    coffee, donation = read_invoice(A_COFFEE), read_invoice(ANY_AMOUNT.upper())

    assert coffee.network == donation.network == "bc"
    assert (coffee.amount_msat, donation.amount_msat) == (250_000_000, None)
    assert coffee.payment_hash == donation.payment_hash == HASH
    assert coffee.made_at_s == 1496314658
    assert coffee.expires_at_s == coffee.made_at_s + 60
    assert donation.expires_at_s == donation.made_at_s + 3_600
    assert coffee.description_hash is None


@given(st.integers(1, MSAT_OF_BITCOIN - 1), st.sampled_from(["bc", "tb", "bcrt", "tbs"]))
def test_what_others_write_is_what_is_read(amount_msat: int, network: str) -> None:
    text = invoice_msat(amount_msat, network=network, expiry_s=77)

    read, theirs = read_invoice(text), bolt11.decode(text)

    assert (read.network, read.amount_msat) == (network, amount_msat)
    assert read.payment_hash == theirs.payment_hash
    assert (read.made_at_s, read.expires_at_s) == (theirs.date, theirs.date + 77)


def test_an_invoice_that_does_not_say_it_expires_in_an_hour() -> None:
    read = read_invoice(invoice_msat(1, expiry_s=None))

    assert read.expires_at_s == read.made_at_s + 3_600


@pytest.mark.parametrize(
    ("head", "amount_msat"),
    [
        ("lnbc", None),
        ("lnbc20m", 2_000_000_000),
        ("lnbc7u", 700_000),
        ("lnbc9n", 900),
        ("lnbc30p", 3),
        ("lnbc2", 200_000_000_000),
    ],
)
def test_amounts_are_read_in_every_unit(head: str, amount_msat: int | None) -> None:
    assert read_invoice(signed(head, PAYMENT)).amount_msat == amount_msat


@pytest.mark.parametrize(
    "head",
    [
        "lnbc25p",  # half a msat
        "lnbc020m",
        "lnbc0",
        "lnbc1k",
        "lnbc-1m",
        "lnbc1.5m",
        "lnbc21000001",
        "lnbc1000000000000000000",
        "lnxy20m",
        "bc20m",
        "ln",
        "xlnbc20m",
    ],
)
def test_amounts_and_networks_that_are_none_are_refused(head: str) -> None:
    with pytest.raises(InvoiceError):
        read_invoice(signed(head, PAYMENT))


def test_the_hash_of_what_was_offered_is_read() -> None:
    assert read_invoice(signed("lnbc1m", PAYMENT, (23, [31] * 52))).description_hash == "f" * 64


def test_fields_of_another_length_are_skipped_and_unknown_ones_too() -> None:
    read = read_invoice(signed("lnbc1m", (1, [7] * 51), PAYMENT, (2, [1, 2, 3]), (23, [1])))

    assert read.payment_hash == "0" * 64
    assert read.description_hash is None


@pytest.mark.parametrize(
    "fields",
    [
        (),
        ((1, [0] * 51),),
        (PAYMENT, (1, [1] * 52)),
        (PAYMENT, (23, [0] * 52), (23, [1] * 52)),
        (PAYMENT, (6, [31] * 13)),
    ],
)
def test_what_is_missing_or_said_twice_is_refused(
    fields: tuple[tuple[int, list[int]], ...],
) -> None:
    with pytest.raises(InvoiceError):
        read_invoice(signed("lnbc1m", *fields))


@pytest.mark.parametrize("cut", [[1], [1, 1], [1, 0, 5, 0]])
def test_a_field_that_does_not_end_is_refused(cut: list[int]) -> None:
    with pytest.raises(InvoiceError):
        read_invoice(written("lnbc1m", [0] * 7 + cut + [0] * 104))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "lnbc1",
        "lightning:" + A_COFFEE,
        A_COFFEE[:-1],
        A_COFFEE[:-1] + "q",
        A_COFFEE[:20].upper() + A_COFFEE[20:],
        written("lnbc1m", [0] * 110),
        "lnbc1" + "q" * INVOICE_CHARS_MAX,
        bech32.encode("lnbc1m", bytes(200), bech32.BECH32M),
    ],
)
def test_what_is_no_invoice_is_refused(text: str) -> None:
    with pytest.raises(InvoiceError) as refusal:
        read_invoice(text)

    assert A_COFFEE not in str(refusal.value)


@given(st.integers(0, 200), st.sampled_from("qpzry9x8gf2tvdw0s3jn54khce6mua7l"))
def test_one_other_letter_is_noticed(place: int, letter: str) -> None:
    text = A_COFFEE
    changed = text[: place % len(text)] + letter + text[place % len(text) + 1 :]

    if changed != text:
        with pytest.raises(InvoiceError):
            read_invoice(changed)


def test_invoices_of_whole_sats_are_read() -> None:
    assert read_invoice(invoice(21)).amount_msat == 21_000
