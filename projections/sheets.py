"""Every table that follows the log, in the order in which they catch up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from projections.daily import DAILY
from projections.dead import DEAD
from projections.found import FOUND
from projections.invoices import INVOICES
from projections.journal import JOURNAL
from projections.rates import RATES
from projections.usage import USAGE

if TYPE_CHECKING:
    from projections.sheet import Sheet

# A day's sums point into the journal, so the journal goes first, and its lines to rates.
SHEETS: tuple[Sheet, ...] = (JOURNAL, RATES, DAILY, USAGE, INVOICES, FOUND, DEAD)
