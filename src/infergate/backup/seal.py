"""A backup's encryption: AES-256-GCM, with a key that scrypt makes of a passphrase.

A file is pieces of 1 MiB, each sealed by itself with its number and whether it is the last one in
the nonce (the STREAM construction of Hoang, Reyhanitabar, Rogaway and Vizár, 2015, as age has it).
So nothing that was changed, moved, repeated or cut off is ever given out, and memory stays small.
"""

from __future__ import annotations

import io
import os
import struct
from typing import IO, TYPE_CHECKING

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from infergate.backup.archive import Source
from infergate.errors import BackupRefused

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

MAGIC = b"infergate sealed backup 1\n"
SHORTEST_PASSPHRASE = 12
"""Who has the file can try as many as there is money for: some 10 in a second and processor."""

_N, _R, _P = 2**17, 8, 1
"""OWASP's Password Storage Cheat Sheet; 128 MiB of memory. Fixed: a file cannot ask for more."""
_SALT = 16
_PREFIX = 7
_PLAIN = 1 << 20
_TAG = 16


def _cipher(passphrase: str, salt: bytes) -> AESGCM:
    return AESGCM(Scrypt(salt=salt, length=32, n=_N, r=_R, p=_P).derive(passphrase.encode()))


def _nonce(prefix: bytes, number: int, last: bool) -> bytes:
    return prefix + struct.pack(">IB", number, last)


class Sealing(io.RawIOBase):
    """What is written to it goes sealed to another file; `finish` says that this is the end."""

    def __init__(self, out: IO[bytes], passphrase: str) -> None:
        salt, self._prefix = os.urandom(_SALT), os.urandom(_PREFIX)
        self._out, self._head = out, MAGIC + salt + self._prefix
        self._cipher = _cipher(passphrase, salt)
        self._waiting, self._number = bytearray(), 0
        out.write(self._head)

    def writable(self) -> bool:
        return True

    def write(self, data: ReadableBuffer, /) -> int:
        piece = memoryview(data).cast("B")
        self._waiting += piece
        while len(self._waiting) > _PLAIN:  # the last piece is never empty, but of an empty file
            self._seal(bytes(self._waiting[:_PLAIN]), last=False)
            del self._waiting[:_PLAIN]
        return len(piece)

    def finish(self) -> None:
        """Seal the last piece."""
        self._seal(bytes(self._waiting), last=True)
        self._waiting.clear()

    def _seal(self, plain: bytes, *, last: bool) -> None:
        nonce = _nonce(self._prefix, self._number, last)
        self._out.write(self._cipher.encrypt(nonce, plain, self._head))
        self._number += 1


class Unsealed:
    """What was sealed, read piece by piece. Raises BackupRefused for any other passphrase and for
    whatever is not as it was written."""

    def __init__(self, source: Source, passphrase: str) -> None:
        """source: behind MAGIC."""
        rest = _up_to(source, _SALT + _PREFIX)
        if len(rest) < _SALT + _PREFIX:
            raise BackupRefused("ends too early: it was cut off")
        self._source, self._head, self._prefix = source, MAGIC + rest, rest[_SALT:]
        self._cipher = _cipher(passphrase, rest[:_SALT])
        self._next = _up_to(source, _PLAIN + _TAG)
        self._number, self._ready = 0, b""

    def read(self, size: int, /) -> bytes:
        while not self._ready and self._next:
            sealed, self._next = self._next, _up_to(self._source, _PLAIN + _TAG)
            nonce = _nonce(self._prefix, self._number, not self._next)
            try:
                self._ready = self._cipher.decrypt(nonce, sealed, self._head)
            except InvalidTag:
                what = (
                    "is damaged or cut off"
                    if self._number
                    else "has another passphrase, or was changed since it was made"
                )
                raise BackupRefused(what) from None
            self._number += 1
        given, self._ready = self._ready[:size], self._ready[size:]
        return given


def _up_to(source: Source, size: int) -> bytes:
    pieces, left = [], size
    while left and (piece := source.read(left)):
        pieces.append(piece)
        left -= len(piece)
    return b"".join(pieces)
