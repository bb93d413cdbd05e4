"""What anybody may ask to see that the log was not rewritten: checkpoints and proofs."""

from __future__ import annotations

import base64
from contextlib import contextmanager
from typing import TYPE_CHECKING

from flask import Blueprint, Response, request

from app.sealing.prove import NotSealedError
from app.web.bodies import as_json
from app.web.refusals import InvalidParameterError, NothingHereError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from app.sealing.prove import Proofs

TEXT_TYPE = "text/plain; charset=utf-8"
DIGITS_MAX = 18
# A new checkpoint comes every minute; a proof of what was signed is true for ever.
BRIEFLY = {"Cache-Control": "max-age=5"}


def blueprint(proofs: Proofs) -> Blueprint:
    """Return the routes; hashes in JSON are base64, as in the notes beside them."""
    routes = Blueprint("proof", __name__)

    @routes.get("/checkpoint")
    def checkpoint() -> Response:
        with _told():
            note = proofs.checkpoint(_number("size")).note
        return Response(note, headers=BRIEFLY, content_type=TEXT_TYPE)

    @routes.get("/proof/inclusion")
    def inclusion() -> Response:
        with _told():
            found = proofs.inclusion(_required("position"), _number("size"))
        return as_json(
            {
                "position": found.position,
                "index": found.index,
                "size": found.size,
                "leaf": _base64(found.leaf),
                "proof": _all_base64(found.proof),
                "checkpoint": found.note,
            }
        )

    @routes.get("/proof/consistency")
    def consistency() -> Response:
        with _told():
            found = proofs.consistency(_required("from"), _number("to"))
        return as_json(
            {
                "from": found.old.size,
                "to": found.new.size,
                "proof": _all_base64(found.proof),
                "checkpoint_from": found.old.note,
                "checkpoint_to": found.new.note,
            }
        )

    return routes


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except NotSealedError as error:
        raise NothingHereError("No checkpoint covers this.") from error


def _required(param: str) -> int:
    found = _number(param)
    if found is None:
        raise InvalidParameterError(param, "is required")
    return found


def _number(param: str) -> int | None:
    text = request.args.get(param)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= DIGITS_MAX):
        raise InvalidParameterError(param, "must be a whole number")
    return int(text)


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _all_base64(hashes: Sequence[bytes]) -> list[str]:
    return [_base64(item) for item in hashes]
