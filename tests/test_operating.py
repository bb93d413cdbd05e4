"""What operators load into their monitoring speaks of figures that there are."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import yaml

from app.metrics import Metrics

OPERATING = Path(__file__).parent.parent / "docs" / "operating"
# What a query may say beside our own names.
FIGURE = re.compile(r"tallystick_[a-z_]+")
SUFFIXES = ("", "_total", "_bucket", "_count", "_sum")


def known() -> set[str]:
    described = Metrics().told().decode()
    families = re.findall(r"^# TYPE (\S+) ", described, flags=re.MULTILINE)
    names = {name.removesuffix("_total").removesuffix("_created") for name in families}
    return {name + suffix for name in names for suffix in SUFFIXES}


def rules() -> list[dict[str, Any]]:
    document = yaml.safe_load((OPERATING / "alerts.yml").read_text())
    return [rule for group in document["groups"] for rule in group["rules"]]


def test_every_alert_is_about_a_figure_that_is_told_and_says_what_to_do() -> None:
    alerts = rules()

    assert len({rule["alert"] for rule in alerts}) == len(alerts)
    for rule in alerts:
        named = FIGURE.findall(rule["expr"])
        assert named, rule["alert"]
        assert set(named) <= known(), rule["alert"]
        assert rule["labels"]["severity"] in {"page", "ticket"}
        assert set(rule["annotations"]) == {"summary", "action"}
        assert rule["expr"].count("(") == rule["expr"].count(")")


def test_every_panel_shows_a_figure_that_is_told() -> None:
    board = json.loads((OPERATING / "grafana.json").read_text())
    panels = board["panels"]

    assert len({panel["id"] for panel in panels}) == len(panels)
    places = {(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels}
    assert len(places) == len(panels)
    for panel in panels:
        for target in panel["targets"]:
            named = FIGURE.findall(target["expr"])
            assert named, panel["title"]
            assert set(named) <= known(), panel["title"]


def test_the_image_is_made_of_named_files_only() -> None:
    """M49: an image that shipped what a running house had left behind."""
    root = OPERATING.parent.parent
    lines = (root / ".dockerignore").read_text().splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    allowed = {line[1:].rstrip("/") for line in rules if line.startswith("!")}

    assert rules[0] == "*"
    assert all((root / name).exists() for name in allowed)
    assert allowed.isdisjoint({".env", ".git", ".demo", "tests", "docs", "models.json"})
    assert [name for name in allowed if ".db" in name or "*" in name] == []
