"""What the back office looks after, and what operators are told."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, SecretStr, ValidationInfo, field_validator

from app.settings.kinds import Group, Live, Seconds, TimeZone, Url

ADMIN_PASSWORD_LENGTH_MIN = 12
WEBHOOK_SECRET_LENGTH_MIN = 16


class Watching(Group):
    """What the back office looks after, and what operators are told."""

    admin_password: SecretStr | None = None
    """The password of the operator `admin` of the auditor's view, before one that was set with
    `tallystick admin password`. Without either nobody comes in."""

    time_zone: Live[TimeZone] = "UTC"
    """The zone in which the auditor's view tells and asks for times, as in Europe/Berlin."""

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """From which severity upwards log lines are written."""

    metrics_token: SecretStr | None = None
    """Who sends it as a bearer token may read /metrics. Without it only this machine may."""

    webhook_url: Url | None = None
    """Where every event that moves money is posted, signed and in order."""

    webhook_secret: Annotated[SecretStr | None, Field(validate_default=True)] = None
    """What those posts are signed with (HMAC-SHA256): a long random text that the receiver has
    too. Needed with WEBHOOK_URL."""

    sweep_interval_s: Live[Seconds] = 10
    """How often the back office looks for unfinished movements, in seconds."""

    refund_check_interval_s: Live[Seconds] = 60
    """How often the back office asks whether refund tokens were collected, in seconds."""

    reconcile_interval_s: Live[Seconds] = 3600
    """How often the back office compares the books with what the mints say, in seconds."""

    stuck_after_s: Live[Seconds] = 3600
    """After how many seconds a movement that a mint does not answer for is called stuck."""

    @field_validator("log_level", mode="before")
    @classmethod
    def _raise_level(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return "DEBUG" if value.upper() == "TRACE" else value.upper()

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
