"""What can be told from the log: guard rows, journal, statements; all of it disposable."""

from __future__ import annotations
