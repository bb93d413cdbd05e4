"""A client's own purse: takes a token home, as any wallet does, and says what it was worth."""

from __future__ import annotations

import requests

from app.gateways.mint import crypto, tokens
from app.gateways.mint.client import MintClient
from app.gateways.mint.keysets import KeysetBook, split
from app.gateways.mint.tokens import Token
from app.gateways.mint.wire import ProofState
from tests.gateways.outputs import prepare

ANSWER_BYTES_MAX = 1_000_000


def take_home(text: str, beside: Token | None = None) -> Token:
    """Swap a token at its mint for proofs nobody else has seen; return them.

    Proofs that one has at home already go along, for a token of one sat is not worth the
    mint's fee.
    """
    token = tokens.decode(text)
    inputs = [*token.proofs, *(beside.proofs if beside is not None else ())]
    with requests.Session() as session:
        client = _client(token.mint, session)
        book = KeysetBook(client)
        keyset = book.active(token.unit)
        left = sum(proof.amount for proof in inputs) - book.fee_for(inputs)
        prepared = prepare(keyset.id, split(left))
        signatures = client.swap(inputs, prepared.outputs)
        proofs = prepared.proofs(signatures, keyset.keys)
    return Token(token.mint, token.unit, tuple(proofs))


def is_unspent(text: str) -> bool:
    """Tell whether every proof of a token can still be spent (NUT-07)."""
    token = tokens.decode(text)
    with requests.Session() as session:
        states = _client(token.mint, session).states(
            [crypto.hash_to_curve(proof.secret) for proof in token.proofs]
        )
    return set(states.values()) == {ProofState.UNSPENT}


def _client(url: str, session: requests.Session) -> MintClient:
    return MintClient(
        url,
        session,
        connect_timeout_s=5.0,
        read_timeout_s=30.0,
        answer_bytes_max=ANSWER_BYTES_MAX,
    )
