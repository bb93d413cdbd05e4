"""Figures of the whole service: two workers and a back office, told by whichever is asked."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from tests.integration.house import new_address
from tests.integration.service import Service

if TYPE_CHECKING:
    from pathlib import Path

    from tests.doubles.upstream import UpstreamDouble
    from tests.integration.mint import RealMint

pytestmark = pytest.mark.integration

REQUESTS = 40
PATIENCE_S = 20


def told(service: Service) -> dict[tuple[str, ...], float]:
    text = requests.get(f"{service.base_url}/metrics", timeout=5).text
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_every_process_counts_and_any_of_them_tells(
    mint: RealMint, upstream: UpstreamDouble, tmp_path: Path
) -> None:
    address = new_address(f"sqlite:///{tmp_path}/ledger.db", mint.url, upstream.base_url)
    with Service(address, tmp_path / "service", {}) as service:
        for _ in range(REQUESTS):
            requests.get(f"{service.base_url}/v1/models", timeout=5)
        ready = requests.get(f"{service.base_url}/readyz", timeout=10).json()
        until = time.monotonic() + PATIENCE_S
        key = "tallystick_job_last_success_timestamp_seconds", "figures"
        while key not in (figures := told(service)) and time.monotonic() < until:
            time.sleep(0.2)

    assert figures["tallystick_requests_total", "/v1/models", "200"] == REQUESTS
    assert figures["tallystick_open", "hold"] == 0
    assert figures[key] > 0
    assert ready["status"] == "ready"
    assert ready["back_office"] == ready["mints"] == "ok"
