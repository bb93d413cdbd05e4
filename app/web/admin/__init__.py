"""The auditor's view: everything in the ledger can be looked at here, nothing changed."""

from __future__ import annotations
