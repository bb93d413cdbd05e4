"""What the site of docs/ has that is no file there: every endpoint, from the code itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from mkdocs.structure.files import File

from app.web.info import About
from app.web.openapi.document import WAYS, by_tag, document

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files

PAGE, DOCUMENT = "endpoints.md", "openapi.json"
HEAD = """\
# Every endpoint

Made from what every house tells of itself at `/openapi.json` (OpenAPI 3.1, also
[here](openapi.json)) and, for people, at `/docs`. All answers of the tests are held to it.
Which errors there are and how to try again: [Routes, errors, headers](api.md)."""


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Add the decisions to the last chapter, as many as there are."""
    records = sorted(Path(config.docs_dir, "adr").glob("*.md"))
    inside = config.nav[-1]["Inside"] if config.nav else []
    inside.append({"Decisions": [f"adr/{record.name}" for record in records]})
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the page and the document to those of the folder."""
    about = About(name="Tallystick", description="", version="", mints=())
    files.append(File.generated(config, PAGE, content=page()))
    described = json.dumps(document(about), indent=1)
    files.append(File.generated(config, DOCUMENT, content=described))
    return files


def page() -> str:
    """Return every operation under its subject, in a table each."""
    return "\n".join((HEAD, *_lines())) + "\n"


def _lines() -> Iterator[str]:
    for tag, operations in by_tag():
        yield f"\n## {tag}\n\n| | path | what it does | who may |\n|---|---|---|---|"
        for operation in operations:
            paths = "<br>".join(f"`{path}`" for path in (operation.path, *operation.aliases))
            ways = " or ".join(" and ".join(way) or "anybody" for way in operation.security)
            says = operation.says.replace("|", "\\|")
            yield f"| {operation.method.upper()} | {paths} | {says} | {ways or 'anybody'} |"
    yield "\n## Who may\n"
    for name, way in WAYS.items():
        yield f"* **{name}**: {way['description']}."
