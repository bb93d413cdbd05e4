"""Deciding a batch of commands against guard rows, purely: no clock, no store, no waiting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from domain.command import AskTheLogError, Command
from domain.errors import LedgerError
from domain.event import Entry
from domain.guards import GuardRows

Answer = Entry | LedgerError


@dataclass(slots=True)
class Decided:
    """What a batch comes to: new entries in order, and an answer for each command.

    `unanswered` are the positions of commands whose movement's recorded history must be
    read first; decide again with those histories.
    """

    entries: list[Entry] = field(default_factory=list)
    answers: list[Answer | None] = field(default_factory=list)
    unanswered: list[int] = field(default_factory=list)


def decide(
    commands: Sequence[Command],
    rows: GuardRows,
    at: datetime,
    histories: Mapping[UUID, Sequence[Entry]],
) -> Decided:
    """Decide each command in turn; `rows` follow every decision.

    `histories` are the recorded entries of movements already known to be in the log. A
    command that fails carries its own error, and the others go on.
    """
    decided = Decided()
    made: dict[UUID, list[Entry]] = {}
    for position, command in enumerate(commands):
        stream = command.stream
        past: Sequence[Entry] = made.get(stream, ())
        if stream in histories:
            past = [*histories[stream], *past]
        answer: Answer | None = None
        try:
            entry = command.decide(rows, at)
            if past and entry.version <= past[-1].version:
                answer = command.replay(past)
            else:
                entry.event.apply(rows, stream, entry.version)
                made.setdefault(stream, []).append(entry)
                decided.entries.append(entry)
                answer = entry
        except AskTheLogError as error:
            if past or stream in histories:
                answer = _replay(command, past, error.otherwise)
            else:
                decided.unanswered.append(position)
        except LedgerError as error:
            answer = error
        decided.answers.append(answer)
    return decided


def _replay(command: Command, past: Sequence[Entry], otherwise: LedgerError | None) -> Answer:
    if not past and otherwise is not None:
        return otherwise
    try:
        return command.replay(past)
    except LedgerError as error:
        return error
