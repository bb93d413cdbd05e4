"""How the world reaches the ledger, and how the ledger reaches the world."""

from __future__ import annotations
