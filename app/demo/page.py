"""How the tour looks: numbered steps, facts in a column, double entries that line up."""

from __future__ import annotations

import re
import textwrap
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from domain.posting import Posting

INDENT = "    "
LABEL_WIDTH = 16
AMOUNT_WIDTH = 14
WIDTH_MAX = 92
UUID = re.compile(r"([0-9a-f]{8})-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def msat(amount_msat: int) -> str:
    """Write an amount of money.

    >>> msat(999_000)
    '999,000 msat'
    """
    return f"{amount_msat:,} msat"


def short(name: str) -> str:
    """Shorten the name of an account of the ledger: of a client its id, of a mint its URL.

    >>> short("client:0f9d2c1e-8a3b-5c4d-9e6f-102030405060:held")
    'client:0f9d2c1e…:held'
    >>> short("mint:http://127.0.0.1:3338")
    'mint:127.0.0.1:3338'
    """
    return UUID.sub(r"\1…", name).replace("mint:http://", "mint:")


def entry_lines(moves: Sequence[tuple[str, Sequence[Posting]]]) -> list[str]:
    """Return a line for each arrow; `moves` are the events' topics with their arrows."""
    rows = [
        ("" if place else topic, short(source), short(destination), msat(amount_msat))
        for topic, arrows in moves
        for place, (source, destination, amount_msat) in enumerate(arrows)
    ]
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(4)]
    return [
        f"{topic:<{widths[0]}}  {source:<{widths[1]}}  →  {destination:<{widths[2]}}"
        f"  {amount:>{max(widths[3], AMOUNT_WIDTH)}}"
        for topic, source, destination, amount in rows
    ]


def amount_lines(rows: Sequence[tuple[str, int]]) -> list[str]:
    """Return names and amounts in two columns."""
    width = max((len(short(name)) for name, _ in rows), default=0)
    return [f"{short(name):<{width}}  {msat(amount):>{AMOUNT_WIDTH}}" for name, amount in rows]


class Page:
    """Writes the tour to stdout, and remembers every amount that was not as computed."""

    def __init__(self) -> None:
        self.differences: list[str] = []
        self._step = 0

    def title(self, text: str) -> None:
        click.echo(f"\n{click.style(text, bold=True)}")

    def step(self, text: str) -> None:
        """Begin the next numbered step."""
        self._step += 1
        number = click.style(f"{self._step:>2}", fg="cyan")
        click.echo(f"\n{number}  {click.style(text, bold=True)}")

    def fact(self, label: str, text: str) -> None:
        click.echo(f"{INDENT}{label:<{LABEL_WIDTH}}  {text}")

    def amount(
        self, label: str, found_msat: int, computed_msat: int | None = None, note: str = ""
    ) -> None:
        """Show an amount; one that the tour has computed too is compared with that."""
        mark = " "
        if computed_msat is not None:
            mark = self.compared(label, found_msat, computed_msat)
        tail = f"  {click.style(note, dim=True)}" if note else ""
        self.fact(label, f"{msat(found_msat):>{AMOUNT_WIDTH}} {mark}{tail}".rstrip())

    def compared(self, what: str, found: int, computed: int) -> str:
        """Return a tick, or else a cross, and keep the difference for the end."""
        if found == computed:
            return click.style("✓", fg="green")
        self.differences.append(
            f"step {self._step}, {what}: found {found:,}, the tour computed {computed:,}"
        )
        return click.style(f"✗ computed {computed:,}", fg="red")

    def held_true(self, what: str, *, holds: bool) -> None:
        """Show something that must be true."""
        if not holds:
            self.differences.append(f"step {self._step}: not true that {what}")
        mark = click.style("✓", fg="green") if holds else click.style("✗", fg="red")
        click.echo(f"{INDENT}{mark} {what}")

    def entries(self, moves: Sequence[tuple[str, Sequence[Posting]]]) -> None:
        """Show double entries under a heading."""
        self._table("The journal", entry_lines(moves))

    def amounts(self, heading: str, rows: Sequence[tuple[str, int]]) -> None:
        self._table(heading, amount_lines(rows))

    def say(self, text: str = "") -> None:
        """Write a paragraph."""
        for line in textwrap.wrap(text, WIDTH_MAX - len(INDENT)) or [""]:
            click.echo(f"{INDENT}{line}".rstrip())

    def warn(self, text: str) -> None:
        """Write a paragraph that must not be overlooked."""
        lines = textwrap.wrap(text, WIDTH_MAX - len(INDENT))
        for line in lines:
            click.echo(INDENT + click.style(line, fg="yellow"))
        click.echo()

    def verbatim(self, lines: Iterable[str]) -> None:
        """Write lines that are to be pasted: not wrapped, not indented."""
        click.echo("\n".join(lines))

    @staticmethod
    def farewell() -> None:
        click.echo("\nEvery process of the demo has ended.")

    def fault(self, text: str) -> None:
        click.echo(f"\n{click.style(text, fg='red')}", err=True)

    @staticmethod
    def _table(heading: str, lines: Sequence[str]) -> None:
        click.echo(f"\n{INDENT}{click.style(heading, dim=True)}")
        for line in lines:
            click.echo(f"{INDENT}  {line}")


class Typewriter:
    """Writes a text as it arrives, piece by piece, in lines that are not too long."""

    def __init__(self, label: str) -> None:
        self._label = label
        self._column = 0

    def write(self, piece: str) -> None:
        """Add a piece; a word that has no place any more begins the next line."""
        if not self._column:
            click.echo(f"{INDENT}{self._label:<{LABEL_WIDTH}}  ", nl=False)
            self._column = len(INDENT) + LABEL_WIDTH + 2
            piece = piece.lstrip()
        for part in re.findall(r"\n|[^\S\n]*[^\s]+|[^\S\n]+", piece):
            self._part(part)

    def end(self) -> None:
        if self._column:
            click.echo()
            self._column = 0

    def _part(self, part: str) -> None:
        begins_word = part != part.lstrip()
        if part == "\n" or (begins_word and self._column + len(part) > WIDTH_MAX):
            click.echo()
            margin = " " * (len(INDENT) + LABEL_WIDTH + 2)
            click.echo(margin, nl=False)
            self._column = len(margin)
            part = part.strip()
        click.echo(click.style(part, fg="yellow"), nl=False)
        self._column += len(part)
