"""Reads the specification's test vectors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent.parent / "vectors"


def vectors(nut: str) -> dict[str, Any]:
    table: dict[str, Any] = json.loads((FOLDER / f"nut{nut}.json").read_text())
    return table
