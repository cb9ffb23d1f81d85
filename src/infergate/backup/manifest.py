"""What a backup says of itself: its first file, as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from infergate.backup.archive import refuse_name
from infergate.errors import BackupRefused

NAME = "manifest.json"
LARGEST_BYTES = 8 << 20
VERSION = 1
_MOST_FILES = 20_000


@dataclass(frozen=True)
class Kept:
    """One file. name: in the archive (contents.py); mode: of its permissions."""

    name: str
    size: int
    sha256: str
    mode: int


@dataclass(frozen=True)
class Manifest:
    """made_at: Unix seconds. infergate: the version that made it. host, home, config_path: where
    the gateway was. config: the YAML's name in the archive.
    tables: the version of its database's tables; None where it was left out.
    current: the active revision. environment: names that the YAML takes values of."""

    made_at: int
    infergate: str
    host: str
    home: str
    config: str
    config_path: str
    tables: str | None
    current: int | None
    environment: tuple[str, ...]
    files: tuple[Kept, ...]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(each.size for each in self.files)

    def as_json(self) -> bytes:
        return json.dumps({"v": VERSION, **asdict(self)}, indent=1).encode()


def read_manifest(text: bytes) -> Manifest:
    """Raises BackupRefused if it is none, or one of a newer Infergate."""
    try:
        said: dict[str, Any] = json.loads(text)
        version = said.pop("v")
        if version != VERSION:
            raise BackupRefused(
                f"was made by a newer Infergate ({said.get('infergate')})", hint="Use that one."
            )
        said["files"] = tuple(Kept(**each) for each in said["files"])
        said["environment"] = tuple(said["environment"])
        manifest = Manifest(**said)
        _refuse_odd(manifest)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        raise BackupRefused("is damaged: what it says of itself is not understood") from None
    return manifest


def _refuse_odd(manifest: Manifest) -> None:
    names = [each.name for each in manifest.files]
    if len(names) > _MOST_FILES or len(set(names)) < len(names):
        raise BackupRefused("has too many files, or one twice")
    for each in manifest.files:
        refuse_name(each.name)
        if not (type(each.size) is int and each.size >= 0 and type(each.mode) is int):
            raise TypeError(each.name)
        if not (isinstance(each.sha256, str) and len(each.sha256) == 64):
            raise TypeError(each.name)
    texts = (
        manifest.infergate,
        manifest.host,
        manifest.home,
        manifest.config,
        manifest.config_path,
    )
    if not all(isinstance(each, str) for each in (*texts, *manifest.environment)):
        raise TypeError("texts")
    if not all(type(n) is int for n in (manifest.made_at, manifest.current or 0)):
        raise TypeError("numbers")
    if not isinstance(manifest.tables, str | None):
        raise TypeError("tables")
