"""What can be wrong with who looks after the house.

StaffError
├── UnknownOperatorError     there is no operator of this name
├── OperatorThereError       there is an operator of this name already
└── PasswordError            a password is too short to keep anybody out, or too long
"""

from __future__ import annotations


class StaffError(Exception):
    """Something is wrong with who looks after the house."""


class UnknownOperatorError(StaffError):
    """There is no operator of this name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"There is no operator '{name[:40]}'.")


class OperatorThereError(StaffError):
    """There is an operator of this name already."""

    def __init__(self, name: str) -> None:
        super().__init__(f"There is an operator '{name[:40]}' already.")


class PasswordError(StaffError):
    """A password is too short to keep anybody out, or too long to be typed."""
