"""What each part of a house says of itself when it is asked whether it is ready."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from app.environment import load_settings
from app.gateways.mint.crypto import Seed
from app.gateways.mint.mints import Mints
from app.metrics import Metrics
from app.readiness import health_of
from app.settings import Settings
from app.store.locks import LEASE, FileLocks
from domain.guards import RateRow
from tests.doubles.mint import FakeMint

if TYPE_CHECKING:
    from pathlib import Path

    from app.house import House
    from app.web.health import Health

# The first test vector of BIP-39; it holds no money.
SEED = "abandon " * 11 + "about"
NOBODY = "http://127.0.0.1:9"

Ready = Callable[..., "Health"]


class MortalLocks(FileLocks):
    """The locks of a process that can die without the tests."""

    def die(self) -> None:
        for file in self._held.values():
            file.close()


def observed(ago: timedelta) -> RateRow:
    return RateRow("100000", datetime.now(UTC) - ago)


@pytest.fixture
def ready(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Ready:
    """How to ask a house that has these settings, mints and newest rate."""
    for field in Settings.model_fields:
        monkeypatch.delenv(field.upper(), raising=False)

    def ready(
        *mints: str, rate: RateRow | None = None, head: Any = int, **variables: str
    ) -> Health:
        needed = {"UPSTREAM_BASE_URL": f"{NOBODY}/v1", "CASHU_MINTS": NOBODY}
        for name, value in {**needed, "WALLET_SEED": SEED, **variables}.items():
            monkeypatch.setenv(name, value)
        house = SimpleNamespace(
            settings=load_settings(env_file=None),
            store=SimpleNamespace(head=head, rate=lambda: rate),
            locks=FileLocks(tmp_path / "locks"),
            mints=Mints(mints, Seed(b"\x07" * 64), connect_timeout_s=2, timeout_s=5),
            metrics=Metrics(),
        )
        return health_of(cast("House", house))

    return ready


def test_a_store_is_read_to_see_whether_it_can_be(ready: Ready) -> None:
    assert ready().must["store"]() == "ok"
    with pytest.raises(ZeroDivisionError):
        ready(head=lambda: 1 // 0).must["store"]()


@pytest.mark.parametrize(
    ("seconds", "said"), [(None, "never observed"), (800, "ok"), (1_000, "stale")]
)
def test_a_rate_is_as_good_as_it_is_young(ready: Ready, seconds: int | None, said: str) -> None:
    rate = None if seconds is None else observed(timedelta(seconds=seconds))

    assert ready(rate=rate, RATE_STALE_AFTER_S="900").must["rate"]() == said


@pytest.mark.parametrize("fixed", [{"BTC_USD": "100000"}, {"MODEL_BASED_PRICING": "false"}])
def test_who_sells_without_a_rate_needs_none(ready: Ready, fixed: dict[str, str]) -> None:
    assert ready(**fixed).must["rate"]() == "ok"


def test_the_back_office_is_there_while_somebody_has_the_lease(
    ready: Ready, tmp_path: Path
) -> None:
    health, office = ready(), MortalLocks(tmp_path / "locks")
    said = [health.may["back_office"]()]

    office.take(LEASE)
    said.append(health.may["back_office"]())
    office.die()
    said.append(health.may["back_office"]())

    assert said == ["nobody is in it", "ok", "nobody is in it"]


def test_mints_that_do_not_answer_are_named(ready: Ready) -> None:
    with FakeMint() as mint:
        one, both = ready(mint.url), ready(mint.url, NOBODY)

        assert one.may["mints"]() == "ok"
        assert both.may["mints"]() == f"silent: {NOBODY}"
