"""Whoever moves over from Routstr keeps their `.env`: each name works, or is told of."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from app.environment import former_lines, load_settings
from app.settings import Settings
from app.settings.former import IN_FILE, RENAMED, REPLACED

if TYPE_CHECKING:
    from pathlib import Path

# Every variable of the seed's example file, of its README, and of the system a year later.
SEED = {
    "ADMIN_PASSWORD",
    "CASHU_MINTS",
    "CORS_ORIGINS",
    "COST_PER_1K_INPUT_TOKENS",
    "COST_PER_1K_OUTPUT_TOKENS",
    "COST_PER_REQUEST",
    "DATABASE_URL",
    "DEBUG",
    "DESCRIPTION",
    "ENABLE_CONSOLE_LOGGING",
    "EXCHANGE_FEE",
    "HTTP_URL",
    "LOG_LEVEL",
    "MINIMUM_PAYOUT",
    "MODELS_PATH",
    "MODEL_BASED_PRICING",
    "NAME",
    "NPUB",
    "NSEC",
    "ONION_URL",
    "PAYOUT_INTERVAL",
    "PREPAID_API_KEY",
    "RECEIVE_LN_ADDRESS",
    "REFUND_PROCESSING_INTERVAL",
    "RELAYS",
    "SOURCE",
    "TOR_PROXY_URL",
    "UPSTREAM_API_KEY",
    "UPSTREAM_BASE_URL",
    "UPSTREAM_PROVIDER_FEE",
}
LATER = {
    "BASE_URL",
    "CHILD_KEY_COST",
    "DATABASE_BUSY_TIMEOUT",
    "DATABASE_MAX_OVERFLOW",
    "DATABASE_POOL_HOLD_WARN_SECONDS",
    "DATABASE_POOL_PRE_PING",
    "DATABASE_POOL_RECYCLE",
    "DATABASE_POOL_SIZE",
    "DATABASE_POOL_TIMEOUT",
    "ENABLE_ANALYTICS_SHARING",
    "FIXED_COST_PER_REQUEST",
    "FIXED_PER_1K_INPUT_TOKENS",
    "FIXED_PER_1K_OUTPUT_TOKENS",
    "FIXED_PRICING",
    "MINT_MAX_CONCURRENCY",
    "MINT_OPERATION_CONCURRENCY",
    "MINT_OPERATION_TIMEOUT_SECONDS",
    "MINT_RETRY_MAX_ATTEMPTS",
    "MIN_PAYOUT_SAT",
    "MIN_REQUEST_MSAT",
    "NEXT_PUBLIC_API_URL",
    "PROVIDERS_REFRESH_INTERVAL_SECONDS",
    "REFUND_SWEEP_CLAIM_TIMEOUT_SECONDS",
    "ROUTSTR_SECRET_KEY",
    "ROUTSTR_SECRET_KEY_FILE",
    "STALE_RESERVATION_TIMEOUT_SECONDS",
    "TINFOIL_API_KEY",
    "TOLERANCE_PERCENTAGE",
    "UPSTREAM_RATE_LIMIT",
}
OURS = {name.upper() for name in Settings.model_fields}
TOLD = {**RENAMED, **REPLACED, **IN_FILE}
MOVED_OVER = """\
# As somebody has it who moves over.
UPSTREAM_BASE_URL=https://api.openai.com/v1
UPSTREAM_API_KEY="sk-canary"
COST_PER_REQUEST=10                 # in sats
MODEL_BASED_PRICING=false
NAME=My Routstr Node
CASHU_MINTS="https://mint.minibits.cash/Bitcoin,https://mint.cubabitcoin.org"
LOG_LEVEL=TRACE
ENABLE_CONSOLE_LOGGING=true
PAYOUT_INTERVAL=300
SOURCE=
DEBUG=TRUE
"""


@pytest.fixture
def env_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The file of whoever moves over, with the one setting that is new, and nothing around."""
    for name in OURS | set(TOLD):
        monkeypatch.delenv(name, raising=False)
    # The first test vector of BIP-39; it holds no money.
    monkeypatch.setenv("WALLET_SEED", "abandon " * 11 + "about")
    file = tmp_path / ".env"
    file.write_text(MOVED_OVER)
    return file


@pytest.mark.parametrize("name", sorted(SEED | LATER))
def test_every_name_works_or_is_told_of(name: str) -> None:
    assert (name in OURS) != (name in TOLD)


def test_a_name_that_is_taken_for_another_is_a_setting() -> None:
    assert set(RENAMED.values()) <= OURS


def test_the_file_of_whoever_moves_over_opens_the_house(env_file: Path) -> None:
    settings = load_settings(env_file)

    assert settings.cost_per_request == 10
    assert settings.payout_interval_s == 300
    assert settings.log_level == "DEBUG"
    assert settings.cashu_mints[0] == "https://mint.minibits.cash/Bitcoin"


def test_our_own_name_goes_before_the_one_from_elsewhere(env_file: Path) -> None:
    env_file.write_text(MOVED_OVER + "PAYOUT_INTERVAL_S=60\n")

    assert load_settings(env_file).payout_interval_s == 60


def test_what_is_not_read_is_told_in_one_line_each(env_file: Path) -> None:
    lines = former_lines(env_file)

    assert lines == [
        "PAYOUT_INTERVAL is PAYOUT_INTERVAL_S here",
        "ENABLE_CONSOLE_LOGGING is not read: the log always goes to the standard output",
        "DEBUG is not read: say LOG_LEVEL=DEBUG",
    ]


def test_a_common_variable_of_the_shell_is_nobodys_business(
    env_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    env_file.write_text("")
    monkeypatch.setenv("DEBUG", "1")

    assert former_lines(env_file) == []
