"""What the tour decides before anything runs: which model, where, and what it may remove."""

from __future__ import annotations

import json
import shlex
import stat
from typing import TYPE_CHECKING

import pytest

from app.demo import stage as stages
from app.demo.stage import StageError
from app.demo.tour import MODEL, choose_model, curl_lines, first_priced
from tests.doubles.upstream import Behaviour, UpstreamDouble

if TYPE_CHECKING:
    from pathlib import Path


def test_the_tour_asks_for_a_model_that_the_upstream_has_and_the_price_list_knows() -> None:
    price_list: list[dict[str, object]] = [{"id": "dear"}, {"id": "cheap", "alias_ids": ["c"]}]

    assert first_priced(["unknown", "c"], price_list) == "c"
    assert first_priced(["cheap", "dear"], price_list) == "dear"
    assert first_priced(["unknown"], price_list) == MODEL


def test_the_upstreams_own_list_decides() -> None:
    with UpstreamDouble() as upstream:
        assert choose_model(upstream.base_url) == "openai/gpt-4o-mini"


def test_an_upstream_without_a_list_is_asked_for_the_usual_model() -> None:
    with UpstreamDouble() as upstream:
        upstream.behave(Behaviour(status=404))

        assert choose_model(upstream.base_url) == MODEL


def test_the_command_to_paste_is_one_command_with_a_proper_body() -> None:
    lines = curl_lines("http://127.0.0.1:8000", "sk-sample", MODEL)

    words = shlex.split("\n".join(lines).replace("\\\n", ""))
    assert words[:3] == ["curl", "-N", "http://127.0.0.1:8000/v1/chat/completions"]
    assert "Authorization: Bearer sk-sample" in words
    assert json.loads(words[-1])["model"] == MODEL


def test_every_demo_has_a_seed_a_password_and_ports_of_its_own(tmp_path: Path) -> None:
    first = stages.plan(tmp_path, None)
    second = stages.plan(tmp_path, None)

    assert first.seed_phrase != second.seed_phrase
    assert first.admin_password != second.admin_password
    assert len({first.base_url, first.mint_url, first.upstream_url}) == 3
    assert first.seed_phrase not in repr(first)


def test_an_upstream_that_is_named_takes_the_place_of_the_sample(tmp_path: Path) -> None:
    stage = stages.plan(tmp_path, "https://api.example/v1/")

    assert stage.upstream_url == "https://api.example/v1"
    assert not stage.is_sample_upstream
    assert stages.house_environment(stage)["UPSTREAM_BASE_URL"] == "https://api.example/v1"


def test_the_sample_upstream_never_sees_the_operators_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UPSTREAM_API_KEY", "the operator's")

    sample = stages.house_environment(stages.plan(tmp_path, None))
    own = stages.house_environment(stages.plan(tmp_path, "https://api.example/v1"))

    assert sample["UPSTREAM_API_KEY"] == ""
    assert own["UPSTREAM_API_KEY"] == "the operator's"


def test_a_new_demo_removes_what_the_last_one_made_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "tallystick.db").write_text("the operator's own ledger")
    stages.clear(tmp_path).close()
    (tmp_path / "demo-files" / "ledger.db").write_text("an earlier demo's")
    (tmp_path / "demo.json").write_text("{}")

    stages.clear(tmp_path).close()

    assert {path.name for path in tmp_path.rglob("*")} == {
        "demo-files",
        "demo.lock",
        "tallystick.db",
    }


def test_two_demos_do_not_share_a_directory(tmp_path: Path) -> None:
    with stages.clear(tmp_path), pytest.raises(StageError, match="already"):
        stages.clear(tmp_path)


def test_the_note_for_scripts_is_complete_and_for_its_owner_only(tmp_path: Path) -> None:
    stages.clear(tmp_path).close()
    stage = stages.plan(tmp_path, None)

    path = stages.write_note(stage, "sk-sample")

    note = json.loads(path.read_text())
    assert path == tmp_path / "demo.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert {"base_url", "api_key", "mint_url", "upstream_url", "admin_url"} <= note.keys()
    assert {"database_url", "pid"} <= note.keys()
    assert stage.seed_phrase not in path.read_text()
