"""Doors in: how the world reaches the house over HTTP."""

from __future__ import annotations
