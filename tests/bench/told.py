"""Writes what a benchmark has found into its own place in docs/performance.md."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

DOCUMENT = Path(__file__).parents[2] / "docs" / "performance.md"
BEGIN, END = "<!-- written by `{command}` -->", "<!-- end of `{command}` -->"


def rewrite(command: str, lines: Sequence[str], document: Path = DOCUMENT) -> None:
    """Put `lines` between the marks of `command`, with the day and the machine they are of."""
    begin, end = (mark.format(command=command) for mark in (BEGIN, END))
    text = document.read_text()
    before, found, rest = text.partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"{document} has no place for {command}")
    load = ", ".join(f"{each:.1f}" for each in os.getloadavg())
    of = (
        f"`{command}`, {datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, Python"
        f" {platform.python_version()}, load average at the end {load}:"
    )
    document.write_text("\n".join([f"{before}{begin}", of, "", *lines, f"{end}{after}"]))
