"""A disk of a few megabytes, which can be filled to the last byte."""

from __future__ import annotations

import errno
import os
import subprocess
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from pathlib import Path

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class SmallDisk:
    """A disk at `folder` while the `with` block lasts; `is_there` tells whether it is.

    Only root can make one. It is in memory, and so is what it is filled with.
    """

    def __init__(self, folder: Path, size_mb: int) -> None:
        self.is_there = False
        self._folder = folder
        self._size_mb = size_mb
        self._ballast = folder / "ballast"

    def __enter__(self) -> Self:
        self._folder.mkdir(exist_ok=True)
        size = f"size={self._size_mb}m"
        mount = ["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(self._folder)]
        self.is_there = not subprocess.run(mount, capture_output=True, check=False).returncode
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self.is_there:
            subprocess.run(["umount", "--lazy", str(self._folder)], check=True)

    def fill(self) -> None:
        with self._ballast.open("wb", buffering=0) as file:
            for piece_bytes in (256 * PAGE_BYTES, PAGE_BYTES):
                try:
                    while file.write(bytes(piece_bytes)) == piece_bytes:
                        pass
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise

    def free(self) -> None:
        self._ballast.unlink()
