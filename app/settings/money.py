"""The ecash the house takes, holds and gives back."""

from __future__ import annotations

from decimal import Decimal

from mnemonic import Mnemonic
from pydantic import Field, SecretStr, field_validator

from app.settings.kinds import Group, HostAndPort, Live, Sats, Seconds, Several
from app.urls import is_loopback, is_onion, normalised_url

SEED_WORDS = (12, 15, 18, 21, 24)
MAKE_A_SEED = (
    "make one with: .venv/bin/python -c "
    "\"from mnemonic import Mnemonic; print(Mnemonic('english').generate(256))\""
)
OFF, ANY = "off", "any"


class Money(Group):
    """The ecash the house takes, holds and gives back."""

    cashu_mints: Several[str]
    """The mints whose ecash is taken, with commas between them; refunds come from them too.
    Whoever runs a mint can make its ecash worthless: name only mints that you trust."""

    wallet_seed: SecretStr
    """The seed phrase (BIP-39, 12 to 24 English words) of the ecash the house holds. This and
    the event log are the money: write it down on paper, and never share it with another wallet
    or another installation."""

    database_url: str = Field(default="sqlite:///tallystick.db", repr=False)
    """Where the events are kept: sqlite:///relative.db, sqlite:////absolute/path.db or
    postgresql://user:password@host/name; a standby is named beside its primary, with a comma.
    Several hosts need PostgreSQL."""

    instant_max_sat: Live[int] = Field(default=0, ge=0, le=100_000_000)
    """How much of tokens locked to this house's key is credited for each mint before they are
    swapped, in sat: no request waits for a mint then. 0 swaps first, as all other tokens."""

    foreign_mints: Live[str] = "off"
    """Whether tokens of other mints are taken too: off, any, or URLs with commas between them.
    Such a token is melted at its mint into an invoice of ours; what arrives is credited."""

    foreign_fee_max_percent: Live[int] = Field(default=5, ge=0, le=50)
    """How much of a foreign token both mints and Lightning may cost, in percent."""

    foreign_max_sat: Live[int] = Field(default=100_000, ge=1, le=100_000_000)
    """The largest foreign token that is taken, in sat."""

    mint_timeout_s: Seconds = 30
    """How many seconds a mint may take to answer; after that its answer is asked for again."""

    mint_requests_max: int = Field(default=8, ge=1, le=1000)
    """How many requests each process makes of one mint at a time; four times as many wait."""

    refund_processing_interval: Live[int] = Field(default=3600, ge=0, le=31_536_000)
    """How often the back office refunds what is left on keys that have expired, in seconds; 0
    for never."""

    child_key_cost_msat: Live[int] = Field(default=0, ge=0, le=1_000_000_000)
    """What a child key costs, in thousandths of a satoshi."""

    uncollected_token_days: Live[int] = Field(default=90, ge=0, le=36_500)
    """After how many days a refund token that nobody has collected is swapped back. Its worth,
    less the mint's fee, is its account's again and can be refunded for ever; 0 for never."""

    proofs_per_amount_max: Live[int] = Field(default=25, ge=0, le=10_000)
    """How many unspent proofs of one amount the house keeps before it swaps them for fewer; 0
    for any number."""

    tidy_fee_max: Live[Sats] = Decimal(20)
    """What the house may spend a day on mints' fees, in sat, to swap small proofs for fewer and
    those of keysets that are no longer in use for new ones."""

    receive_ln_address: str | None = None
    """The Lightning address or LNURL that what the house has earned is sent to: only what is
    owed to nobody. Without it nothing is sent."""

    minimum_payout: Live[Sats] = Decimal(210)
    """From how many sat on, at one mint, what was earned is sent."""

    maximum_payout: Live[Sats] = Decimal(1_000_000)
    """How many sat are sent at most in one payment, fees included."""

    payout_interval_s: Live[Seconds] = 900
    """How often the back office looks whether there is something to send, in seconds."""

    guard_allow: Several[HostAndPort] = ()
    """Hosts with their ports, as in 127.0.0.1:3338, commas between them, that Lightning
    addresses and foreign mints may be at though they are not on the public internet; http is
    allowed there."""

    @field_validator("cashu_mints")
    @classmethod
    def _check_mints(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        urls = tuple(normalised_url(url) for url in value)
        if not urls:
            raise ValueError("must name at least one mint")
        for url in urls:
            if not url.startswith("https://") and not (is_loopback(url) or is_onion(url)):
                raise ValueError("must be https, but for a mint on this machine or on Tor")
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
        elif value.startswith("sqlite+aiosqlite:"):
            raise ValueError(
                "names a database of Routstr, which is left as it is; name a new file, as in"
                " sqlite:///tallystick.db"
            )
        elif not value.startswith("postgresql://"):
            raise ValueError("must begin with sqlite:/// or postgresql://")
        return value
