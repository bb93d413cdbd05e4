"""Where in the log a moment is: found by halving, for times rise as positions do."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

CLOCKS_MAX = timedelta(hours=1)
"""How far the clocks of hosts that write one log may be apart.

Whoever must miss nothing of a period reads from so long before it until so long after it.
"""


def first_since(
    moment: datetime, head: int, behind: Callable[[int], tuple[int, datetime] | None]
) -> int:
    """Return the position of the first event at or after `moment`, else one behind `head`.

    `behind(position)` tells where and when the first event behind a position is, `None` when
    there is none; it is asked once for each time that `head` can be halved.

    >>> ats = [timedelta(hours=hour) for hour in (1, 2, 2, 5)]
    >>> first_since(timedelta(hours=2), 4, lambda place: (place + 1, ats[place]))
    2
    """
    low, high = 1, head + 1
    while low < high:
        middle = (low + high) // 2
        found = behind(middle - 1)
        if found is not None and found[1] < moment:
            low = found[0] + 1
        else:
            high = middle
    return low
