"""What is true about the money: events, rules and prices, with no outside world in them."""

from __future__ import annotations
