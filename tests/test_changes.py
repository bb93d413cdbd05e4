"""Settings changed while the house is open: what holds, where it comes from, who changed it."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from pydantic import SecretStr

from app.changes import CHANGING, Changes, SettingError, present
from app.environment import load_settings
from app.settings import Settings
from app.store.opening import open_store
from app.store.threads import one_by_one
from domain.errors import InvalidSettingError
from domain.ledger import Ledger
from projections.follow import verify

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from uuid import UUID

    from app.store.opening import Store
    from domain.event import Entry
    from domain.guards import SettingRow

    Given = Callable[..., Settings]

# The first test vector of BIP-39; it holds no money.
SEED = "abandon " * 11 + "about"


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Given:
    """How to read the settings of an environment that says this and nothing else."""
    monkeypatch.chdir(tmp_path)
    for field in Settings.model_fields:
        monkeypatch.delenv(field.upper(), raising=False)

    def given(**variables: str) -> Settings:
        required = {
            "UPSTREAM_BASE_URL": "https://upstream.example/v1",
            "CASHU_MINTS": "https://mint.example",
            "WALLET_SEED": SEED,
        }
        for name, value in {**required, **variables}.items():
            monkeypatch.setenv(name, value)
        return load_settings()

    return given


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store, _ = open_store(f"sqlite:///{tmp_path}/ledger.db")
    yield store
    store.close()


@pytest.fixture
def changes(store: Store, given: Given) -> Changes:
    return of(store, given())


def of(store: Store, settings: Settings) -> Changes:
    return Changes(Ledger(one_by_one(store), owner="settings"), store, settings)


def test_a_change_goes_before_the_environment(store: Store, given: Given) -> None:
    environment = given(NAME="Of the environment")
    changes = of(store, environment)

    written = changes.set("NAME", "Of the operator", "anna")

    assert written == "Of the operator"
    assert present(environment, store.settings()).name == "Of the operator"
    shown = changes.one("name")
    assert (shown.value, shown.source, shown.who) == ("Of the operator", "changed", "anna")
    assert shown.given == "Of the environment"


def test_what_is_given_back_is_as_the_environment_says(store: Store, given: Given) -> None:
    environment = given(NAME="Of the environment")
    changes = of(store, environment)
    changes.set("name", "Of the operator", "anna")

    written = changes.unset("name", "bob")

    assert written == "Of the environment"
    assert present(environment, store.settings()) == environment
    assert changes.one("name").source == "environment"
    with pytest.raises(SettingError, match="as the environment says already"):
        changes.unset("name", "bob")


def test_where_each_value_comes_from_is_told(
    store: Store, given: Given, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text("DESCRIPTION=From the file\n")
    changes = of(store, given(PORT="9000"))

    found = {shown.name: shown.source for shown in changes.all()}

    assert found["PORT"] == "environment"
    assert found["DESCRIPTION"] == ".env"
    assert found["HOST"] == "default"
    assert set(found) == {name.upper() for name in Settings.model_fields}


def test_every_change_stays_known_with_who_made_it(changes: Changes, store: Store) -> None:
    changes.set("UPSTREAM_PROVIDER_FEE", "1.1", "anna")
    changes.set("upstream_provider_fee", "1.20", "bob")
    changes.unset("upstream_provider_fee", "anna")

    found = changes.history("upstream_provider_fee")

    assert [(past.who, past.value) for past in found] == [
        ("anna", "1.1"),
        ("bob", "1.20"),
        ("anna", None),
    ]
    assert verify(store, lambda _done, _of: None) is None


def test_what_is_so_already_is_no_change(changes: Changes) -> None:
    changes.set("MISSING_USAGE", "estimate", "anna")
    changes.set("DRAIN_SECONDS", "300.0", "anna")

    assert changes.history("missing_usage") == []
    assert changes.history("drain_seconds") == []


def test_a_list_may_be_emptied(store: Store, given: Given) -> None:
    environment = given(FREE_GET_PATHS="/generation")
    changes = of(store, environment)

    changes.set("free_get_paths", "", "anna")

    assert present(environment, store.settings()).free_get_paths == ()


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("NAMES", "x", "there is no setting NAMES"),
        ("NAME", " ", "to give it back, unset it"),
        ("PORT", "9000", "read when the house opens"),
        ("WALLET_SEED", SEED, "read when the house opens"),
        ("ADMIN_PASSWORD", "x" * 20, "read when the house opens"),
        ("RECEIVE_LN_ADDRESS", "thief@evil.example", "read when the house opens"),
        ("EXCHANGE_FEE", "0.5", "EXCHANGE_FEE should be greater than or equal to 1"),
        ("MISSING_USAGE", "gratis", "'estimate', 'max' or 'free'"),
        ("RATE_LIMIT_RPM", "many", "valid integer"),
        ("RATE_STALE_AFTER_S", "10", "more than RATE_UPDATE_INTERVAL_S"),
        ("RATE_UPDATE_INTERVAL_S", "901", "RATE_STALE_AFTER_S must be more"),
    ],
)
def test_what_cannot_be_is_refused_and_changes_nothing(
    changes: Changes, store: Store, name: str, value: str, said: str
) -> None:
    with pytest.raises(SettingError, match=said):
        changes.set(name, value, "anna")

    assert store.settings() == {}


def test_a_text_without_end_is_refused(changes: Changes) -> None:
    with pytest.raises(InvalidSettingError, match="DESCRIPTION must have at most"):
        changes.set("description", "x" * 4_001, "anna")


def test_no_setting_that_may_change_is_a_secret(changes: Changes, given: Given) -> None:
    settings = given(
        UPSTREAM_API_KEY="canary-upstream",
        ADMIN_PASSWORD="canary-password",
        METRICS_TOKEN="canary-token",
        DATABASE_URL="postgresql://anna:canary@host/name",
    )

    secret = {name for name, value in settings if isinstance(value, SecretStr)}

    assert secret.isdisjoint(CHANGING)
    assert {"wallet_seed", "upstream_api_key", "admin_password"} <= secret
    told = [shown.value for shown in Changes.all(of_nobody(settings))]
    assert "canary" not in " ".join(told)
    assert "abandon" not in " ".join(told)
    assert told.count("(set)") == 5


def of_nobody(settings: Settings) -> Changes:
    """What changes settings in a house where nothing was ever changed."""

    class Unchanged:
        def settings(self) -> dict[str, SettingRow]:
            return {}

        def history(self, _stream: UUID) -> list[Entry]:
            return []

    def refuse(_command: object) -> Entry:
        raise AssertionError

    return Changes(Ledger(refuse, owner="nobody"), Unchanged(), settings)


def test_a_change_that_makes_no_sense_any_more_is_left_out(
    store: Store, given: Given, caplog: pytest.LogCaptureFixture
) -> None:
    changes = of(store, given())
    changes.set("rate_stale_after_s", "120", "anna")
    changes.set("name", "Of the operator", "anna")

    settings = present(given(RATE_UPDATE_INTERVAL_S="300"), store.settings())

    assert settings.rate_stale_after_s == 900
    assert settings.name == "Of the operator"
    assert "a change makes no sense any more" in caplog.text


def test_two_processes_see_the_same_change(given: Given, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/ledger.db"
    with closing(open_store(url)[0]) as here, closing(open_store(url)[0]) as there:
        of(here, given()).set("rate_limit_rpm", "5", "anna")

        assert present(given(), there.settings()).rate_limit_rpm == 5
