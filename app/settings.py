"""What the operator decides: every setting of the house, checked before the house opens."""

from __future__ import annotations

import re
from decimal import Decimal
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Literal

from mnemonic import Mnemonic
from pydantic import Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from app.urls import is_loopback, normalised_url

FREE_PATH = re.compile(r"(?!/v1(/|$))(/[A-Za-z0-9_-]+){1,6}")
SEED_WORDS = (12, 15, 18, 21, 24)
MAKE_A_SEED = (
    "make one with: .venv/bin/python -c "
    "\"from mnemonic import Mnemonic; print(Mnemonic('english').generate(256))\""
)
ADMIN_PASSWORD_LENGTH_MIN = 12
WEBHOOK_SECRET_LENGTH_MIN = 16
MODELS_DEFAULT = Path("models.json")
OFF, ANY = "off", "any"
MODELS_EXAMPLE = Path(__file__).parent.parent / "models.example.json"

# Decimals are exact where a float would not be; the digits are limited so that no setting
# can make a number of a million digits out of `1e999999`.
Sats = Annotated[Decimal, Field(ge=0, max_digits=24, decimal_places=12)]
Factor = Annotated[Decimal, Field(ge=1, le=100, max_digits=14, decimal_places=12)]
Count = Annotated[int, Field(ge=0, le=1_000_000_000)]
HostAndPort = Annotated[str, Field(pattern=r"^[A-Za-z0-9.:\[\]-]+:[0-9]{1,5}$")]
Seconds = Annotated[float, Field(gt=0, le=86_400)]


class Settings(BaseSettings):
    """One field is one variable in capitals, from the environment or else from `.env`."""

    model_config = SettingsConfigDict(
        env_file=".env",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
        use_attribute_docstrings=True,
    )

    upstream_base_url: str
    """Where the API that is sold is reached, as the OpenAI clients want it: with /v1 if it has
    one. Example: https://openrouter.ai/api/v1"""

    upstream_api_key: SecretStr | None = None
    """Our key at the upstream. Without one, requests go there without credentials."""

    cashu_mints: Annotated[tuple[str, ...], NoDecode]
    """The mints whose ecash is taken, with commas between them; refunds come from them too.
    Whoever runs a mint can make its ecash worthless: name only mints that you trust."""

    instant_max_sat: int = Field(default=0, ge=0, le=100_000_000)
    """How much of tokens locked to this house's key is credited for each mint before they are
    swapped, in sat: no request waits for a mint then. 0 swaps first, as all other tokens."""

    foreign_mints: str = "off"
    """Whether tokens of other mints are taken too: off, any, or URLs with commas between them.
    Such a token is melted at its mint into an invoice of ours; what arrives is credited."""

    foreign_fee_max_percent: int = Field(default=5, ge=0, le=50)
    """How much of a foreign token both mints and Lightning may cost, in percent."""

    foreign_max_sat: int = Field(default=100_000, ge=1, le=100_000_000)
    """The largest foreign token that is taken, in sat."""

    wallet_seed: SecretStr
    """The seed phrase (BIP-39, 12 to 24 English words) of the ecash the house holds. This and
    the event log are the money: write it down on paper, and never share it with another wallet
    or another installation."""

    database_url: str = Field(default="sqlite:///tallystick.db", repr=False)
    """Where the events are kept: sqlite:///relative.db, sqlite:////absolute/path.db or
    postgresql://user:password@host/name. Several hosts need PostgreSQL."""

    models_path: Path = MODELS_DEFAULT
    """The models that are sold, with their prices in USD. While there is no models.json,
    models.example.json is taken."""

    model_based_pricing: bool = True
    """Whether a request costs what its model costs. If not, every request costs
    COST_PER_REQUEST and the two prices for 1,000 tokens."""

    cost_per_request: Sats = Decimal(1)
    """Fixed price of a request, in sat."""

    cost_per_1k_input_tokens: Sats = Decimal(0)
    """Fixed price of 1,000 tokens sent, in sat."""

    cost_per_1k_output_tokens: Sats = Decimal(0)
    """Fixed price of 1,000 tokens received, in sat."""

    exchange_fee: Factor = Decimal("1.005")
    """What exchanging bitcoin for USD costs the house, as a factor on the price."""

    upstream_provider_fee: Factor = Decimal("1.05")
    """What the house earns on the upstream's price, as a factor on it."""

    upstream_cost: bool = False
    """Whether a request costs what the upstream itself asks for it, if it says so (OpenRouter's
    usage.cost), with the two factors above, unless that is more than was held. If not, and
    wherever it does not say so, the price list decides."""

    free_get_paths: Annotated[tuple[str, ...], NoDecode] = ()
    """Addresses of the upstream that anybody may read (GET) for nothing, with our key there and
    commas between them, as in /generation,/embeddings/models. Name none that tells of you."""

    btc_usd: Annotated[Decimal, Field(gt=0, max_digits=24, decimal_places=8)] | None = None
    """A fixed price of one bitcoin in USD. Without it the median of public sources is taken."""

    rate_update_interval_s: Seconds = 60
    """How often the price of bitcoin is asked for, in seconds."""

    rate_stale_after_s: Seconds = 900
    """After how many seconds without news the last price of bitcoin is no longer sold at."""

    missing_usage: Literal["estimate", "max", "free"] = "estimate"
    """What a request costs when the upstream does not say what was used: an estimate of what
    was delivered, all that was held, or nothing."""

    name: str = "Tallystick"
    """The name of this house, as /v1/info tells it."""

    description: str = "An OpenAI-compatible API, paid request by request with Cashu ecash"
    """What this house sells, in one sentence, as /v1/info tells it."""

    npub: (
        Annotated[str, Field(pattern="^npub1[023456789acdefghjklmnpqrstuvwxyz]{58}$")] | None
    ) = None
    """The operator's public key on Nostr, as /v1/info tells it."""

    http_url: str | None = None
    """The address under which clients reach this house, as /v1/info tells it."""

    onion_url: str | None = None
    """The same for Tor."""

    host: str = Field(default="127.0.0.1", min_length=1)
    """The address to listen on; 0.0.0.0 for all. TLS is the business of a proxy in front."""

    port: int = Field(default=8000, ge=1, le=65_535)
    """The port to listen on."""

    workers: int = Field(default=2, ge=1, le=64)
    """How many processes serve; one for each core is plenty."""

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """From which severity upwards log lines are written."""

    body_bytes_max: int = Field(default=20 * 1024 * 1024, ge=1024, le=1024**3)
    """How many bytes the body of a request may have."""

    bodies_bytes_max: int = Field(default=512 * 1024 * 1024, ge=1024, le=1024**4)
    """How many bytes the bodies of all requests in progress may have, in each worker."""

    connections_max: int = Field(default=2000, ge=1, le=100_000)
    """How many connections each worker keeps. To more, 503 is answered at once."""

    requests_max: int = Field(default=1500, ge=1, le=100_000)
    """How many requests each worker has in progress. To more, 503 is answered at once."""

    head_timeout_s: Seconds = 10
    """How many seconds the head of a request may take, from the connection's first moment."""

    body_timeout_s: Seconds = 60
    """How many seconds the body of a request may take; one of less than 1 kB/s is cut off
    after 10."""

    send_timeout_s: Seconds = 60
    """After how many seconds a client that takes none of its answer has gone."""

    rate_limit_rpm: Count = 0
    """How many requests a minute each key may make of each worker; 0 for any number."""

    rate_limit_tpm: Count = 0
    """The same for tokens, read and written."""

    rate_limit_concurrent: Count = 0
    """How many requests each key may have in progress in each worker; 0 for any number."""

    rate_limit_create_rpm: Count = 0
    """How many accounts and invoices a minute each address may ask each worker for, without
    being known; 0 for any number."""

    trusted_proxies: Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode] = ()
    """The addresses or networks of proxies in front, with commas between them: what they say
    in X-Forwarded-For is believed."""

    upstream_connect_timeout_s: Seconds = 10
    """How many seconds connecting to the upstream may take."""

    upstream_read_timeout_s: Seconds = 600
    """How many seconds the upstream may be silent; models that reason are, for minutes."""

    upstream_attempts_max: int = Field(default=3, ge=1, le=10)
    """How many providers are asked for one request, one after the other, until one serves."""

    failover_s: Seconds = 30
    """After how many seconds no further provider is asked for a request."""

    models_refresh_interval_s: Seconds = 3600
    """How often providers that were added with --refresh are asked for their models and prices,
    in seconds."""

    price_jump_max: Factor = Decimal(3)
    """By which factor a provider's own list may change a price; beyond that it stays as it was,
    until `tallystick provider refresh --accept`."""

    mint_timeout_s: Seconds = 30
    """How many seconds a mint may take to answer; after that its answer is asked for again."""

    mint_requests_max: int = Field(default=8, ge=1, le=1000)
    """How many requests each process makes of one mint at a time; four times as many wait."""

    drain_seconds: Seconds = 300
    """How many seconds a stream whose client has gone is read on to learn what it cost."""

    sweep_interval_s: Seconds = 10
    """How often the back office looks for unfinished movements, in seconds."""

    refund_processing_interval: int = Field(default=3600, ge=0, le=31_536_000)
    """How often the back office refunds what is left on keys that have expired, in seconds; 0
    for never."""

    child_key_cost_msat: int = Field(default=0, ge=0, le=1_000_000_000)
    """What a child key costs, in thousandths of a satoshi."""

    refund_check_interval_s: Seconds = 60
    """How often the back office asks whether refund tokens were collected, in seconds."""

    reconcile_interval_s: Seconds = 3600
    """How often the back office compares the books with what the mints say, in seconds."""

    stuck_after_s: Seconds = 3600
    """After how many seconds a movement that a mint does not answer for is called stuck."""

    uncollected_token_days: int = Field(default=90, ge=0, le=36_500)
    """After how many days a refund token that nobody has collected is swapped back. Its worth,
    less the mint's fee, is its account's again and can be refunded for ever; 0 for never."""

    proofs_per_amount_max: int = Field(default=25, ge=0, le=10_000)
    """How many unspent proofs of one amount the house keeps before it swaps them for fewer; 0
    for any number."""

    tidy_fee_max: Sats = Decimal(20)
    """What the house may spend a day on mints' fees, in sat, to swap small proofs for fewer and
    those of keysets that are no longer in use for new ones."""

    webhook_url: str | None = None
    """Where every event that moves money is posted, signed and in order."""

    webhook_secret: Annotated[SecretStr | None, Field(validate_default=True)] = None
    """What those posts are signed with (HMAC-SHA256): a long random text that the receiver has
    too. Needed with WEBHOOK_URL."""

    metrics_token: SecretStr | None = None
    """Who sends it as a bearer token may read /metrics. Without it only this machine may."""

    receive_ln_address: str | None = None
    """The Lightning address or LNURL that what the house has earned is sent to: only what is
    owed to nobody. Without it nothing is sent."""

    minimum_payout: Sats = Decimal(210)
    """From how many sat on, at one mint, what was earned is sent."""

    maximum_payout: Sats = Decimal(1_000_000)
    """How many sat are sent at most in one payment, fees included."""

    payout_interval_s: Seconds = 900
    """How often the back office looks whether there is something to send, in seconds."""

    guard_allow: Annotated[tuple[HostAndPort, ...], NoDecode] = ()
    """Hosts with their ports, as in 127.0.0.1:3338, commas between them, that Lightning
    addresses and foreign mints may be at though they are not on the public internet; http is
    allowed there."""

    admin_password: SecretStr | None = None
    """Opens the auditor's view. Without it that view stays shut."""

    @property
    def models_file(self) -> Path:
        """The file to read models from: the operator's, or the example that ships with us."""
        if self.models_path == MODELS_DEFAULT and not self.models_path.is_file():
            return MODELS_EXAMPLE
        return self.models_path

    @field_validator("upstream_base_url", "http_url", "onion_url", "webhook_url")
    @classmethod
    def _check_url(cls, value: str | None) -> str | None:
        return None if value is None else normalised_url(value)

    @field_validator(
        "cashu_mints", "trusted_proxies", "guard_allow", "free_get_paths", mode="before"
    )
    @classmethod
    def _split_list(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return tuple(part.strip() for part in value.split(",") if part.strip())

    @field_validator("free_get_paths")
    @classmethod
    def _check_paths(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for path in value:
            if not FREE_PATH.fullmatch(path):
                raise ValueError("must be paths such as /generation, without /v1")
        return value

    @field_validator("cashu_mints")
    @classmethod
    def _check_mints(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        urls = tuple(normalised_url(url) for url in value)
        if not urls:
            raise ValueError("must name at least one mint")
        for url in urls:
            if not url.startswith("https://") and not is_loopback(url):
                raise ValueError("must be https, but for a mint on this machine")
        return tuple(dict.fromkeys(urls))

    @field_validator("foreign_mints")
    @classmethod
    def _check_foreign(cls, value: str) -> str:
        if value.strip().lower() in {OFF, ANY}:
            return value.strip().lower()
        return ",".join(normalised_url(url) for url in value.split(","))

    @property
    def foreign_urls(self) -> tuple[str, ...] | None:
        """The foreign mints that are taken; `None` for any, none of them when it is off."""
        if self.foreign_mints == ANY:
            return None
        return () if self.foreign_mints == OFF else tuple(self.foreign_mints.split(","))

    @field_validator("wallet_seed")
    @classmethod
    def _check_seed(cls, value: SecretStr) -> SecretStr:
        words = value.get_secret_value().lower().split()
        if len(words) not in SEED_WORDS:
            raise ValueError(f"must have 12, 15, 18, 21 or 24 words; {MAKE_A_SEED}")
        if not Mnemonic("english").check(" ".join(words)):
            raise ValueError(
                "is not a BIP-39 seed phrase: a word is unknown or the checksum is wrong; "
                + MAKE_A_SEED
            )
        return SecretStr(" ".join(words))

    @field_validator("database_url")
    @classmethod
    def _check_database(cls, value: str) -> str:
        sqlite_file = value.removeprefix("sqlite:///")
        if sqlite_file != value:
            if sqlite_file in {"", ":memory:"}:
                raise ValueError("must name a file: workers cannot share a database in memory")
        elif not value.startswith("postgresql://"):
            raise ValueError("must begin with sqlite:/// or postgresql://")
        return value

    @field_validator("models_path")
    @classmethod
    def _check_models(cls, value: Path) -> Path:
        if value != MODELS_DEFAULT and not value.is_file():
            raise ValueError("names a file that is not there")
        return value

    @field_validator("log_level", mode="before")
    @classmethod
    def _raise_level(cls, value: object) -> object:
        return value.upper() if isinstance(value, str) else value

    @field_validator("rate_stale_after_s")
    @classmethod
    def _check_stale(cls, value: float, info: ValidationInfo) -> float:
        if value <= info.data.get("rate_update_interval_s", 0):
            raise ValueError("must be more than RATE_UPDATE_INTERVAL_S")
        return value

    @field_validator("webhook_secret")
    @classmethod
    def _check_webhook(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        length = len(value.get_secret_value()) if value else 0
        if info.data.get("webhook_url") and length < WEBHOOK_SECRET_LENGTH_MIN:
            raise ValueError(f"must have at least {WEBHOOK_SECRET_LENGTH_MIN} characters")
        return value

    @field_validator("admin_password")
    @classmethod
    def _check_password(cls, value: SecretStr | None) -> SecretStr | None:
        if value and len(value.get_secret_value()) < ADMIN_PASSWORD_LENGTH_MIN:
            raise ValueError(f"must have at least {ADMIN_PASSWORD_LENGTH_MIN} characters")
        return value
