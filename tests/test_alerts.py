"""Prometheus itself reads the alert rules, and says when each of them fires."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

PROMTOOL = shutil.which("promtool")

pytestmark = pytest.mark.skipif(
    PROMTOOL is None, reason="promtool is not on this machine: apt install prometheus"
)

OPERATING = Path(__file__).parent.parent / "docs" / "operating"
RULES = OPERATING / "alerts.yml"
# Time begins at 0, and is looked at after so many minutes.
MINUTES = 60
NOW = f"0+60x{MINUTES}"
"""The figures of a moment that has just been, at every minute."""

WELL: dict[str, str | None] = {
    'tallystick_unexplained_msat{mint="m"}': "0",
    'tallystick_reconciled_timestamp_seconds{mint="m"}': NOW,
    'tallystick_oldest_seconds{kind="hold"}': "3600",
    'tallystick_oldest_seconds{kind="refund"}': "60",
    'tallystick_oldest_seconds{kind="issued"}': "999999",
    'tallystick_money_msat{of="house:shortfall"}': "-5000000",
    "tallystick_log_position": "7",
    'tallystick_job_last_success_timestamp_seconds{job="figures"}': NOW,
    'tallystick_job_runs_total{job="payout",end="failed"}': "9",
    'tallystick_job_runs_total{job="payout",end="done"}': f"0+60x{MINUTES}",
    "tallystick_rate_timestamp_seconds": NOW,
    'tallystick_requests_total{status="200"}': f"0+600x{MINUTES}",
    'tallystick_requests_total{status="503"}': f"0+10x{MINUTES}",
    'tallystick_gateway_failures_total{gateway="mint",name="m",kind="silent"}': "50",
    'tallystick_first_chunk_seconds_bucket{le="1.0"}': f"0+60x{MINUTES}",
    'tallystick_first_chunk_seconds_bucket{le="60.0"}': f"0+60x{MINUTES}",
    'tallystick_first_chunk_seconds_bucket{le="+Inf"}': f"0+60x{MINUTES}",
    'tallystick_follower_lag{follower="journal"}': "50",
}
"""What a house tells that is well, and has told for an hour."""

STALE: dict[str, dict[str, str | None]] = {
    "UnexplainedDifference": {'tallystick_unexplained_msat{mint="m"}': "-1"},
    "NotReconciled": {'tallystick_reconciled_timestamp_seconds{mint="m"}': "-86401"},
    "HoldTooOld": {'tallystick_oldest_seconds{kind="hold"}': "7201"},
    "MovementTooOld": {'tallystick_oldest_seconds{kind="refund"}': "3601"},
    "HouseLoses": {'tallystick_money_msat{of="house:shortfall"}': f"0-20000x{MINUTES}"},
    "NobodyAnswers": {"tallystick_log_position": None},
    "BackOfficeSilent": {
        'tallystick_job_last_success_timestamp_seconds{job="figures"}': "3300"
    },
    "JobFails": {'tallystick_job_runs_total{job="payout",end="failed"}': f"0+1x{MINUTES}"},
    "RateStale": {"tallystick_rate_timestamp_seconds": "2300"},
    "ManyErrors": {'tallystick_requests_total{status="503"}': f"0+60x{MINUTES}"},
    "GatewayFails": {
        'tallystick_gateway_failures_total{gateway="mint",name="m",kind="silent"}': (
            f"0+7x{MINUTES}"
        )
    },
    "SlowFirstChunk": {'tallystick_first_chunk_seconds_bucket{le="1.0"}': f"0+30x{MINUTES}"},
    "FollowerBehind": {'tallystick_follower_lag{follower="journal"}': "50001"},
}
"""What is told otherwise when an alert has to fire; None: not at all."""


def rules() -> list[dict[str, Any]]:
    document = yaml.safe_load(RULES.read_text())
    return [rule for group in document["groups"] for rule in group["rules"]]


def run(*words: str | Path) -> None:
    said = subprocess.run([str(PROMTOOL), *words], capture_output=True, check=False, timeout=60)
    assert said.returncode == 0, (said.stdout + said.stderr).decode()


def check(folder: Path, told: Mapping[str, str | None], fire: Iterable[str]) -> None:
    """Have Prometheus say that of all alerts just those `fire` when this is `told`."""
    firing = 'count by (alertname) (ALERTS{alertstate="firing"})'
    series = [
        {"series": name, "values": values if "x" in values else f"{values}+0x{MINUTES}"}
        for name, values in told.items()
        if values is not None
    ]
    expected = [{"labels": f'{{alertname="{name}"}}', "value": 1} for name in fire]
    asked = {"expr": firing, "eval_time": f"{MINUTES}m", "exp_samples": expected}
    document = {
        "rule_files": [str(RULES)],
        "evaluation_interval": "1m",
        "tests": [
            {"interval": "1m", "input_series": series, "promql_expr_test": [asked]},
        ],
    }
    path = folder / "test.yml"
    path.write_text(yaml.safe_dump(document))
    run("test", "rules", path)


def test_a_house_that_is_well_wakes_nobody(tmp_path: Path) -> None:
    check(tmp_path, WELL, [])


def test_a_house_with_a_fixed_rate_and_no_streams_yet_wakes_nobody(tmp_path: Path) -> None:
    told = {name: values for name, values in WELL.items() if "rate_" not in name}

    check(tmp_path, {n: v for n, v in told.items() if "chunk" not in n}, [])


@pytest.mark.parametrize("alert", STALE)
def test_an_alert_fires_when_it_must_and_no_other_does(alert: str, tmp_path: Path) -> None:
    check(tmp_path, WELL | STALE[alert], [alert])


def test_every_alert_is_tried() -> None:
    assert {rule["alert"] for rule in rules()} == set(STALE)


def test_every_question_of_the_dashboard_is_one_to_prometheus(tmp_path: Path) -> None:
    board = json.loads((OPERATING / "grafana.json").read_text())
    asked = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    written = [{"record": f"panel:{n}", "expr": expr} for n, expr in enumerate(asked)]
    path = tmp_path / "rules.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": written}]}))

    assert written
    run("check", "rules", path)
