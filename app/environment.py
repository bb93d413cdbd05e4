"""Settings read from the environment and from `.env`, and what is said when they are wrong."""

from __future__ import annotations

import textwrap
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from app.settings import GROUPS, MAKE_A_SEED, Settings
from app.settings.kinds import may_change, names_of

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo
    from pydantic_core import ErrorDetails

LINE_LENGTH = 96
ENV_EXAMPLE_HEAD = """\
# Every setting of the house. Copy this file to .env and fill in what has no value; what is
# commented out shows its default. The environment goes before this file. What is marked [live]
# may also be changed while the house is open, by `tallystick settings set`: that goes before
# both, in every process and on every host."""
MAY_CHANGE = "[live]"


class SettingsError(Exception):
    """Settings are missing or make no sense; the message has one line for each of them."""


def load_settings(env_file: Path | None = Path(".env")) -> Settings:
    """Read the environment, and `env_file` for what is not in it.

    Raises `SettingsError` with one line for each fault: the variable, what is wrong with it,
    what it is for. No line repeats a value, which may be a secret.
    """
    try:
        return Settings(_env_file=env_file)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_input=False)
        raise SettingsError("\n".join(fault_line(fault) for fault in faults)) from None


def fault_line(fault: ErrorDetails) -> str:
    """Say in one line which variable is at fault, what is wrong and what it is for."""
    field = str(fault["loc"][0])
    purpose = about(field).partition(". ")[0].rstrip(".")
    return f"{field.upper()} {_what_is_wrong(fault)}. ({purpose}.)"


def _what_is_wrong(fault: ErrorDetails) -> str:
    if fault["type"] == "missing":
        hint = f"; {MAKE_A_SEED}" if fault["loc"][0] == "wallet_seed" else ""
        return f"is missing; set it in the environment or in .env{hint}"
    if fault["type"] == "value_error":
        return str(fault["ctx"]["error"])
    before, should, after = fault["msg"].partition("should ")
    return should + after if should else before


def about(field: str) -> str:
    """Return what a setting is for, in one line."""
    return " ".join((Settings.model_fields[field].description or "").split())


def env_example() -> str:
    """Describe every setting in the form of a `.env` file; what has a default is commented out.

    This is what `.env.example` holds, so that neither can know a setting the other does not.
    """
    blocks = [ENV_EXAMPLE_HEAD]
    for group in GROUPS:
        blocks.append(f"# --- {group.__doc__}")
        blocks.extend(_described(field, info) for field, info in names_of(group).items())
    return "\n\n".join(blocks) + "\n"


def _described(field: str, info: FieldInfo) -> str:
    changing = f" {MAY_CHANGE}" if may_change(info) else ""
    words = textwrap.fill(
        about(field) + changing, LINE_LENGTH, initial_indent="# ", subsequent_indent="# "
    )
    assignment = f"{field.upper()}={as_text(info.get_default())}"
    return f"{words}\n{assignment if info.is_required() else '# ' + assignment}"


def as_text(value: Any) -> str:
    """Write a value as a variable of the environment would hold it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, float):
        return str(value).removesuffix(".0")
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return "" if value is None or repr(value) == "PydanticUndefined" else str(value)
