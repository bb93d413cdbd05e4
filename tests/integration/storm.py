"""What goes wrong around a service in a soak, one fault after the other."""

from __future__ import annotations

import random
import shutil
import struct
import subprocess
import threading
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from tests.doubles.upstream import Behaviour
from tests.integration.cluster import Server, Single
from tests.integration.disk import SmallDisk
from tests.store.places import END_OTHERS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from tests.doubles.upstream import UpstreamDouble

EVERY_S = (1.0, 5.0)
AWAY_S = (0.2, 1.0)
OFF_S_MAX = 300
CLOCKS = Path(__file__).with_name("clocks.c")
OFF = struct.Struct("q")


class Fault(Protocol):
    """Something that goes wrong, and is over when the call returns."""

    name: str

    def __call__(self, pause: Callable[[], None]) -> None: ...


class Disconnection:
    """Every connection to PostgreSQL is ended."""

    name = "connections ended"

    def __init__(self, server: Server) -> None:
        self._server = server

    def __call__(self, pause: Callable[[], None]) -> None:
        self._server.rows(END_OTHERS)
        pause()


class PowerCut:
    """PostgreSQL itself is killed, all its processes at once, and started again."""

    name = "PostgreSQL killed"

    def __init__(self, server: Server) -> None:
        self._server = server

    def __call__(self, pause: Callable[[], None]) -> None:
        self._server.kill()
        pause()
        self._server.revive()


class FullDisk:
    """The disk that the books are on has no byte left; `mend` is called when it has again."""

    name = "disk full"

    def __init__(self, disk: SmallDisk, mend: Callable[[], None] = lambda: None) -> None:
        self._disk = disk
        self._mend = mend

    def __call__(self, pause: Callable[[], None]) -> None:
        self._disk.fill()
        pause()
        self._disk.free()
        self._mend()


class HangUp:
    """The upstream hangs up on whoever asks."""

    name = "upstream hung up"

    def __init__(self, upstream: UpstreamDouble) -> None:
        self._upstream = upstream

    def __call__(self, pause: Callable[[], None]) -> None:
        self._upstream.behave(Behaviour(hangs_up_unanswered=True))
        pause()
        self._upstream.behave(Behaviour())


class ClockJump:
    """The clock of the service's processes jumps by minutes, and back; time itself goes on.

    `settings` have them loaded with `clocks.c`, for which a C compiler is needed.
    """

    name = "clock jumped, and back"

    def __init__(self, folder: Path, seed: int) -> None:
        folder.mkdir()
        self._off_path = folder / "off"
        self._random = random.Random(seed)  # noqa: S311  # chaos that can be repeated
        self._off_path.write_bytes(OFF.pack(0))
        self.settings: dict[str, str] = {}
        self.is_there = shutil.which("cc") is not None
        if self.is_there:
            library = folder / "clocks.so"
            words = ["cc", "-O2", "-shared", "-fPIC", "-o", str(library), str(CLOCKS)]
            subprocess.run(words, check=True)
            self.settings = {"LD_PRELOAD": str(library), "CLOCKS_OFF": str(self._off_path)}

    def __call__(self, pause: Callable[[], None]) -> None:
        self._set(self._random.randint(-OFF_S_MAX, OFF_S_MAX))
        pause()
        self._set(0)

    def _set(self, off_s: int) -> None:
        # In its place: whoever has it before his eyes sees it change.
        with self._off_path.open("r+b") as file:
            file.write(OFF.pack(off_s))


class Faults(threading.Thread):
    """One fault after the other, each for a moment."""

    def __init__(self, faults: Sequence[Fault], until_s: float) -> None:
        super().__init__()
        self._faults = faults
        self._until_s = until_s
        self._random = random.Random(13)  # noqa: S311  # chaos that can be repeated
        self.counts = Counter({fault.name: 0 for fault in faults})

    def run(self) -> None:
        while time.monotonic() < self._until_s:
            for fault in self._faults:
                time.sleep(self._random.uniform(*EVERY_S))
                fault(self._pause)
                self.counts[fault.name] += 1

    def _pause(self) -> None:
        time.sleep(self._random.uniform(*AWAY_S))


@dataclass
class Ground:
    """Where the books are in a soak, what can be done to them there, and what could not."""

    url: str
    faults: tuple[Fault, ...]
    not_done: Mapping[str, str]


@contextmanager
def ground_of(engine: str, folder: Path, disk_mb: int) -> Iterator[Ground]:
    """SQLite on a small disk, or a PostgreSQL server of its own on one."""
    if engine == "sqlite":
        with SmallDisk(folder, disk_mb) as disk:
            yield _ground(f"sqlite:///{folder / 'soak.db'}", (), disk, lambda: None)
        return
    with Single(disk_mb) as single:
        server = single.server
        faults = (Disconnection(server), PowerCut(server))
        yield _ground(single.url, faults, single.disk, server.revive)


def _ground(
    url: str, faults: tuple[Fault, ...], disk: SmallDisk, mend: Callable[[], None]
) -> Ground:
    if disk.is_there:
        return Ground(url, (*faults, FullDisk(disk, mend)), {})
    return Ground(url, faults, {FullDisk.name: "only root can make a small disk"})
