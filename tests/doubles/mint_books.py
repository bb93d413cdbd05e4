"""What a mint in memory knows and decides: keysets, quotes, the signed and the spent."""

from __future__ import annotations

import hashlib
import json
import re
import secrets
import threading
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from cashu.core.crypto import b_dhke
from coincurve import PrivateKey, PublicKey

from app.gateways.mint import crypto
from app.gateways.mint.bolt11 import read_invoice
from app.gateways.mint.errors import InvoiceError
from app.gateways.mint.keysets import split
from app.gateways.mint.locks import OtherLock, P2pkLock, spending_condition
from tests.doubles.mint_items import FakeKeyset, FakeQuote, Payment, RefusalError, quote_json
from tests.gateways.invoices import invoice_msat

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

AMOUNTS = [2**bit for bit in range(64)]
MSAT_OF_UNIT = {"sat": 1_000, "msat": 1}


class MintBooks:
    """The books behind the counter; one call at a time, as nutshell's lock has it.

    `payment` is what becomes of payments; of an UNKNOWN one the mint does not know it
    itself, and keeps it pending. Settled payments reach the invoices of `peers`.
    """

    def __init__(
        self,
        key: str,
        *,
        fee_ppk: int,
        units: Iterable[str],
        keyset_version: int,
        pays_invoices: bool,
    ) -> None:
        self._key = key
        self._version = keyset_version
        self._lock = threading.RLock()
        self.pays_invoices = pays_invoices
        self.locks_quotes = True
        self.expiry: int | None = int(time.time()) + 3600
        self.keysets: dict[str, FakeKeyset] = {}
        self.spent: set[str] = set()
        self.pending: set[str] = set()
        self.signed: dict[str, dict[str, Any]] = {}
        self.mint_quotes: dict[str, FakeQuote] = {}
        self.melt_quotes: dict[str, FakeQuote] = {}
        self.payment = Payment.SETTLED
        self.peers: list[MintBooks] = []
        self.gives_change = True
        self.locks_proofs = True
        self.fee_paid = 1
        self.reserve_percent = 1
        for unit in units:
            self.rotate(unit, fee_ppk)

    def rotate(self, unit: str, fee_ppk: int = 100) -> str:
        """Make a new active keyset of the unit, end the old one; return its id."""
        with self._lock:
            number = len(self.keysets)
            for keyset in self.keysets.values():
                keyset.active = keyset.active and keyset.unit != unit
            secret_keys = {
                amount: PrivateKey(
                    hashlib.sha256(f"{self._key}/{unit}/{number}/{amount}".encode()).digest()
                )
                for amount in AMOUNTS
            }
            keyset = FakeKeyset(unit, fee_ppk, secret_keys, version=self._version)
            self.keysets[keyset.id] = keyset
            return keyset.id

    def active(self, unit: str) -> FakeKeyset:
        for keyset in self.keysets.values():
            if keyset.active and keyset.unit == unit:
                return keyset
        raise RefusalError(11013, "unit is not supported")

    def sign(self, b: str, amount: int, keyset_id: str) -> dict[str, Any]:
        """Sign a blinded message and remember it (NUT-09)."""
        key = self.keysets[keyset_id].secret_keys[amount]
        c, e, s = b_dhke.step2_bob(PublicKey(bytes.fromhex(b)), key)
        self.signed[b] = {
            "amount": amount,
            "id": keyset_id,
            "C_": c.format().hex(),
            "dleq": {"e": e.to_hex(), "s": s.to_hex()},
        }
        return self.signed[b]

    def y(self, secret: str) -> str:
        """Return the point by which a secret is known, and spent."""
        return crypto.hash_to_curve(secret)

    def new_name(self) -> str:
        return secrets.token_hex(16)

    def new_invoice(self, amount_msat: int) -> str:
        return invoice_msat(amount_msat)

    def pay(self, quote: str) -> None:
        """Let the invoice of a mint quote be paid."""
        with self._lock:
            self.mint_quotes[quote].state = "PAID"

    def pays(self, payment: Payment) -> None:
        """Decide what becomes of payments from now on."""
        self.payment = payment

    def settle_pending(self, *, paid: bool) -> None:
        """End the pending payments, well or not."""
        with self._lock:
            for quote in self.melt_quotes.values():
                if quote.state == "PENDING":
                    self._settle(quote, paid=paid)

    def take_payment(self, request: str) -> None:
        """Be paid an invoice, if it is one of this mint's."""
        with self._lock:
            for quote in self.mint_quotes.values():
                if quote.request == request and quote.state == "UNPAID":
                    quote.state = "PAID"

    def answer(
        self, method: str, path: str, body: dict[str, Any]
    ) -> tuple[int, dict[str, Any]]:
        """Return status and answer of a call of `/v1/<path>`."""
        routes: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "GET info": lambda _: self._info(),
            "GET keys": lambda _: self._keys(),
            "GET keysets": lambda _: self._keysets(),
            "POST swap": self._swap,
            "POST restore": self._restore,
            "POST checkstate": self._checkstate,
            "POST mint/quote/bolt11": self._mint_quote,
            "POST mint/bolt11": self._mint,
            "POST melt/quote/bolt11": self._melt_quote,
            "POST melt/bolt11": self._melt,
        }
        one = re.fullmatch(r"(keys|mint/quote/bolt11|melt/quote/bolt11)/([\w-]+)", path)
        with self._lock:
            try:
                if method == "GET" and one:
                    return HTTPStatus.OK, self._one(*one.groups())
                route = routes.get(f"{method} {path}")
                if route is None:
                    return HTTPStatus.NOT_FOUND, {"detail": "Not Found"}
                return HTTPStatus.OK, route(body)
            except RefusalError as refusal:
                answer = {"detail": refusal.detail, "code": refusal.code}
                return HTTPStatus.BAD_REQUEST, answer

    def _one(self, kind: str, name: str) -> dict[str, Any]:
        if kind == "keys":
            return {"keysets": [self._keyset_keys(self._keyset(name))]}
        quotes = self.mint_quotes if kind.startswith("mint") else self.melt_quotes
        if name not in quotes:
            raise RefusalError(11000, "quote not found")
        return quote_json(quotes[name])

    def _info(self) -> dict[str, Any]:
        nuts = [7, 9, 10, 12]
        nuts += [11] if self.locks_proofs else []
        nuts += [8] if self.gives_change else []
        nuts += [20] if self.locks_quotes else []
        supported = {str(nut): {"supported": True} for nut in nuts}
        return {"name": "fake", "version": "fake/1", "nuts": supported}

    def _keys(self) -> dict[str, Any]:
        active = [keyset for keyset in self.keysets.values() if keyset.active]
        return {"keysets": [self._keyset_keys(keyset) for keyset in active]}

    def _keyset_keys(self, keyset: FakeKeyset) -> dict[str, Any]:
        return {"id": keyset.id, "unit": keyset.unit, "keys": dict(keyset.keys)}

    def _keysets(self) -> dict[str, Any]:
        return {
            "keysets": [
                {
                    "id": keyset.id,
                    "unit": keyset.unit,
                    "active": keyset.active,
                    "input_fee_ppk": keyset.fee_ppk,
                    "final_expiry": None,
                }
                for keyset in self.keysets.values()
            ]
        }

    def _swap(self, body: dict[str, Any]) -> dict[str, Any]:
        inputs, outputs = body["inputs"], body["outputs"]
        unit, worth = self._check_inputs(inputs)
        self._check_outputs(outputs, unit)
        if worth != sum(output["amount"] for output in outputs):
            raise RefusalError(11005, "inputs and outputs are not balanced")
        self.spent |= {self.y(proof["secret"]) for proof in inputs}
        return {"signatures": self._sign_all(outputs)}

    def _restore(self, body: dict[str, Any]) -> dict[str, Any]:
        known = [output for output in body["outputs"] if output["B_"] in self.signed]
        return {
            "outputs": known,
            "signatures": [self.signed[output["B_"]] for output in known],
        }

    def _checkstate(self, body: dict[str, Any]) -> dict[str, Any]:
        return {"states": [{"Y": y, "state": self._state(y)} for y in body["Ys"]]}

    def _state(self, y: str) -> str:
        return "SPENT" if y in self.spent else "PENDING" if y in self.pending else "UNSPENT"

    def _mint_quote(self, body: dict[str, Any]) -> dict[str, Any]:
        amount, unit = body["amount"], body["unit"]
        self.active(unit)
        name, request = self.new_name(), self.new_invoice(amount * MSAT_OF_UNIT[unit])
        state = "PAID" if self.pays_invoices else "UNPAID"
        quote = FakeQuote(name, request, amount, unit, state, body.get("pubkey"))
        quote.expiry = self.expiry
        self.mint_quotes[name] = quote
        return quote_json(quote)

    def _mint(self, body: dict[str, Any]) -> dict[str, Any]:
        quote, outputs = self.mint_quotes.get(body["quote"]), body["outputs"]
        if quote is None:
            raise RefusalError(11000, "quote not found")
        if quote.state == "ISSUED":
            raise RefusalError(20002, "quote already issued")
        if quote.state != "PAID":
            raise RefusalError(20001, "quote not paid")
        if quote.pubkey is not None:
            message = crypto.mint_message(quote.id, (output["B_"] for output in outputs))
            if not crypto.signature_holds(quote.pubkey, message, body.get("signature") or ""):
                raise RefusalError(20008, "signature for mint request invalid")
        self._check_outputs(outputs, quote.unit)
        if quote.amount != sum(output["amount"] for output in outputs):
            raise RefusalError(11005, "outputs are not the quote's amount")
        quote.state = "ISSUED"
        return {"signatures": self._sign_all(outputs)}

    def _melt_quote(self, body: dict[str, Any]) -> dict[str, Any]:
        try:
            amount_msat = read_invoice(body["request"]).amount_msat
        except InvoiceError as error:
            raise RefusalError(11000, str(error)) from error
        if amount_msat is None:
            raise RefusalError(11000, "invoice has no amount")
        amount = -(-amount_msat // MSAT_OF_UNIT[body["unit"]])
        name = self.new_name()
        reserve = max(2, -(-amount * self.reserve_percent // 100))
        quote = FakeQuote(name, body["request"], amount, body["unit"], fee_reserve=reserve)
        self.melt_quotes[name] = quote
        return quote_json(quote)

    def _melt(self, body: dict[str, Any]) -> dict[str, Any]:
        quote = self.melt_quotes.get(body["quote"])
        if quote is None:
            raise RefusalError(11000, "quote not found")
        if quote.state != "UNPAID":
            raise RefusalError(20005 if quote.state == "PENDING" else 20006, quote.state)
        unit, worth = self._check_inputs(body["inputs"])
        if unit != quote.unit:
            raise RefusalError(11010, "other unit")
        if worth < quote.amount + quote.fee_reserve:
            raise RefusalError(11005, "not enough inputs")
        outputs = body.get("outputs") or []
        self._check_outputs(outputs, unit)
        quote.inputs, quote.outputs = body["inputs"], outputs
        quote.state = "PENDING"
        self.pending |= {self.y(proof["secret"]) for proof in quote.inputs}
        if self.payment in {Payment.SETTLED, Payment.FAILED}:
            self._settle(quote, paid=self.payment is Payment.SETTLED)
        if quote.state == "UNPAID":
            raise RefusalError(20004, "Lightning payment failed")
        if self.payment is Payment.UNKNOWN:
            raise RefusalError(0, "the node does not answer")
        return quote_json(quote)

    def _settle(self, quote: FakeQuote, *, paid: bool) -> None:
        ys = {self.y(proof["secret"]) for proof in quote.inputs}
        self.pending -= ys
        quote.state = "PAID" if paid else "UNPAID"
        if not paid:
            return
        _, worth = self._check_inputs(quote.inputs)
        self.spent |= ys
        for mint in self.peers:
            mint.take_payment(quote.request)
        # What is left comes back in the blank outputs, the largest amounts first.
        change = split(worth - quote.amount - self.fee_paid)[::-1]
        for output, amount in zip(quote.outputs, change, strict=False):
            quote.change.append(self.sign(output["B_"], amount, output["id"]))

    def _check_inputs(self, inputs: list[dict[str, Any]]) -> tuple[str, int]:
        """Return the unit and the worth less fees, or refuse."""
        ys = [self.y(proof["secret"]) for proof in inputs]
        if len(set(ys)) != len(ys):
            raise RefusalError(11007, "duplicate inputs provided")
        if self.spent & set(ys):
            raise RefusalError(11001, "proofs already spent")
        if self.pending & set(ys):
            raise RefusalError(11002, "proofs are pending")
        keysets = [self._keyset(proof["id"]) for proof in inputs]
        for proof, keyset in zip(inputs, keysets, strict=True):
            self.check_proof(proof, keyset)
        if len({keyset.unit for keyset in keysets}) != 1:
            raise RefusalError(11009, "inputs of multiple units")
        fee = -(-sum(keyset.fee_ppk for keyset in keysets) // 1000)
        return keysets[0].unit, sum(proof["amount"] for proof in inputs) - fee

    def _check_outputs(self, outputs: list[dict[str, Any]], unit: str) -> None:
        blinded = [output["B_"] for output in outputs]
        if len(set(blinded)) != len(blinded):
            raise RefusalError(11008, "duplicate outputs provided")
        if self.signed.keys() & set(blinded):
            raise RefusalError(11003, "outputs already signed")
        for output in outputs:
            keyset = self._keyset(output["id"])
            if not keyset.active:
                raise RefusalError(12002, "keyset is inactive")
            if keyset.unit != unit:
                raise RefusalError(11010, "inputs and outputs not of same unit")

    def _sign_all(self, outputs: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [self.sign(output["B_"], output["amount"], output["id"]) for output in outputs]

    def _keyset(self, keyset_id: str) -> FakeKeyset:
        if keyset_id not in self.keysets:
            raise RefusalError(12001, "keyset is not known")
        return self.keysets[keyset_id]

    def check_proof(self, proof: dict[str, Any], keyset: FakeKeyset) -> None:
        """Refuse a proof that is not signed by us, or is locked and not opened."""
        key = keyset.secret_keys.get(proof["amount"])
        c = PublicKey(bytes.fromhex(proof["C"]))
        if key is None or not b_dhke.verify(key, c, proof["secret"]):
            raise RefusalError(10001, "proof could not be verified")
        lock = spending_condition(proof["secret"])
        if isinstance(lock, OtherLock):
            raise RefusalError(11000, "lock not supported")
        if isinstance(lock, P2pkLock) and not _opens(proof, lock):
            raise RefusalError(0, "Witness is missing for p2pk signature")


def _opens(proof: dict[str, Any], lock: P2pkLock) -> bool:
    signatures = json.loads(proof.get("witness") or "{}").get("signatures", [])
    return any(
        crypto.signature_holds(lock.pubkey, proof["secret"], signature)
        for signature in signatures
    )
