"""What the house owes to all, signed, and to whoever has a key the proof of its own part."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Blueprint, Response, request

from app.sealing.prove import NotSealedError
from app.web.balance import PREFIXES, never_store
from app.web.bodies import as_json
from app.web.proof import BRIEFLY, TEXT_TYPE
from app.web.refusals import NothingHereError
from domain.errors import ChildKeyError

if TYPE_CHECKING:
    from app.sealing.owed import OwedProofs
    from app.web.bearer import Bearer


def blueprint(bearer: Bearer, proofs: OwedProofs) -> Blueprint:
    """Return the routes; what is signed is for everybody, a proof for its account alone."""
    routes = Blueprint("owed", __name__)

    @routes.get("/liabilities")
    def liabilities() -> Response:
        try:
            note = proofs.note()
        except NotSealedError as error:
            raise NothingHereError("What is owed was not signed yet.") from error
        return Response(note, headers=BRIEFLY, content_type=TEXT_TYPE)

    def liability_proof() -> Response:
        spender = bearer.spender(request.headers.get("Authorization", ""))
        if spender.is_child:
            raise ChildKeyError
        try:
            proof = proofs.of(spender.account_id)
        except NotSealedError as error:
            raise NothingHereError(
                "This account was owed nothing when it was signed; it is signed every hour."
            ) from error
        return never_store(as_json(proof.document()))

    for name, prefix in PREFIXES.items():
        rule = f"{prefix}/liability-proof"
        routes.add_url_rule(rule, f"{name}_liability_proof", liability_proof)
    return routes
