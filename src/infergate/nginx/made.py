"""What takes long to make of our own files, and is the same every time: kept beside Python's
bytecode, where Python keeps its own. A gateway's start takes a seventh less for it.

Where that folder cannot be written, as in most installations for several users, it is made anew.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
import tempfile
from collections.abc import Callable
from importlib.util import cache_from_source
from pathlib import Path

from jinja2 import BytecodeCache
from jinja2.bccache import Bucket

_DIGEST_BYTES = 32


def made(name: str, of: bytes, make: Callable[[], str], folder: Path | None = None) -> str:
    """What `make` makes; it is only called where nothing is kept that was made of the same.

    name: of what is made. of: all that it is made of. folder: of another package, for tests.
    """
    path = _place(name, folder)
    kept, source = _read(path), hashlib.sha256(of).digest()
    if kept[:_DIGEST_BYTES] == source:
        return kept[_DIGEST_BYTES:].decode()
    text = make()
    _keep(path, source + text.encode())
    return text


class Compiled(BytecodeCache):
    """jinja's templates as it compiles them; it sees itself whether what is kept fits."""

    def load_bytecode(self, bucket: Bucket) -> None:
        bucket.bytecode_from_string(_read(_place(f"template-{bucket.key}", None)))

    def dump_bytecode(self, bucket: Bucket) -> None:
        _keep(_place(f"template-{bucket.key}", None), bucket.bytecode_to_string())


def _place(name: str, folder: Path | None) -> Path:
    return Path(cache_from_source(str((folder or Path(__file__).parent) / f"{name}.py")))


def _read(path: Path) -> bytes:
    """What was kept; nothing where that is not all there, as after a power cut."""
    try:
        kept = path.read_bytes()
    except OSError:
        return b""
    content = kept[_DIGEST_BYTES:]
    return content if hashlib.sha256(content).digest() == kept[:_DIGEST_BYTES] else b""


def _keep(path: Path, content: bytes) -> None:
    """Whole or not at all: others may read it, or write the same, at this moment."""
    if sys.dont_write_bytecode:
        return
    with contextlib.suppress(OSError):
        path.parent.mkdir(exist_ok=True)
        descriptor, fresh = tempfile.mkstemp(dir=path.parent, prefix=f"{path.name}.")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(hashlib.sha256(content).digest() + content)
            Path(fresh).replace(path)
        except OSError:
            Path(fresh).unlink(missing_ok=True)
            raise
