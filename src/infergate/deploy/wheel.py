"""This very Infergate as a wheel, byte for byte the same whenever it is made.

So an image or another machine gets the version that wrote its files, and fetches nothing of it.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.metadata
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import infergate
from infergate.errors import StateError

_LONG_AGO = (1980, 1, 1, 0, 0, 0)
"""The first moment that a zip file can tell."""

_TAG = "py3-none-any"
_WHEEL = f"Wheel-Version: 1.0\nGenerator: infergate\nRoot-Is-Purelib: true\nTag: {_TAG}\n"


def wheel() -> tuple[str, bytes]:
    """Its file's name and its content. Raises StateError if Infergate was not installed by pip."""
    try:
        distribution = importlib.metadata.distribution("infergate")
    except importlib.metadata.PackageNotFoundError:
        raise StateError(
            "this Infergate is not installed as a package, so it cannot be packed",
            hint="Install it: pip install . in its source, in an environment of its own.",
        ) from None
    stem = f"infergate-{distribution.version}"
    metadata = distribution.read_text("METADATA") or ""
    entry_points = distribution.read_text("entry_points.txt") or ""
    about = {"METADATA": metadata, "WHEEL": _WHEEL, "entry_points.txt": entry_points}
    files = dict(_package())
    files |= {f"{stem}.dist-info/{name}": text.encode() for name, text in about.items()}
    record = "".join(f"{name},{_sha256(data)},{len(data)}\n" for name, data in files.items())
    files[f"{stem}.dist-info/RECORD"] = f"{record}{stem}.dist-info/RECORD,,\n".encode()
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, data in files.items():
            entry = zipfile.ZipInfo(name, _LONG_AGO)
            entry.external_attr = 0o644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, data)
    return f"{stem}-{_TAG}.whl", packed.getvalue()


def _package() -> Iterator[tuple[str, bytes]]:
    root = Path(infergate.__file__).parent
    for path in sorted(root.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            yield f"infergate/{path.relative_to(root)}", path.read_bytes()


def _sha256(data: bytes) -> str:
    digest = hashlib.sha256(data).digest()
    return f"sha256={base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"
