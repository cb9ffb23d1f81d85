"""A whole nginx configuration, and how it gets into a folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

SECRET_FILES = frozenset({"secrets.conf"})


@dataclass(frozen=True)
class Rendered:
    """A whole nginx configuration: texts by relative path, and links by relative path."""

    files: Mapping[str, str]
    links: Mapping[str, str]


def write(rendered: Rendered, folder: Path) -> None:
    """Write the files below folder, which is made; what holds secrets is readable by us only."""
    for path, text in rendered.files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        mode = 0o600 if path in SECRET_FILES else 0o644
        target.touch(mode=mode)
        target.chmod(mode)
        target.write_text(text)
    for path, pointee in rendered.links.items():
        link = folder / path
        link.parent.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(pointee)
