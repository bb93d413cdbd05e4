"""What the house needs to deal with a Cashu mint: its crypto, its tokens, its HTTP API."""

from __future__ import annotations
