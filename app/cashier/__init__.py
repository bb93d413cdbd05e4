"""Where money changes hands: one file a movement, from the door in to the doors out."""

from __future__ import annotations
