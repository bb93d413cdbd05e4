"""What we do at one mint: swap proofs for planned outputs, and find out what became of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING

from app.gateways.errors import (
    MintAnswerError,
    MintRefusedError,
    MintUnknownError,
    RefusedError,
)
from app.gateways.mint import crypto
from app.gateways.mint.bolt11 import read_invoice
from app.gateways.mint.crypto import Derived, Dleq, Seed
from app.gateways.mint.tokens import Proof
from app.gateways.mint.wire import BlindedMessage, BlindSignature, ProofState, QuoteState
from domain.deposit import Plan, Signed
from domain.msat import MSAT_PER_UNIT
from domain.purse import Purse

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from app.gateways.mint.client import MintClient
    from app.gateways.mint.keysets import Keyset, KeysetBook
    from app.gateways.mint.wire import MeltQuote


class Code(IntEnum):
    """Answers of a mint that this house acts on (NUT-00, error codes)."""

    PROOF_INVALID = 10001
    ALREADY_SPENT = 11001
    OUTPUTS_SIGNED = 11003
    KEYSET_UNKNOWN = 12001
    KEYSET_INACTIVE = 12002
    QUOTE_ISSUED = 20002


FINAL = frozenset({Code.ALREADY_SPENT})
"""Refusals after which no swap of proofs with the same secrets can ever succeed.

That a signature is invalid is none: the same secrets may have a valid one.
"""

REPLAN = frozenset({Code.OUTPUTS_SIGNED, Code.KEYSET_UNKNOWN, Code.KEYSET_INACTIVE})
"""Refusals of the outputs, not of the inputs: other outputs may be accepted."""


NUT_CHANGE = 8


@dataclass(frozen=True, slots=True)
class MeltTerms:
    """What the mint asks for paying an invoice, in its unit, input fees not counted."""

    quote: str = field(repr=False)
    amount: int
    fee_reserve: int
    expiry: int | None


@dataclass(frozen=True, slots=True)
class Melted:
    """How far a melt is: PAID, PENDING, or UNPAID; and the change that came of it.

    UNPAID is final only for inputs that were never sent, or that have been swapped since:
    a copy of the request may still be on its way.
    """

    state: QuoteState
    change: tuple[Signed, ...] = ()


@dataclass(frozen=True, slots=True)
class _Output:
    """One planned output: what goes to the mint, and what makes a proof of its answer."""

    counter: int
    derived: Derived
    message: BlindedMessage


class Wallet:
    """Our ecash at one mint: secrets come from the seed, everything else from the log.

    Nothing is stored here. A swap that was interrupted is carried on by asking for the same
    swap again.
    """

    def __init__(self, client: MintClient, keysets: KeysetBook, seed: Seed) -> None:
        self.client = client
        self.keysets = keysets
        self._seed = seed

    @property
    def url(self) -> str:
        return self.client.url

    def swap(self, inputs: Sequence[Proof], plan: Plan) -> tuple[Signed, ...]:
        """Swap `inputs` for the outputs of `plan`, whether or not that was tried before.

        Returns the signed outputs in the order of the plan. Raises `RefusedError` when the
        mint certainly has not taken the inputs for these outputs, `MintUnknownError` when
        nobody can tell yet: then the same call is to be made again, later.
        """
        keyset = self._keyset(plan.keyset_id)
        outputs = self._outputs(plan)
        # Sorted by amount, so that the mint cannot tell change from what is sent (NUT-03).
        asked = sorted(outputs, key=lambda output: output.message.amount)
        try:
            signatures = self.client.swap(inputs, [output.message for output in asked])
        except MintRefusedError as error:
            signatures = self._restored(inputs, asked, error)
        signed = [
            self._signed(output, signature, keyset)
            for output, signature in zip(asked, signatures, strict=True)
        ]
        return tuple(sorted(signed, key=lambda proof: proof.counter))

    def mint(self, quote: str, plan: Plan, key: bytes) -> tuple[Signed, ...]:
        """Take the ecash of a paid mint quote that is locked to the private `key` (NUT-20).

        As with `swap`, it does not matter whether that was tried before. Raises
        `RefusedError` when the mint certainly has not signed the plan for this quote,
        `MintUnknownError` when nobody can tell yet.
        """
        keyset = self._keyset(plan.keyset_id)
        outputs = self._outputs(plan)
        asked = [output.message for output in outputs]
        message = crypto.mint_message(quote, (output.b for output in asked))
        try:
            signatures = self.client.mint(quote, asked, crypto.sign(key, message))
        except MintRefusedError as error:
            signatures = self._issued(quote, asked, error)
        return tuple(
            self._signed(output, signature, keyset)
            for output, signature in zip(outputs, signatures, strict=True)
        )

    def gives_change(self) -> bool:
        """Ask whether the mint gives back what a payment's fee did not need (NUT-08)."""
        return self.client.info().supports(NUT_CHANGE)

    def melt_quote(self, request: str, unit: str) -> MeltTerms:
        """Ask what paying the invoice `request` costs; nothing is paid.

        Raises `InvoiceError`, `MintAnswerError` when the mint asks for another amount than
        the invoice's, and what the client raises.
        """
        amount_msat = read_invoice(request).amount_msat
        quote = self.client.melt_quote(request, unit)
        wanted = -(-(amount_msat or 0) // MSAT_PER_UNIT[unit])
        if quote.amount != wanted or quote.fee_reserve is None:
            raise MintAnswerError("the mint asks for another amount than the invoice's")
        return MeltTerms(quote.quote, quote.amount, quote.fee_reserve, quote.expiry)

    def melt(self, quote: str, inputs: Sequence[Proof], plan: Plan | None) -> Melted:
        """Pay `quote` with `inputs`, once; `plan` holds the blank outputs for change (NUT-08).

        Without a plan what the payment's fee did not need is the mint's. Raises
        `RefusedError` when these inputs have certainly not been taken by this request or a
        copy of it that has arrived, `MintUnknownError` when nobody can tell: then
        `melt_state` is asked, and this is not done a second time before it says UNPAID.
        """
        outputs = [] if plan is None else self._outputs(plan)
        try:
            answer = self.client.melt(quote, inputs, [output.message for output in outputs])
        except MintRefusedError:
            # It may be refused because an earlier copy of it has been carried out.
            told = self.melt_state(quote, plan)
            if told.state is QuoteState.UNPAID:
                raise
            return told
        return self._melted(answer, plan)

    def melt_state(self, quote: str, plan: Plan | None) -> Melted:
        """Ask how far a melt is; its change comes with the quote, or by NUT-09.

        Raises `MintUnknownError`, also when the mint cannot be asked.
        """
        try:
            answer = self.client.melt_quote_state(quote)
        except RefusedError as error:
            raise MintUnknownError("the mint cannot be asked what became of a melt") from error
        return self._melted(answer, plan)

    def restored(self, plan: Plan) -> tuple[Signed, ...]:
        """Return the outputs of `plan` that the mint has signed, ever, by counter (NUT-09).

        The amounts are those that were signed: of counters that were used twice, which
        happens after an old backup was restored, they may be another transaction's.
        """
        outputs = {output.message.b: output for output in self._outputs(plan)}
        pairs = self.client.restore([output.message for output in outputs.values()])
        keyset = self._keyset(plan.keyset_id)
        signed = (
            self._signed(outputs[message.b], signature, keyset) for message, signature in pairs
        )
        return tuple(sorted(signed, key=lambda proof: proof.counter))

    def purse(self, unit: str, held: Iterable[str] = ()) -> Purse:
        """Return what a swap needs to know of the mint: keyset to ask for, fees by keyset.

        Those of the keysets `held` are among them, if the mint still lists them. Raises a
        `MintPausedError` also if all is known, but the mint is to be left alone.
        """
        self.client.expect_open()
        # In this order: what is asked for anew may have another keyset to make ecash of.
        fees = self.keysets.fees(unit, held)
        return Purse(self.url, unit, self.keysets.active(unit).id, fees)

    def proof(self, signed: Signed) -> Proof:
        """Return the spendable proof that the log's `signed` stands for, DLEQ included."""
        derived = self._seed.derive(signed.keyset_id, signed.counter)
        key = self.keysets.find(signed.keyset_id).key(signed.amount)
        dleq = None
        if signed.e and signed.s:
            dleq = Dleq(e=signed.e, s=signed.s, r=derived.blinding.hex())
        return Proof(
            keyset_id=signed.keyset_id,
            amount=signed.amount,
            secret=derived.secret,
            c=crypto.unblind(signed.c, derived.blinding, key),
            dleq=dleq,
        )

    def other_keyset(self, unit: str) -> str:
        """Return the keyset to ask for outputs of, now that the one known was refused."""
        self.keysets.refresh()
        return self.keysets.active(unit).id

    def states(self, proofs: Sequence[tuple[str, int]]) -> list[ProofState]:
        """Return the mint's word on proofs of ours, named by keyset and counter (NUT-07)."""
        ys = [
            crypto.hash_to_curve(self._seed.derive(keyset_id, counter).secret)
            for keyset_id, counter in proofs
        ]
        found = self.client.states(ys)
        return [found[y] for y in ys]

    def _keyset(self, keyset_id: str) -> Keyset:
        try:
            return self.keysets.find(keyset_id)
        except RefusedError as error:
            # Not being able to look up a keyset says nothing about a swap sent before.
            raise MintUnknownError(f"keyset {keyset_id} cannot be looked up") from error

    def _outputs(self, plan: Plan) -> list[_Output]:
        outputs = []
        for counter, amount in enumerate(plan.amounts, plan.counter_from):
            derived = self._seed.derive(plan.keyset_id, counter)
            b = crypto.blind(derived.secret, derived.blinding)
            message = BlindedMessage(amount=amount, keyset_id=plan.keyset_id, b=b)
            outputs.append(_Output(counter, derived, message))
        return outputs

    def _restored(
        self, inputs: Sequence[Proof], asked: Sequence[_Output], refusal: MintRefusedError
    ) -> list[BlindSignature]:
        """Return what an earlier copy of this swap was given, or raise `refusal`.

        A refusal speaks of this request only: a copy of it may have been carried out, then
        the mint has signatures on all outputs and the inputs are spent (NUT-09, NUT-07).
        """
        try:
            pairs = self.client.restore([output.message for output in asked])
            states = self.client.states(
                [crypto.hash_to_curve(proof.secret) for proof in inputs]
            )
        except RefusedError as error:
            raise MintUnknownError("the mint cannot be asked what became of a swap") from error
        given = {message.b: signature for message, signature in pairs}
        if ProofState.PENDING in states.values():
            raise MintUnknownError("the inputs are pending at the mint") from refusal
        amounts = {output.message.b: output.message.amount for output in asked}
        ours = all(signature.amount == amounts[b] for b, signature in given.items())
        spent = tuple(y for y, state in states.items() if state is ProofState.SPENT)
        if not given or not ours or len(spent) < len(states):
            # A swap takes all its inputs and signs all its outputs, or does neither: what
            # the mint has signed at these counters is another transaction's.
            raise MintRefusedError(refusal.code, refusal.detail, spent) from refusal
        if len(given) < len(asked):
            raise MintUnknownError("the mint signed some of the outputs only") from refusal
        return [given[output.message.b] for output in asked]

    def _issued(
        self, quote: str, asked: Sequence[BlindedMessage], refusal: MintRefusedError
    ) -> list[BlindSignature]:
        """Return what an earlier copy of this minting was given, or raise `refusal`.

        Signed outputs alone prove nothing: after an old backup was restored they may be
        another transaction's. The quote must be issued too (NUT-04, NUT-09).
        """
        try:
            pairs = self.client.restore(asked)
            state = self.client.mint_quote_state(quote).state
        except RefusedError as error:
            raise MintUnknownError("the mint cannot be asked what became of a quote") from error
        given = {message.b: signature for message, signature in pairs}
        amounts = {message.b: message.amount for message in asked}
        same = {b: signature.amount for b, signature in given.items()} == amounts
        if state is not QuoteState.ISSUED or not same:
            raise refusal
        return [given[message.b] for message in asked]

    def _melted(self, answer: MeltQuote, plan: Plan | None) -> Melted:
        if answer.state is QuoteState.ISSUED:
            raise MintAnswerError("the mint told a state that no melt can have")
        if answer.state is not QuoteState.PAID or plan is None:
            return Melted(answer.state)
        try:
            change = self._change(answer, plan) if answer.change else self.restored(plan)
        except RefusedError as error:
            raise MintUnknownError("the mint's change cannot be read") from error
        return Melted(answer.state, change)

    def _change(self, answer: MeltQuote, plan: Plan) -> tuple[Signed, ...]:
        """Return the change, which is for the first of the blank outputs, in their order."""
        keyset, outputs = self._keyset(plan.keyset_id), self._outputs(plan)
        kept_to = {signature.keyset_id for signature in answer.change} == {plan.keyset_id}
        if len(answer.change) > len(outputs) or not kept_to:
            raise MintAnswerError("the mint's change is not for the outputs it was given")
        return tuple(
            self._signed(output, signature, keyset)
            for output, signature in zip(outputs, answer.change, strict=False)
        )

    @staticmethod
    def _signed(output: _Output, signature: BlindSignature, keyset: Keyset) -> Signed:
        dleq = signature.dleq
        if dleq is not None and not crypto.dleq_holds_for_signature(
            keyset.key(signature.amount), output.message.b, signature.c, dleq.e, dleq.s
        ):
            raise MintUnknownError("the mint's signature is not by the key it published")
        return Signed(
            keyset_id=signature.keyset_id,
            counter=output.counter,
            amount=signature.amount,
            c=signature.c,
            e=dleq.e if dleq else "",
            s=dleq.s if dleq else "",
        )
