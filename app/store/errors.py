"""What the store can fail at.

StoreError
├── StoreUnavailableError    the database cannot be reached or written to just now
├── StoreBusyError           the database did not answer in time
├── SchemaTooNewError        the database was written by a newer version of this program
├── UpgradeError             the log of an older version cannot be read; nothing was changed
├── BackupError              a backup cannot be restored; nothing was changed
└── LogMovedError            somebody else has written into the log; nothing was changed
"""

from __future__ import annotations


class StoreError(Exception):
    """The store failed."""

    def __init__(self, message: str = "") -> None:
        super().__init__(message or (type(self).__doc__ or "").split("\n", 1)[0])


class StoreUnavailableError(StoreError):
    """The database cannot be reached or written to just now; nothing was recorded."""


class StoreBusyError(StoreError):
    """The database did not answer in time; what was asked may have been recorded."""


class SchemaTooNewError(StoreError):
    """The database was written by a newer version of this program."""


class UpgradeError(StoreError):
    """The log of an older version cannot be read; nothing was changed."""


class BackupError(StoreError):
    """A backup cannot be restored; nothing was changed."""


class LogMovedError(StoreError):
    """The log does not end where it should: somebody else has written; nothing was changed."""
