"""What the operator decides: every setting of the house, checked before the house opens."""

from __future__ import annotations

from app.settings.discovery import Discovery
from app.settings.money import MAKE_A_SEED, Money
from app.settings.selling import MODELS_EXAMPLE, Selling
from app.settings.serving import Serving
from app.settings.watching import Watching

__all__ = ["GROUPS", "MAKE_A_SEED", "MODELS_EXAMPLE", "Settings"]

GROUPS = (Selling, Money, Serving, Watching, Discovery)


# Fields are collected from the last base to the first: what is missing is told in this order.
class Settings(Discovery, Watching, Serving, Money, Selling):
    """One field is one variable in capitals, from the environment or else from `.env`."""
