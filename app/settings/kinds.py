"""The kinds of values that settings have, each checked where it is read."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from app.urls import normalised_url

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

T = TypeVar("T")


def _split(value: object) -> object:
    if not isinstance(value, str):
        return value
    return tuple(part.strip() for part in value.split(",") if part.strip())


def _zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, OSError, ValueError) as error:
        raise ValueError("is no time zone that is known here, as in Europe/Berlin") from error
    return value


# Decimals are exact where a float would not be; the digits are limited so that no setting
# can make a number of a million digits out of `1e999999`.
Sats = Annotated[Decimal, Field(ge=0, max_digits=24, decimal_places=12)]
Factor = Annotated[Decimal, Field(ge=1, le=100, max_digits=14, decimal_places=12)]
Count = Annotated[int, Field(ge=0, le=1_000_000_000)]
HostAndPort = Annotated[str, Field(pattern=r"^[A-Za-z0-9.:\[\]-]+:[0-9]{1,5}$")]
Seconds = Annotated[float, Field(gt=0, le=86_400)]
TimeZone = Annotated[str, AfterValidator(_zone)]
Url = Annotated[str, AfterValidator(normalised_url)]
Several = Annotated[tuple[T, ...], NoDecode, BeforeValidator(_split)]
"""Several values in one variable, with commas between them."""


class Changing:
    """Marks a setting that may also be changed while the house is open, by an event."""


Live = Annotated[T, Changing()]


class Group(BaseSettings):
    """Settings that belong together: its docstring is their heading in `.env.example`."""

    model_config = SettingsConfigDict(
        env_file=".env",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
        use_attribute_docstrings=True,
    )


def may_change(info: FieldInfo) -> bool:
    """Tell whether a setting may also be changed while the house is open."""
    return any(isinstance(mark, Changing) for mark in info.metadata)


def names_of(group: type[Group]) -> dict[str, FieldInfo]:
    """Return the fields that `group` itself declares, in the order they are written."""
    return {name: group.model_fields[name] for name in group.__annotations__}
