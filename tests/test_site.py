"""docs/ becomes a site: every page, every link, and nothing that is fetched from elsewhere."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from app.web.openapi.document import OPERATIONS

ROOT = Path(__file__).parent.parent
FETCHED = re.compile(
    r"<(?:script|img|iframe|link)\b[^>]*?(?:src|href)=\"((?:https?:)?//[^\"]*)\""
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    said = subprocess.run(
        [
            *(Path(sys.executable).with_name("mkdocs"), "build", "--quiet", "--strict"),
            *("--config-file", ROOT / "tools" / "mkdocs.yml", "--site-dir", folder),
        ],
        # Whatever it fetched would come by this.
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1", "HTTPS_PROXY": "http://127.0.0.1:9"},
        capture_output=True,
        check=False,
        timeout=100,
    )
    assert said.returncode == 0, said.stderr.decode()
    return folder


def test_every_page_of_the_folder_is_in_the_site(site: Path) -> None:
    docs = ROOT / "docs"
    wanted = {path.relative_to(docs).with_suffix(".html") for path in docs.rglob("*.md")}
    wanted = {path.with_name(path.name.replace("README", "index")) for path in wanted}

    found = {path.relative_to(site) for path in site.rglob("*.html")}

    assert wanted - found == set()


def test_every_endpoint_has_its_line(site: Path) -> None:
    page = (site / "endpoints.html").read_text()
    document = json.loads((site / "openapi.json").read_text())

    missing = [each.path for each in OPERATIONS if f"<code>{each.path}</code>" not in page]

    assert missing == []
    assert {each.path for each in OPERATIONS} <= set(document["paths"])


def test_nothing_is_fetched_when_a_page_is_read(site: Path) -> None:
    fetched = {
        (path.name, address)
        for path in site.rglob("*.html")
        for address in FETCHED.findall(path.read_text())
    }

    assert fetched == set()
