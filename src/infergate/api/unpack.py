"""Compressed request bodies, unpacked no further than they may be large."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any

from backports import zstd

from infergate.contract.tier import CODINGS

_GZIP = zlib.MAX_WBITS | 16
_ZSTD: dict[int, int] = {zstd.DecompressionParameter.window_log_max: 23}
"""8 MiB is what a receiver should support (RFC 8878, 3.1.1.1.2); a frame that asks for more is
refused."""

_PIECE = 256
"""Bytes unpacked at once. Four of zstd's can become 128 KiB (a block that repeats one byte): a
body is 8 MiB over its limit at most before that is seen."""

_MOST_MEMBERS = 1000
"""Each costs some microseconds, and can have nothing in it: a large body of them takes minutes."""


class Packed(Exception):
    """A body that is not what its Content-Encoding says, or too large unpacked."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.message, self.status = message, status


def unpacked(body: bytes, coding: str, most_bytes: int) -> bytes:
    """Raises Packed."""
    if coding not in CODINGS:
        raise Packed(f"Content-Encoding {coding[:40]!r} is not known here; gzip and zstd are.", 415)
    if coding == "zstd":
        return _members(body, coding, most_bytes, lambda: zstd.ZstdDecompressor(options=_ZSTD))
    return _members(body, coding, most_bytes, lambda: zlib.decompressobj(_GZIP))


def _members(body: bytes, coding: str, most_bytes: int, member: Callable[[], Any]) -> bytes:
    """Of a body that is whole members, one after the other, as both codings allow (RFC 1952, 2.2;
    RFC 8878, 3). member: makes what unpacks one, and knows where that ends."""
    found, at, members = bytearray(), 0, 0
    while at < len(body):
        members += 1
        if members > _MOST_MEMBERS:
            raise Packed(f"The request body has more than {_MOST_MEMBERS} parts of {coding}.", 400)
        one = member()
        while not one.eof:
            piece = body[at : at + _PIECE]
            if not piece:
                raise Packed(f"The request body ends within its {coding}.", 400)
            try:
                found += one.decompress(piece)
            except (zlib.error, zstd.ZstdError):
                raise Packed(f"The request body is no {coding}.", 400) from None
            if len(found) > most_bytes:
                raise Packed("Unpacked, the request body is larger than this gateway accepts.", 413)
            at += len(piece) - len(one.unused_data)
    return bytes(found)
