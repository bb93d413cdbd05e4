"""What is sold, where it comes from, and what it costs."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, ValidationInfo, field_validator

from app.settings.kinds import Factor, Group, Live, Sats, Seconds, Several, Url

FREE_PATH = re.compile(r"(?!/v1(/|$))(/[A-Za-z0-9_-]+){1,6}")
MODELS_DEFAULT = Path("models.json")
MODELS_EXAMPLE = Path(__file__).parent.parent.parent / "models.example.json"


class Selling(Group):
    """What is sold, where it comes from, and what it costs."""

    upstream_base_url: Url
    """Where the API that is sold is reached, as the OpenAI clients want it: with /v1 if it has
    one. Example: https://openrouter.ai/api/v1"""

    upstream_api_key: SecretStr | None = None
    """Our key at the upstream. Without one, requests go there without credentials."""

    upstream_connect_timeout_s: Seconds = 10
    """How many seconds connecting to the upstream may take."""

    upstream_read_timeout_s: Seconds = 600
    """How many seconds the upstream may be silent; models that reason are, for minutes."""

    upstream_attempts_max: Live[int] = Field(default=3, ge=1, le=10)
    """How many providers are asked for one request, one after the other, until one serves."""

    failover_s: Live[Seconds] = 30
    """After how many seconds no further provider is asked for a request."""

    drain_seconds: Live[Seconds] = 300
    """How many seconds a stream whose client has gone is read on to learn what it cost."""

    missing_usage: Live[Literal["estimate", "max", "free"]] = "estimate"
    """What a request costs when the upstream does not say what was used: an estimate of what
    was delivered, all that was held, or nothing."""

    upstream_cost: Live[bool] = False
    """Whether a request costs what the upstream itself asks for it, if it says so (OpenRouter's
    usage.cost), with the two factors above, unless that is more than was held. If not, and
    wherever it does not say so, the price list decides."""

    free_get_paths: Live[Several[str]] = ()
    """Addresses of the upstream that anybody may read (GET) for nothing, with our key there and
    commas between them, as in /generation,/embeddings/models. Name none that tells of you."""

    models_path: Path = MODELS_DEFAULT
    """The models that are sold, with their prices in USD. While there is no models.json,
    models.example.json is taken."""

    models_refresh_interval_s: Live[Seconds] = 3600
    """How often providers that were added with --refresh are asked for their models and prices,
    in seconds."""

    price_jump_max: Live[Factor] = Decimal(3)
    """By which factor a provider's own list may change a price; beyond that it stays as it was,
    until `tallystick provider refresh --accept`."""

    model_based_pricing: bool = True
    """Whether a request costs what its model costs. If not, every request costs
    COST_PER_REQUEST and the two prices for 1,000 tokens."""

    cost_per_request: Live[Sats] = Decimal(1)
    """Fixed price of a request, in sat."""

    cost_per_1k_input_tokens: Live[Sats] = Decimal(0)
    """Fixed price of 1,000 tokens sent, in sat."""

    cost_per_1k_output_tokens: Live[Sats] = Decimal(0)
    """Fixed price of 1,000 tokens received, in sat."""

    exchange_fee: Live[Factor] = Decimal("1.005")
    """What exchanging bitcoin for USD costs the house, as a factor on the price."""

    upstream_provider_fee: Live[Factor] = Decimal("1.05")
    """What the house earns on the upstream's price, as a factor on it."""

    btc_usd: Annotated[Decimal, Field(gt=0, max_digits=24, decimal_places=8)] | None = None
    """A fixed price of one bitcoin in USD. Without it the median of public sources is taken."""

    rate_update_interval_s: Live[Seconds] = 60
    """How often the price of bitcoin is asked for, in seconds."""

    rate_stale_after_s: Live[Seconds] = 900
    """After how many seconds without news the last price of bitcoin is no longer sold at."""

    @property
    def models_file(self) -> Path:
        """The file to read models from: the operator's, or the example that ships with us."""
        if self.models_path == MODELS_DEFAULT and not self.models_path.is_file():
            return MODELS_EXAMPLE
        return self.models_path

    @field_validator("free_get_paths")
    @classmethod
    def _check_paths(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for path in value:
            if not FREE_PATH.fullmatch(path):
                raise ValueError("must be paths such as /generation, without /v1")
        return value

    @field_validator("models_path")
    @classmethod
    def _check_models(cls, value: Path) -> Path:
        if value != MODELS_DEFAULT and not value.is_file():
            raise ValueError("names a file that is not there")
        return value

    @field_validator("rate_stale_after_s")
    @classmethod
    def _check_stale(cls, value: float, info: ValidationInfo) -> float:
        if value <= info.data.get("rate_update_interval_s", 0):
            raise ValueError("must be more than RATE_UPDATE_INTERVAL_S")
        return value
