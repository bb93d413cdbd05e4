"""Names that settings have elsewhere: what whoever moves over from Routstr has in `.env`."""

from __future__ import annotations

RENAMED = {
    "CHILD_KEY_COST": "CHILD_KEY_COST_MSAT",
    "FIXED_COST_PER_REQUEST": "COST_PER_REQUEST",
    "FIXED_PER_1K_INPUT_TOKENS": "COST_PER_1K_INPUT_TOKENS",
    "FIXED_PER_1K_OUTPUT_TOKENS": "COST_PER_1K_OUTPUT_TOKENS",
    "MINT_MAX_CONCURRENCY": "MINT_REQUESTS_MAX",
    "MINT_OPERATION_CONCURRENCY": "MINT_REQUESTS_MAX",
    "MINT_OPERATION_TIMEOUT_SECONDS": "MINT_TIMEOUT_S",
    "MIN_PAYOUT_SAT": "MINIMUM_PAYOUT",
    "PAYOUT_INTERVAL": "PAYOUT_INTERVAL_S",
    "PROVIDERS_REFRESH_INTERVAL_SECONDS": "PROVIDERS_REFRESH_INTERVAL_S",
}
"""Taken for the setting beside it, unless that is set itself."""

_NO_POOL = "connections to the database need no setting here"
_NO_ESTIMATE = "what is held is the most that the request can cost, exactly"
REPLACED = {
    "CORS_ORIGINS": "pages of any origin may ask, and the auditor's view answers none of them",
    "DATABASE_BUSY_TIMEOUT": _NO_POOL,
    "DATABASE_MAX_OVERFLOW": _NO_POOL,
    "DATABASE_POOL_HOLD_WARN_SECONDS": _NO_POOL,
    "DATABASE_POOL_PRE_PING": _NO_POOL,
    "DATABASE_POOL_RECYCLE": _NO_POOL,
    "DATABASE_POOL_SIZE": _NO_POOL,
    "DATABASE_POOL_TIMEOUT": _NO_POOL,
    "ENABLE_ANALYTICS_SHARING": "nothing is told about your clients to anybody",
    "ENABLE_CONSOLE_LOGGING": "the log always goes to the standard output",
    "FIXED_PRICING": "say MODEL_BASED_PRICING=false for fixed prices",
    "MIN_REQUEST_MSAT": _NO_ESTIMATE,
    "MINT_RETRY_MAX_ATTEMPTS": "a mint is asked until it has answered",
    "NEXT_PUBLIC_API_URL": "the auditor's view is at /admin/ of the house itself",
    "PREPAID_API_KEY": "buy a key at /v1/wallet/create",
    "REFUND_SWEEP_CLAIM_TIMEOUT_SECONDS": "say UNCOLLECTED_TOKEN_DAYS",
    "ROUTSTR_SECRET_KEY": "secrets are sealed with a key made from WALLET_SEED",
    "ROUTSTR_SECRET_KEY_FILE": "secrets are sealed with a key made from WALLET_SEED",
    "STALE_RESERVATION_TIMEOUT_SECONDS": "a hold ends with its request, or with its process",
    "TINFOIL_API_KEY": "add it by `tallystick provider add`",
    "TOLERANCE_PERCENTAGE": _NO_ESTIMATE,
    "UPSTREAM_RATE_LIMIT": "a provider that says Retry-After is left alone as long",
}
"""Not taken; what stands in its place, in words."""

IN_FILE = {
    "BASE_URL": "add it by `tallystick provider add NAME URL --refresh`",
    "DEBUG": "say LOG_LEVEL=DEBUG",
    "SOURCE": "say `tallystick provider add NAME URL --refresh --only 'SOURCE/*'`",
}
"""The same, but only if it stands in `.env`: any shell may have such a variable."""
