"""All that a service leaves behind on disk, as bytes in which secrets are looked for."""

from __future__ import annotations

import subprocess
import sys
from itertools import pairwise
from typing import TYPE_CHECKING

import psycopg
from psycopg.sql import SQL, Identifier

from app.gateways.mint import tokens

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

VERIFY_TIMEOUT_S = 60.0


def files_below(directory: Path) -> dict[str, bytes]:
    """Return every file below a directory, logs and database files with them."""
    return {
        str(path): path.read_bytes() for path in sorted(directory.rglob("*")) if path.is_file()
    }


def tables_of(url: str) -> dict[str, bytes]:
    """Return every table of a PostgreSQL database, in the binary form of COPY.

    As text it would write the bytes of the events as hexadecimal digits.
    """
    found = {}
    with psycopg.connect(url) as db:
        names = db.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        for (name,) in names.fetchall():
            statement = SQL("COPY {} TO STDOUT (FORMAT binary)").format(Identifier(name))
            with db.cursor().copy(statement) as rows:
                found[name] = b"".join(bytes(row) for row in rows)
    return found


def said(url: str, *verb: str) -> bytes:
    """Return all that a verb of `tallystick` prints; it must find nothing wrong."""
    done = subprocess.run(
        [sys.executable, "-m", "app.cli", *verb, "--database-url", url],
        capture_output=True,
        timeout=VERIFY_TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout + done.stderr


def needles(seed_phrase: str, texts: Iterable[str]) -> set[bytes]:
    """Return what must not be found: the seed, `texts`, and what makes tokens spendable.

    A word of the seed is a word of English; two of them in its order are the seed.
    """
    found = {"cashuA", "cashuB"}
    found |= {f"{first} {second}" for first, second in pairwise(seed_phrase.split())}
    for text in texts:
        found.add(text)
        if text.startswith("cashu"):
            found |= {proof.secret for proof in tokens.decode(text).proofs}
    return {needle.encode() for needle in found}
