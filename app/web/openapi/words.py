"""The words in which endpoints are described: JSON Schema (2020-12) in short."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

Schema = dict[str, Any]
Content = dict[str, Schema]

TEXT: Schema = {"type": "string"}
NUMBER: Schema = {"type": "number", "minimum": 0}
WHOLE: Schema = {"type": "integer"}
COUNT: Schema = {"type": "integer", "minimum": 0}
YES_OR_NO: Schema = {"type": "boolean"}
UUID_TEXT: Schema = {"type": "string", "format": "uuid"}
ANYTHING: Schema = {}
MSAT: Schema = {"type": "integer", "minimum": 0, "description": "thousandths of a satoshi"}
SECONDS: Schema = {"type": "integer", "description": "seconds since 1970, UTC"}
TOKEN: Schema = {"type": "string", "description": "Cashu ecash, cashuA… or cashuB…"}
API_KEY: Schema = {"type": "string", "description": "sk-…: whoever has it owns the account"}
BASE64: Schema = {"type": "string", "contentEncoding": "base64"}

NONE: Mapping[str, Schema] = MappingProxyType({})

BEARER: Schema = {"bearer": []}
TICKET: Schema = {"ticket": []}
ANTHROPIC: Schema = {"anthropic": []}
FREE: tuple[Schema, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One method of one address, and of its `aliases`, which do the same.

    `answers` are by status; every other status is an error as `ERROR` has it, but for those
    named `error`. `security` are the ways to pay or to be known, any one of which will do.
    """

    name: str
    method: str
    path: str
    says: str
    tag: str
    answers: Mapping[int, Content]
    aliases: tuple[str, ...] = ()
    parameters: tuple[Schema, ...] = ()
    body: Content | None = None
    security: tuple[Schema, ...] = FREE
    error: Content = field(default_factory=lambda: json(ref("Error")))


def record(
    optional: Mapping[str, Schema] = MappingProxyType({}), /, **members: Schema
) -> Schema:
    """Return an object with all of `members`, perhaps with the `optional` ones, and others."""
    return {
        "type": "object",
        "properties": {**members, **optional},
        "required": list(members),
    }


def many(of: Schema) -> Schema:
    return {"type": "array", "items": of}


def maybe(schema: Schema) -> Schema:
    """Return `schema`, or null in its place."""
    return {"anyOf": [schema, {"type": "null"}]}


def one_of(*values: str) -> Schema:
    return {"type": "string", "enum": list(values)}


def ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def json(schema: Schema) -> Content:
    return {"application/json": schema}


def query(name: str, says: str, schema: Schema = TEXT, *, required: bool = False) -> Schema:
    return {
        "name": name,
        "in": "query",
        "description": says,
        "required": required,
        "schema": schema,
    }


def in_path(name: str, schema: Schema) -> Schema:
    return {"name": name, "in": "path", "required": True, "schema": schema}


def in_header(name: str, says: str, schema: Schema = TEXT) -> Schema:
    return {"name": name, "in": "header", "description": says, "schema": schema}
