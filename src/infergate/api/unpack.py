"""Compressed request bodies, unpacked no further than they may be large."""

from __future__ import annotations

import zlib

import zstandard

_GZIP = zlib.MAX_WBITS | 16
_ZSTD_WINDOW = 8 * 1024**2
"""What a receiver should support (RFC 8878, 3.1.1.1.2); a frame that asks for more is refused."""


class Packed(Exception):
    """A body that is not what its Content-Encoding says, or too large unpacked."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.message, self.status = message, status


def unpacked(body: bytes, coding: str, most_bytes: int) -> bytes:
    """Raises Packed. coding: one of njs/tier.js's CODINGS."""
    try:
        if coding in ("gzip", "x-gzip"):
            return _gzip(body, most_bytes)
        if coding == "zstd":
            return _zstd(body, most_bytes)
    except (zlib.error, zstandard.ZstdError):
        raise Packed(f"The request body is no {coding}.", 400) from None
    raise Packed(f"Content-Encoding {coding[:40]!r} is not known here; gzip and zstd are.", 415)


def _gzip(body: bytes, most_bytes: int) -> bytes:
    found = bytearray()
    while body:  # a file may have several members (RFC 1952, 2.2)
        member = zlib.decompressobj(_GZIP)
        found += member.decompress(body, most_bytes - len(found) + 1)
        _check(len(found), most_bytes)
        if not member.eof:
            raise Packed("The request body ends within its gzip.", 400)
        body = member.unused_data
    return bytes(found)


def _zstd(body: bytes, most_bytes: int) -> bytes:
    found = bytearray()
    reader = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW).stream_reader(
        body, read_across_frames=True
    )
    with reader:
        while part := reader.read(min(65536, most_bytes - len(found) + 1)):
            found += part
            _check(len(found), most_bytes)
    return bytes(found)


def _check(size: int, most_bytes: int) -> None:
    if size > most_bytes:
        raise Packed("Unpacked, the request body is larger than this gateway accepts.", 413)
