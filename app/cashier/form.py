"""A request that is a form: its fields and its files, and how it is written anew."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from typing import TYPE_CHECKING

from urllib3.fields import RequestField
from urllib3.filepost import encode_multipart_formdata

if TYPE_CHECKING:
    from collections.abc import Mapping

BOUNDARY_CHARACTERS = 32


@dataclass(frozen=True, slots=True)
class Part:
    """A field, or a file where it has a `filename` (RFC 7578)."""

    name: str
    value: bytes = field(repr=False)
    filename: str | None = None
    content_type: str = ""


@dataclass(frozen=True)
class Form:
    """The parts of a request, in their order.

    It is written anew, as JSON is, so that the upstream reads what was priced: of one that
    is written strangely another parser might read something else.
    """

    parts: tuple[Part, ...]

    @cached_property
    def boundary(self) -> str:
        """What stands between the parts: the same for the same parts, so retries are known."""
        digest = sha256()
        for part in self.parts:
            named = f"{part.name}\n{part.filename}\n{len(part.value)}\n"
            digest.update(named.encode() + part.value)
        return f"tallystick-{digest.hexdigest()[:BOUNDARY_CHARACTERS]}"

    @property
    def content_type(self) -> str:
        return f"multipart/form-data; boundary={self.boundary}"

    @property
    def files_bytes(self) -> int:
        return sum(len(part.value) for part in self.parts if part.filename is not None)

    def written(self, changes: Mapping[str, str] | None = None) -> bytes:
        """Return the body; fields that are named in `changes` have those values."""
        found = changes or {}
        fields = [_field(part, found.get(part.name)) for part in self.parts]
        body, _ = encode_multipart_formdata(fields, self.boundary)
        return body


def _field(part: Part, value: str | None) -> RequestField:
    data = part.value if value is None else value.encode()
    made = RequestField(part.name, data, part.filename)
    made.make_multipart(content_type=part.content_type or None)
    return made
