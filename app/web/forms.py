"""Forms: requests that bring files along, read within limits (RFC 7578)."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.http import parse_options_header
from werkzeug.sansio.multipart import Data, Epilogue, Field, File, MultipartDecoder

from app.cashier.form import Form, Part
from app.cashier.sound import length_of
from app.web.refusals import InvalidFormError, InvalidParameterError

if TYPE_CHECKING:
    from collections.abc import Iterator

FORM_TYPE = "multipart/form-data"
PARTS_MAX = 100
FIELD_BYTES_MAX = 1024 * 1024
NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}(\[\])?")
FILE_NAME_CHARACTERS_MAX = 200
CONTENT_TYPE = re.compile(r"[A-Za-z0-9!#$&^_.+-]{1,64}/[A-Za-z0-9!#$&^_.+-]{1,64}")
NUMBERS = frozenset({"n"})
TRUTHS = {"stream": {"true": True, "false": False}}


def read_form(body: bytes, content_type: str) -> Form:
    """Return the form that `body` is; raises `InvalidFormError`, `InvalidParameterError`."""
    kind, options = parse_options_header(content_type)
    boundary = options.get("boundary", "")
    if kind != FORM_TYPE or not boundary.isascii() or not boundary:
        raise InvalidFormError
    try:
        parts = tuple(_parts(body, boundary.encode()))
    except (ValueError, RequestEntityTooLarge) as error:
        raise InvalidFormError from error
    for part in parts:
        if not NAME.fullmatch(part.name):
            raise InvalidParameterError(part.name[:100], "cannot be the name of a field")
    return Form(parts)


def document_of(form: Form) -> dict[str, Any]:
    """Return what a form says, as JSON would; files show their size and length only.

    Raises `InvalidParameterError` for a field that is given twice, or is no text.
    """
    document: dict[str, Any] = {}
    files: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    lists: defaultdict[str, list[str]] = defaultdict(list)
    for part in form.parts:
        if part.filename is not None:
            files[part.name].append(_shown(part))
        elif part.name.endswith("[]"):
            lists[part.name].append(_text(part))
        elif part.name in document:
            raise InvalidParameterError(part.name, "must be given once")
        else:
            document[part.name] = _value(part)
    for name, found in files.items():
        if name in document or name in lists:
            raise InvalidParameterError(name, "must be a file, or none")
        document[name] = found if name.endswith("[]") or len(found) > 1 else found[0]
    return {**document, **lists}


def _shown(part: Part) -> dict[str, Any]:
    length = length_of(part.value)
    return {
        "type": "form_file",
        "bytes": len(part.value),
        "seconds_max": length.most,
        "seconds_guess": length.guess,
    }


def _value(part: Part) -> object:
    text = _text(part)
    if part.name in NUMBERS and text.isascii() and text.isdigit() and len(text) < 10:  # noqa: PLR2004
        return int(text)
    return TRUTHS.get(part.name, {}).get(text.strip().lower(), text)


def _text(part: Part) -> str:
    try:
        return part.value.decode()
    except UnicodeDecodeError as error:
        raise InvalidParameterError(part.name, "must be a text") from error


def _parts(body: bytes, boundary: bytes) -> Iterator[Part]:
    """Yield the parts of `body`; raises `ValueError` or werkzeug's error of too many."""
    decoder = MultipartDecoder(boundary, FIELD_BYTES_MAX, max_parts=PARTS_MAX)
    decoder.receive_data(body)
    decoder.receive_data(None)
    head: Field | File | None = None
    pieces: list[bytes] = []
    while not isinstance(event := decoder.next_event(), Epilogue):
        if isinstance(event, Field | File):
            head, pieces = event, []
        elif isinstance(event, Data) and head is not None:
            pieces.append(event.data)
            if not event.more_data:
                yield _part(head, b"".join(pieces))


def _part(head: Field | File, value: bytes) -> Part:
    if isinstance(head, Field):
        if len(value) > FIELD_BYTES_MAX:
            raise ValueError("a field is too long")
        return Part(head.name, value)
    content_type = head.headers.get("content-type", "")
    # Its ending tells some upstreams what it is; the folders of a client tell too much.
    name = re.split(r"[/\\]", head.filename)[-1][-FILE_NAME_CHARACTERS_MAX:]
    kind = content_type if CONTENT_TYPE.fullmatch(content_type) else "application/octet-stream"
    return Part(head.name, value, name or "file", kind)
