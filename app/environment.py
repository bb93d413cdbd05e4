"""Settings read from the environment and from `.env`, and what is said when they are wrong."""

from __future__ import annotations

import os
import textwrap
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dotenv import dotenv_values
from pydantic import ValidationError

from app.settings import GROUPS, MAKE_A_SEED, Settings
from app.settings.former import IN_FILE, RENAMED, REPLACED
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
PAGE_HEAD = """\
# Settings

Made from the code by `make fmt`, as `.env.example` is; a test holds both to it. Variables of
the environment go before `.env`. What is *live* may also be changed while the house is open,
by `tallystick settings set`: that goes before both, in every process and on every host, until
`tallystick settings unset` ([operating](operating/README.md))."""
PAGE_FORMER = """\
## Names from elsewhere

Whoever moves over from Routstr keeps their `.env`: names that are the same mean the same, and
these are told in one line each when the house opens. A name in capitals beside one of them is
the setting that it is taken for.

| there | here |
|---|---|"""

TABLE_HEAD = "| setting | default | live | what it is |\n|---|---|---|---|"
TABLE_BEGINS = "<!-- made from the code by `make fmt` -->\n"
TABLE_ENDS = "\n<!-- end of the settings -->"
MATTER_FIRST = (
    "upstream_base_url",
    "upstream_api_key",
    "upstream_provider_fee",
    "exchange_fee",
    "btc_usd",
    "cashu_mints",
    "wallet_seed",
    "database_url",
    "host",
    "port",
    "workers",
    "admin_password",
)
"""The settings that a README tells of; all of them are on a page of their own."""


class SettingsError(Exception):
    """Settings are missing or make no sense; the message has one line for each of them."""


def load_settings(env_file: Path | None = Path(".env")) -> Settings:
    """Read the environment, and `env_file` for what is not in it.

    Names that settings have elsewhere are taken for ours, where ours is not set.
    Raises `SettingsError` with one line for each fault: the variable, what is wrong with it,
    what it is for. No line repeats a value, which may be a secret.
    """
    try:
        return Settings(_env_file=env_file, **_renamed(env_file))
    except ValidationError as error:
        faults = error.errors(include_url=False, include_input=False)
        raise SettingsError("\n".join(fault_line(fault) for fault in faults)) from None


def former_lines(env_file: Path = Path(".env")) -> list[str]:
    """Say in one line for each name from elsewhere that is set what it is here."""
    written = _written(env_file)
    everywhere = {*written, *(name.upper() for name, value in os.environ.items() if value)}
    return [
        *(f"{old} is {new} here" for old, new in RENAMED.items() if old in everywhere),
        *(f"{old} is not read: {say}" for old, say in REPLACED.items() if old in everywhere),
        *(f"{old} is not read: {say}" for old, say in IN_FILE.items() if old in written),
    ]


def _renamed(env_file: Path | None) -> dict[str, Any]:
    """Return the settings that are only set under the names they have elsewhere."""
    found = {name.upper(): value for name, value in os.environ.items() if value}
    known = _written(env_file) | found
    return {
        new.lower(): known[old]
        for old, new in RENAMED.items()
        if old in known and new not in known
    }


def _written(env_file: Path | None) -> dict[str, str]:
    if env_file is None:
        return {}
    found = dotenv_values(env_file)
    return {name.upper(): value for name, value in found.items() if value}


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


def settings_page() -> str:
    """Return docs/settings.md: every setting in a table, and the names from elsewhere."""
    parts = [PAGE_HEAD]
    for group in GROUPS:
        rows = [_row(field, info) for field, info in names_of(group).items()]
        title = f"## {(group.__doc__ or '').rstrip('.')}\n"
        parts.append("\n".join((title, TABLE_HEAD, *rows)))
    former = {old: f"`{new}`" for old, new in RENAMED.items()} | REPLACED | IN_FILE
    rows = [f"| `{old}` | {former[old]} |" for old in sorted(former)]
    parts.append("\n".join((PAGE_FORMER, *rows)))
    return "\n\n".join(parts) + "\n"


def with_settings(readme: str) -> str:
    """Return the text of a README with its table of settings as it is in the code."""
    fields = {name: info for group in GROUPS for name, info in names_of(group).items()}
    rows = [_row(field, fields[field]) for field in MATTER_FIRST]
    before, _, rest = readme.partition(TABLE_BEGINS)
    after = rest.partition(TABLE_ENDS)[2]
    return "".join((before, TABLE_BEGINS, "\n".join((TABLE_HEAD, *rows)), TABLE_ENDS, after))


def _row(field: str, info: FieldInfo) -> str:
    default = as_text(info.get_default())
    shown = f"`{default}`" if default else "**needed**" if info.is_required() else ""
    live = "yes" if may_change(info) else ""
    return f"| `{field.upper()}` | {shown} | {live} | {about(field)} |"


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
