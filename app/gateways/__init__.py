"""The doors out: everything that speaks to a machine which is not ours."""

from __future__ import annotations
