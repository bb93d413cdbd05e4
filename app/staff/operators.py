"""The operators: each change is an event, and their passwords are kept beside the log."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol
from uuid import UUID, uuid4

from app.staff.errors import OperatorThereError, PasswordError, UnknownOperatorError
from app.staff.passwords import LENGTH_MAX, LENGTH_MIN, Hasher
from domain.errors import OperatorChangedError
from domain.operators import NoteAct, RemoveOperator, SetOperator, SignOutOperator
from domain.rights import FIRST, NAME, SCOPES, OperatorRow, in_order

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from app.store.reads import Query
    from domain.ledger import Ledger

SETTINGS = "settings"
"""Who wanted the operator whose password the settings hold."""

READ = "SELECT hash FROM operator_password WHERE password_id = ?"
KEEP = "INSERT INTO operator_password (password_id, hash) VALUES (?, ?)"
DROP = "DELETE FROM operator_password WHERE password_id = ?"


class Books(Protocol):
    """What is read of the store."""

    def operators(self) -> dict[str, OperatorRow]: ...


class Operator(NamedTuple):
    """Somebody who looks after the house, as of now."""

    name: str
    version: int
    scopes: tuple[str, ...]

    def may(self, scope: str) -> bool:
        return not scope or scope in self.scopes


class Operators:
    """Makes, changes and knows operators; `who` wanted it is part of each event.

    `change` runs what changes rows beside the log. While `own_password` is set, it is the
    password of `admin` and goes before the one in the store. A password is written before
    the event that names it, so that no event names one that is not there.
    """

    def __init__(
        self,
        ledger: Ledger,
        books: Books,
        change: Callable[[Callable[[Query], Any]], Any],
        hasher: Hasher,
        own_password: str | None = None,
    ) -> None:
        self._ledger = ledger
        self._books = books
        self._change = change
        self._hasher = hasher
        self._own_hash = hasher.hashed(own_password) if own_password else None

    def all(self) -> list[Operator]:
        """Return every operator there is, by name."""
        return [_known(name, row) for name, row in self._books.operators().items()]

    def known(self, name: str) -> Operator | None:
        row = self._books.operators().get(name)
        return None if row is None else _known(name, row)

    def with_password(self, name: str, attempt: str) -> Operator | None:
        """Return the operator of this name and password, `None` if there is none such.

        Takes as long whatever is wrong. The operator of the settings is recorded when they
        first come.
        """
        row = self._books.operators().get(name) if NAME.fullmatch(name) else None
        is_of_settings = name == FIRST and self._own_hash is not None
        kept = self._own_hash if is_of_settings else self._kept(row)
        if not self._hasher.is_right(kept, attempt[:LENGTH_MAX]):
            return None
        if row is None:
            # Another process may have met them at the same moment.
            with suppress(OperatorChangedError):
                self._set(uuid4(), 0, name, SETTINGS, SCOPES, None)
        return self.known(name)

    def add(self, name: str, password: str, scopes: Iterable[str], who: str) -> None:
        """Make an operator.

        Raises `OperatorThereError`, `PasswordError`, `InvalidOperatorError`.
        """
        if self.known(name) is not None:
            raise OperatorThereError(name)
        self._set(uuid4(), 0, name, who, in_order(scopes), self._kept_anew(password))

    def set_password(self, name: str, password: str, who: str) -> None:
        """Give an operator another password, which ends all their sessions.

        `admin` is made, with every scope, if there is none. Raises `UnknownOperatorError`,
        `PasswordError`, `OperatorChangedError`.
        """
        row = self._books.operators().get(name)
        if row is None and name == FIRST:
            self.add(FIRST, password, SCOPES, who)
            return
        row = self._row(name)
        password_id = self._kept_anew(password)
        self._set(row.operator_id, row.version, name, who, row.scopes, password_id)
        self._forget(row)

    def set_scopes(self, name: str, scopes: Iterable[str], who: str) -> None:
        """Let an operator do other things; raises as `set_password` does."""
        row, wanted = self._row(name), in_order(scopes)
        self._set(row.operator_id, row.version, name, who, wanted, row.password_id)

    def sign_out(self, name: str, who: str) -> None:
        """End every session of an operator; raises `UnknownOperatorError`."""
        row = self._row(name)
        command = SignOutOperator(row.operator_id, row.version, name, who)
        self._ledger.change_operator(command)

    def remove(self, name: str, who: str) -> None:
        """Let somebody be an operator no more; raises `UnknownOperatorError`."""
        row = self._row(name)
        self._ledger.change_operator(RemoveOperator(row.operator_id, row.version, name, who))
        self._forget(row)

    def note(self, who: str, act: str, about: str = "") -> None:
        """Record what an operator did that changes no books."""
        self._ledger.change_operator(NoteAct(uuid4(), who, act, about))

    def _set(
        self,
        operator_id: UUID,
        version: int,
        name: str,
        who: str,
        scopes: tuple[str, ...],
        password_id: UUID | None,
    ) -> None:
        self._ledger.change_operator(
            SetOperator(operator_id, version, name, who, scopes, password_id)
        )

    def _row(self, name: str) -> OperatorRow:
        row = self._books.operators().get(name)
        if row is None:
            raise UnknownOperatorError(name)
        return row

    def _kept_anew(self, password: str) -> UUID:
        if not LENGTH_MIN <= len(password) <= LENGTH_MAX:
            raise PasswordError(f"A password has {LENGTH_MIN} to {LENGTH_MAX} characters.")
        password_id, hashed = uuid4(), self._hasher.hashed(password)
        self._change(lambda query: query(KEEP, [password_id.hex, hashed]))
        return password_id

    def _kept(self, row: OperatorRow | None) -> str | None:
        if row is None or row.password_id is None:
            return None
        password = row.password_id.hex
        found = self._change(lambda query: query(READ, [password]))
        return str(found[0][0]) if found else None

    def _forget(self, row: OperatorRow) -> None:
        if row.password_id is not None:
            password = row.password_id.hex
            self._change(lambda query: query(DROP, [password]))


def _known(name: str, row: OperatorRow) -> Operator:
    return Operator(name, row.version, row.scopes)
