#!/usr/bin/env python3
"""Verifies an exported ledger by itself: copy this one file, it needs Python and nothing else.

    verify_ledger.py log LOG --key KEY --checkpoint NOTE [--checkpoint NOTE ...]
    verify_ledger.py log NEWER_LOG --since OLDER_LOG
    verify_ledger.py grown OLDER_NOTE NEWER_NOTE PROOF --key KEY
    verify_ledger.py event LINE PROOF --key KEY
    verify_ledger.py owed PROOF --key KEY
    verify_ledger.py archive ARCHIVE --key KEY

`log` hashes every event of an export (JSON lines: position, stream, version, topic, state,
and perhaps chain) into the tree of RFC 6962, and holds it against signed checkpoints (C2SP
tlog-checkpoint), or against an older export. `grown` verifies that one checkpoint is the
beginning of another, with the proof (JSON) that the house gives. `event` verifies that the
one event in the file LINE is under the checkpoint inside PROOF (C2SP tlog-proof). `owed`
verifies that what your account is owed is part of the signed total of all that is owed, with
the proof (JSON) that the house gives to your key at /v1/wallet/liability-proof. `archive`
verifies a file that holds a log and checkpoints of it, up to its end. KEY is the house's
verifier key, NAME+ID+BASE64; get it, and keep your own checkpoints, where nobody who
can write the ledger can change them.

Ends with 0 and OK; with 1 and the first position that differs; with 2 if it cannot read.
"""

from __future__ import annotations

import argparse
import base64
import gzip
import json
import re
import struct
import sys
import zlib
from functools import partial
from hashlib import sha256, sha512
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

LINE_BYTES_MAX = 16 * 1024 * 1024
NOTE_BYTES_MAX = 100_000
SIGNATURES_MAX = 100
STREAM = re.compile("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
HEAD = struct.Struct(">BQ16sQI")
FORM = 1
GENESIS = bytes(32)
PROOF = re.compile(
    r"c2sp\.org/tlog-proof@v1\n(?:extra .*\n)?index (0|[1-9][0-9]{0,18})((?:\n\S+)*)"
)
CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")
SAID = re.compile(r"(.+)\n(0|[1-9][0-9]{0,18})\n([A-Za-z0-9+/]{43}=)\n(?:.+\n)*")
OWED = re.compile(
    r"(.+)\n(0|[1-9][0-9]{0,18})\n([A-Za-z0-9+/]{43}=)\n(0|[1-9][0-9]{0,18})\n([A-Za-z0-9+/]{43}=)\n"
)
AMOUNTS = ("available_msat", "held_msat", "on_its_way_msat", "uncollected_msat")
LEAF, NODE = struct.Struct(">32s16s4Q"), struct.Struct(">32sQ32sQ")
HASH_BYTES, DEPTH_MAX = 32, 64
MSAT_MAX = 21_000_000 * 10**8 * 1000
text_of = json.JSONEncoder(ensure_ascii=False).encode


class DifferenceError(Exception):
    """The ledger, a checkpoint or a proof is not what it should be."""


class Event(NamedTuple):
    """An exported event: where it stands, its leaf in the tree, the link beside it if any."""

    position: int
    leaf: bytes
    chain: str | None


class Checkpoint(NamedTuple):
    """The first `size` events have the tree with this root."""

    size: int
    root: bytes


class Node(NamedTuple):
    """The root of a part of a Merkle sum tree, and what all its leaves come to."""

    hash: bytes
    msat: int


def main(arguments: Sequence[str] | None = None) -> int:
    options = _options(arguments)
    try:
        found: str = options.run(options)
    except DifferenceError as error:
        sys.stdout.write(f"DIFFERENCE: {error}\n")
        return 1
    except (OSError, UnicodeDecodeError) as error:
        sys.stderr.write(f"cannot read: {error}\n")
        return 2
    sys.stdout.write(f"OK: {found}\n")
    return 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    about = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=about)
    verbs = parser.add_subparsers(required=True)
    log = verbs.add_parser("log", help="an exported log")
    log.add_argument("log", type=Path)
    log.add_argument("--key")
    log.add_argument("--checkpoint", type=Path, action="append", default=[])
    log.add_argument("--since", type=Path)
    log.set_defaults(run=_log, parser=log)
    for name, files, run, said in (
        ("grown", ("older", "newer", "proof"), _grown, "two checkpoints and their proof"),
        ("event", ("line", "proof"), _event, "one event and its proof"),
        ("owed", ("proof",), _owed, "what one account is owed, and its proof"),
        ("archive", ("archive",), _archive, "a sealed archive file"),
    ):
        verb = verbs.add_parser(name, help=said)
        for file in files:
            verb.add_argument(file, type=Path)
        verb.add_argument("--key", required=True)
        verb.set_defaults(run=run)
    options = parser.parse_args(arguments)
    if options.run is _log and bool(options.checkpoint) != bool(options.key):
        log.error("--checkpoint and --key are needed together")
    if options.run is _log and not options.checkpoint and options.since is None:
        log.error("nothing to hold the log against: --checkpoint or --since is needed")
    return options


def _log(options: argparse.Namespace) -> str:
    checkpoints = [opened(_note(path), options.key) for path in options.checkpoint]
    if options.since is not None:
        with options.since.open("rb") as older, options.log.open("rb") as newer:
            grown_log(lines_of(older), lines_of(newer))
    with options.log.open("rb") as log:
        return verify_log(lines_of(log), checkpoints)


def _grown(options: argparse.Namespace) -> str:
    older, newer = (opened(_note(path), options.key) for path in (options.older, options.newer))
    try:
        hashes = [_base64(item) for item in json.loads(options.proof.read_text())["proof"]]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DifferenceError("the proof cannot be read") from error
    if not grew(older, newer, hashes):
        raise DifferenceError(f"{older.size} events did not grow into these {newer.size}")
    return f"the first {older.size} of {newer.size} events are what they were"


def _event(options: argparse.Namespace) -> str:
    text = _note(options.proof)
    head, _, note = text.partition("\n\n")
    found = PROOF.fullmatch(head)
    if found is None:
        raise DifferenceError("the proof cannot be read")
    index, hashes = int(found[1]), [_base64(line) for line in found[2].split()]
    checkpoint = opened(note, options.key)
    with options.line.open("rb") as file:
        event = next(read_events(lines_of(file)), None)
    if event is None or not includes(event.leaf, index, checkpoint, hashes):
        raise DifferenceError("the event is not the one that was signed")
    return f"position {event.position} is event {index + 1} of {checkpoint.size} signed ones"


def _owed(options: argparse.Namespace) -> str:
    try:
        proof: dict[str, Any] = json.loads(_note(options.proof))
        stream, salt, place = proof["account"], _base64(proof["salt"]), proof["place"]
        amounts = [_msat(proof[name]) for name in AMOUNTS]
        path = [(_base64(node["hash"]), _msat(node["msat"])) for node in proof["path"]]
        name, text = signed_text(proof["liabilities"], options.key)
        if not STREAM.fullmatch(stream) or type(place) is not int or len(salt) != HASH_BYTES:
            raise DifferenceError("the proof cannot be read")
        account = bytes.fromhex(stream.replace("-", ""))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DifferenceError("the proof cannot be read") from error
    found = OWED.fullmatch(text)
    if found is None or found[1] != f"{name}/liabilities":
        raise DifferenceError("the note says nothing of what is owed")
    leaf = sha256(b"\x00" + LEAF.pack(salt, account, *amounts)).digest()
    total = Node(_base64(found[5]), _msat(int(found[4])))
    if not adds_up(Node(leaf, sum(amounts)), place, [Node(*each) for each in path], total):
        raise DifferenceError("these amounts are not part of the total that was signed")
    told = ", ".join(f"{what} {msat}" for what, msat in zip(AMOUNTS, amounts, strict=True))
    return f"{told}: part of {total.msat} msat owed, as of the first {found[2]} events"


def _archive(options: argparse.Namespace) -> str:
    try:
        with gzip.open(options.archive) as file:
            notes = [json.loads(line)["note"] for line in lines_of(file) if b'"note":' in line]
        with gzip.open(options.archive) as file:
            events = (line for line in lines_of(file) if line.startswith(b'{"position":'))
            checkpoints = [opened(note, options.key) for note in notes]
            return verify_log(events, checkpoints, whole=True)
    except (EOFError, ValueError, KeyError, gzip.BadGzipFile, zlib.error) as error:
        raise DifferenceError("the archive is damaged") from error


def verify_log(
    log: Iterable[bytes], checkpoints: Sequence[Checkpoint], *, whole: bool = False
) -> str:
    """Hold an export, or the `whole` log, against checkpoints; raises `DifferenceError`."""
    due = sorted(checkpoints, reverse=True)
    peaks: list[bytes] = []
    size, last, trusted, link = 0, 0, 0, GENESIS
    for position, leaf, chain in read_events(log):
        link = sha256(b"\x02" + link + leaf).digest()
        if chain is not None and chain != link.hex():
            raise DifferenceError(f"position {position} is not what was sealed")
        found, carry = leaf, size
        while carry & 1:
            found, carry = sha256(b"\x01" + peaks.pop() + found).digest(), carry >> 1
        peaks.append(found)
        size, last = size + 1, position
        while due and due[-1].size == size:
            if due.pop().root != root_of(peaks):
                raise DifferenceError(
                    "the events are not those that were signed; the first that differs is"
                    f" behind position {trusted} and not behind position {position}"
                )
            trusted = position
    if due:
        raise DifferenceError(
            f"{due[0].size} events were signed, {size} are left; the last is position {last}"
        )
    if whole and (not trusted or trusted != last):
        raise DifferenceError(f"what is behind position {trusted} was not signed")
    sealed = f", signed up to position {trusted}" if checkpoints else ""
    return f"{size} events up to position {last}{sealed}"


def grown_log(older: Iterable[bytes], newer: Iterable[bytes]) -> None:
    """Find the first event of the older export that the newer one does not repeat."""
    events = read_events(newer)
    for before in read_events(older):
        now = next(events, None)
        if now is None or now.position > before.position:
            raise DifferenceError(f"position {before.position} is gone")
        if now.position < before.position:
            raise DifferenceError(f"position {now.position} was not in the older export")
        if now.leaf != before.leaf:
            raise DifferenceError(f"position {now.position} is not what it was")


def lines_of(file: IO[bytes] | gzip.GzipFile) -> Iterable[bytes]:
    return iter(partial(file.readline, LINE_BYTES_MAX), b"")


def read_events(log: Iterable[bytes]) -> Iterator[Event]:
    """Yield the events of an export; positions rise, and lines are spelled in one way."""
    last = 0
    for number, line in enumerate(log, 1):
        try:
            event = read_event(line)
        except (ValueError, TypeError, KeyError, struct.error, RecursionError) as error:
            raise DifferenceError(
                f"line {number}, behind position {last}, is no event as it was exported"
            ) from error
        if event.position <= last:
            raise DifferenceError(f"position {event.position} follows position {last}")
        last = event.position
        yield event


def read_event(line: bytes) -> Event:
    """Read one line of an export; raises all sorts of errors when it is not spelled as one."""
    text = line.decode()
    record: dict[str, Any] = json.loads(text)
    position, stream, version = record["position"], record["stream"], record["version"]
    topic, state, chain = record["topic"], record["state"], record.get("chain")
    tail = "" if chain is None else f',"chain":{text_of(chain)}'
    # Spelled again and compared, so that no byte of the file can change unseen.
    if text != (
        f'{{"position":{position},"stream":"{stream}","version":{version},'
        f'"topic":{text_of(topic)},"state":{text_of(state)}{tail}}}\n'
    ) or not STREAM.fullmatch(stream):
        raise ValueError(text)
    name, identity = topic.encode(), bytes.fromhex(stream.replace("-", ""))
    head = HEAD.pack(FORM, position, identity, version, len(name))
    return Event(position, sha256(b"\x00" + head + name + state.encode()).digest(), chain)


def root_of(peaks: Sequence[bytes]) -> bytes:
    if not peaks:
        return sha256().digest()
    root = peaks[-1]
    for peak in reversed(peaks[:-1]):
        root = sha256(b"\x01" + peak + root).digest()
    return root


def includes(leaf: bytes, index: int, tree: Checkpoint, proof: Sequence[bytes]) -> bool:
    """Tell whether `leaf` is at `index` in the tree (RFC 9162 §2.1.3.2)."""
    if index >= tree.size:
        return False
    place, last, found = index, tree.size - 1, leaf
    for sibling in proof:
        if last == 0:
            return False
        if place & 1 or place == last:
            found = sha256(b"\x01" + sibling + found).digest()
            while place and not place & 1:
                place, last = place >> 1, last >> 1
        else:
            found = sha256(b"\x01" + found + sibling).digest()
        place, last = place >> 1, last >> 1
    return last == 0 and found == tree.root


def grew(old: Checkpoint, new: Checkpoint, proof: Sequence[bytes]) -> bool:
    """Tell whether the older tree is the beginning of the newer one (RFC 9162 §2.1.4.2)."""
    if old.size == new.size:
        return not proof and old.root == new.root
    path = [old.root, *proof] if old.size & (old.size - 1) == 0 else list(proof)
    if not 1 <= old.size < new.size or not path:
        return False
    place, last = old.size - 1, new.size - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    before = after = path[0]
    for sibling in path[1:]:
        if last == 0:
            return False
        if place & 1 or place == last:
            before = sha256(b"\x01" + sibling + before).digest()
            after = sha256(b"\x01" + sibling + after).digest()
            while place and not place & 1:
                place, last = place >> 1, last >> 1
        else:
            after = sha256(b"\x01" + after + sibling).digest()
        place, last = place >> 1, last >> 1
    return last == 0 and before == old.root and after == new.root


def adds_up(leaf: Node, place: int, path: Sequence[Node], total: Node) -> bool:
    """Tell whether a leaf of a Merkle sum tree is under `total`, all amounts included.

    No amount is below zero or above all money there is: none can make up for another.
    """
    found = leaf
    for beside in path[:DEPTH_MAX]:
        left, right = (beside, found) if place & 1 else (found, beside)
        if not all(len(node.hash) == HASH_BYTES for node in (left, right)):
            return False
        packed = NODE.pack(left.hash, left.msat, right.hash, right.msat)
        found = Node(sha256(b"\x01" + packed).digest(), left.msat + right.msat)
        place >>= 1
    return place == 0 and len(path) <= DEPTH_MAX and found == total


def _msat(amount: object) -> int:
    if type(amount) is not int or not 0 <= amount <= MSAT_MAX:
        raise DifferenceError("the proof has an amount that cannot be")
    return amount


def opened(note: str, verifier: str) -> Checkpoint:
    """Return what a checkpoint says if the `verifier` key signed it (C2SP tlog-checkpoint)."""
    name, text = signed_text(note, verifier)
    return _said(text, name)


def signed_text(note: str, verifier: str) -> tuple[str, str]:
    """Return who signed a note, and its text, if the `verifier` key did (C2SP signed-note)."""
    name, _, rest = verifier.strip().partition("+")
    public = _base64(rest.partition("+")[2])
    key_id = sha256(name.encode() + b"\n" + public).digest()[:4]
    if public[:1] != b"\x01" or len(public) != 33 or rest[:9] != f"{key_id.hex()}+":  # noqa: PLR2004
        raise DifferenceError("the key is not an Ed25519 verifier key")
    if CONTROL.search(note):
        raise DifferenceError("the note is not a signed note")
    text, _, lines = note.rpartition("\n\n")
    text += "\n"
    for line in lines.split("\n")[:SIGNATURES_MAX] if lines.endswith("\n") else ():
        dash, _, signature = line.rpartition(" ")
        if dash != f"\N{EM DASH} {name}":
            continue
        raw = _base64(signature)
        if raw[:4] == key_id:
            if signed_by(public[1:], raw[4:], text.encode()):
                return name, text
            break
    raise DifferenceError(f"the note is not signed by {name}")


def _said(text: str, name: str) -> Checkpoint:
    found = SAID.fullmatch(text)
    if found is None or found[1] != name:
        raise DifferenceError("the note is not a checkpoint of this log")
    return Checkpoint(int(found[2]), _base64(found[3]))


def _note(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(NOTE_BYTES_MAX).decode()


def _base64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError as error:
        raise DifferenceError("a key, note or proof is not base64") from error


# Ed25519 as in RFC 8032 §5.1. Nothing here is secret, so that nothing need take equal time.
PRIME = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
CURVE_D = -121665 * pow(121666, -1, PRIME) % PRIME
ROOT_OF_MINUS_1 = pow(2, (PRIME - 1) // 4, PRIME)

Point = tuple[int, int, int, int]
"""Extended coordinates: x = X/Z, y = Y/Z, x*y = T/Z."""


def signed_by(public: bytes, signature: bytes, message: bytes) -> bool:
    """Tell whether the holder of the `public` key (32 bytes) signed `message` (RFC 8032)."""
    scalar = int.from_bytes(signature[32:], "little")
    key, nonce = _point(public), _point(signature[:32])
    if len(signature) != 64 or scalar >= ORDER or key is None or nonce is None:  # noqa: PLR2004
        return False
    challenge = int.from_bytes(sha512(signature[:32] + public + message).digest(), "little")
    left = _times(scalar, BASE)
    right = _plus(nonce, _times(challenge % ORDER, key))
    # Two points are one if the fractions X/Z and Y/Z are.
    return (
        (left[0] * right[2] - right[0] * left[2]) % PRIME == 0
        and (left[1] * right[2] - right[1] * left[2]) % PRIME == 0
    )  # fmt: skip


def _point(encoded: bytes) -> Point | None:
    """Return the point that 32 bytes stand for, `None` if they stand for none."""
    number = int.from_bytes(encoded, "little")
    y, odd = number & (2**255 - 1), number >> 255
    square = (y * y - 1) * pow(CURVE_D * y * y + 1, -1, PRIME) % PRIME
    x = pow(square, (PRIME + 3) // 8, PRIME)
    if x * x % PRIME != square:
        x = x * ROOT_OF_MINUS_1 % PRIME
    if y >= PRIME or odd > 1 or x * x % PRIME != square or (x == 0 and odd):
        return None
    if x & 1 != odd:
        x = PRIME - x
    return x, y, 1, x * y % PRIME


def _plus(p: Point, q: Point) -> Point:
    a = (p[1] - p[0]) * (q[1] - q[0])
    b = (p[1] + p[0]) * (q[1] + q[0])
    c, d = 2 * p[3] * q[3] * CURVE_D, 2 * p[2] * q[2]
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % PRIME, g * h % PRIME, f * g % PRIME, e * h % PRIME


def _times(factor: int, point: Point) -> Point:
    total = 0, 1, 1, 0
    while factor:
        if factor & 1:
            total = _plus(total, point)
        point, factor = _plus(point, point), factor >> 1
    return total


BASE_X = 15112221349535400772501151409588531511454012693041857206046113283949847762202
BASE_Y = 4 * pow(5, -1, PRIME) % PRIME
BASE: Point = (BASE_X, BASE_Y, 1, BASE_X * BASE_Y % PRIME)


if __name__ == "__main__":
    sys.exit(main())
