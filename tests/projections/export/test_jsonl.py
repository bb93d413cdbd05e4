from __future__ import annotations

import json
from uuid import UUID

from app.store.mapper import LedgerMapper
from projections.chain import GENESIS, Stored, leaf, link
from projections.export.jsonl import jsonl
from projections.export.record import by_day
from tests.projections.export.reading import told
from tests.projections.story import Story, stored


def test_every_event_is_told_exactly_as_it_is_stored(story: Story) -> None:
    lines = [json.loads(line) for line in jsonl(told(story.entries))]

    assert [
        Stored(
            line["position"],
            UUID(line["stream"]).bytes,
            line["version"],
            line["topic"],
            line["state"].encode(),
        )
        for line in lines
    ] == stored(story.entries, LedgerMapper())


def test_an_event_is_one_line_whatever_is_in_it(story: Story) -> None:
    lines = list(jsonl(told(story.entries)))

    assert len(lines) == len(story.entries)
    assert all(line.count("\n") == 1 and line.endswith("}\n") for line in lines)


def test_a_whole_log_is_told_with_its_chain(story: Story) -> None:
    lines = [json.loads(line) for line in jsonl(told(story.entries), whole=True)]

    before = GENESIS
    for line, each in zip(lines, stored(story.entries, LedgerMapper()), strict=True):
        before = link(before, leaf(each))
        assert line["chain"] == before.hex()


def test_a_day_is_told_by_its_sums(story: Story) -> None:
    days = list(by_day(told(story.entries)))

    lines = [json.loads(line) for line in jsonl(days)]

    assert [line["day"] for line in lines] == [day.day for day in days]
    assert lines[0]["postings"][0] == days[0].postings[0]._asdict()
    assert all(line["events"] > 0 for line in lines)
