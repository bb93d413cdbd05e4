"""What must be written is tried again until the store takes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.store.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable

RETRY_FIRST_S, RETRY_MAX_S = 0.2, 30.0


def insist(act: Callable[[], object], pause: Callable[[float], None]) -> None:
    """Do `act`, which changes nothing when done twice, until it meets no `StoreError`."""
    pause_s = RETRY_FIRST_S
    while True:
        try:
            act()
        except StoreError:
            pause(pause_s)
            pause_s = min(2 * pause_s, RETRY_MAX_S)
        else:
            return
