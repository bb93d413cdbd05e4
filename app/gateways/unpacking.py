"""Unpacks compressed bodies as they arrive, never more at once than was asked for."""

from __future__ import annotations

import zlib

# By its first bytes zlib tells gzip from deflate.
GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS
RAW = -zlib.MAX_WBITS


class UnpackError(Exception):
    """What arrives is not compressed as it was said to be."""


class Unpacking:
    """A compressed body; a bomb comes out piece by piece, for as long as somebody asks."""

    def __init__(self, piece_bytes_max: int) -> None:
        self._piece_bytes_max = piece_bytes_max
        self._packed = b""
        self._unpacker = zlib.decompressobj(GZIP_OR_ZLIB)
        self._is_first = True

    def give(self, data: bytes) -> None:
        """Take what has arrived."""
        self._packed += data

    def take(self) -> bytes:
        """Return the next piece, b"" if more must arrive first; raises `UnpackError`."""
        while self._packed:
            if self._unpacker.eof:
                # Several compressed pieces, one behind the other, are one (RFC 1952, 2.2).
                self._unpacker = zlib.decompressobj(GZIP_OR_ZLIB)
            packed, self._packed = self._packed, b""
            piece = self._unpacked(packed)
            self._packed = self._unpacker.unconsumed_tail or self._unpacker.unused_data
            if piece:
                return piece
        return b""

    def _unpacked(self, packed: bytes) -> bytes:
        try:
            return self._unpacker.decompress(packed, self._piece_bytes_max)
        except zlib.error as error:
            if not self._is_first:
                raise UnpackError(str(error)) from error
        finally:
            self._is_first = False
        # Some say deflate and leave out the frame of zlib (RFC 9110, 8.4.1.2).
        self._unpacker = zlib.decompressobj(RAW)
        return self._unpacked(packed)
