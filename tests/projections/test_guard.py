from __future__ import annotations

from typing import TYPE_CHECKING

from domain.guards import GuardRows
from projections.guard import fold, keep, settle

if TYPE_CHECKING:
    from tests.projections.story import Story


def test_rows_that_a_store_has_written_are_no_news(story: Story) -> None:
    rows = GuardRows()
    fold(rows, story.entries)
    settle(rows)
    assert rows.accounts.changed == set(rows.accounts.rows) != set()

    keep(rows)

    assert not rows.accounts.changed
    assert rows.accounts.rows
