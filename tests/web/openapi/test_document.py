"""The description is whole, well-formed, and true of every answer in the tests of the web."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import schemathesis
from flask import Flask, Response

from tests.web.described import METHODS, is_described, operations, template, watch

if TYPE_CHECKING:
    from tests.web.conftest import House

# The first test vector of BIP-39; it holds no money.
SEED = "abandon " * 11 + "about"
RULES = """
import json
from app.main import create_app
rules = create_app().url_map.iter_rules()
print(json.dumps([(rule.endpoint, rule.rule, sorted(rule.methods)) for rule in rules]))
"""


@pytest.fixture(scope="module")
def rules(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, str, list[str]]]:
    """Every route of the house as `main` builds it."""
    directory = tmp_path_factory.mktemp("house")
    environment = {
        "PATH": os.environ["PATH"],
        "UPSTREAM_BASE_URL": "http://127.0.0.1:9/v1",
        "CASHU_MINTS": "http://127.0.0.1:9",
        "WALLET_SEED": SEED,
        "DATABASE_URL": f"sqlite:///{directory}/ledger.db",
        "ADMIN_PASSWORD": "correct horse battery staple",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    shown = subprocess.run(
        [sys.executable, "-c", RULES],
        env=environment,
        cwd=directory,
        capture_output=True,
        check=True,
        timeout=60,
    )
    found: list[tuple[str, str, list[str]]] = json.loads(shown.stdout.splitlines()[-1])
    return found


def test_every_route_is_described_and_nothing_else(
    rules: list[tuple[str, str, list[str]]],
) -> None:
    there = {
        (method.lower(), template(rule))
        for endpoint, rule, methods in rules
        if is_described(endpoint, rule)
        for method in methods
        if method.lower() in METHODS
    }

    assert there == set(operations())


def test_it_is_well_formed(house: House) -> None:
    document: dict[str, Any] = house.client.get("/openapi.json").get_json()

    schema = schemathesis.openapi.from_dict(document)

    schema.validate()
    assert document["openapi"] == "3.1.1"
    assert document["info"]["title"] == house.doors.about.name
    assert document["servers"] == [{"url": "https://house.example"}]


def test_no_two_operations_have_one_name() -> None:
    names = [told["operationId"] for told in operations().values()]

    assert len(names) == len(set(names))


def test_every_parameter_of_a_path_is_described() -> None:
    for (_, path), told in operations().items():
        named = {each["name"] for each in told.get("parameters", ()) if each["in"] == "path"}
        assert all(f"{{{name}}}" in path for name in named), path
        assert path.count("{") == len(named), path


def test_the_page_for_people_names_every_endpoint_and_runs_nothing(house: House) -> None:
    answer = house.client.get("/docs")

    page = answer.get_data(as_text=True)
    assert all(path in page for _, path in operations())
    assert "<script" not in page
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]


@pytest.mark.parametrize(
    ("path", "document", "fault"),
    [
        ("/healthz", {"status": "ok", "more": 1}, None),
        ("/healthz", {"status": "fine"}, "get /healthz 200"),
        ("/healthz", {}, "get /healthz 200"),
        ("/v1/models/a/b", {"id": "a/b"}, "get /v1/models/{name} 200"),
        ("/new", {}, "nothing is said of it"),
    ],
)
def test_an_answer_that_is_not_as_described_is_found(
    path: str, document: object, fault: str | None
) -> None:
    app = Flask("test")
    seen = watch(app)
    for rule in ("/healthz", "/v1/models/<path:name>", "/new"):
        app.add_url_rule(
            rule,
            rule,
            lambda name="": Response(json.dumps(document), content_type="application/json"),
        )

    app.test_client().get(path)

    assert bool(seen) == bool(fault)
    assert all(fault in each for each in seen if fault)
