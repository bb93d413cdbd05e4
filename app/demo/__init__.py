"""Stand-ins for the machines outside, so that the house can be tried without any of them."""

from __future__ import annotations
