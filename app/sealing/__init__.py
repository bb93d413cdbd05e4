"""The proof that nothing was rewritten: the log sealed, signed, proved and compared."""

from __future__ import annotations
