"""The backends of a group that a file lists: URLs, or settings of backends; in a file `….conf`
the inside of nginx's `upstream` (group_upstream.py).

    ["http://10.0.0.5:8000", {"url": "http://10.0.0.6:8000", "name": "gpu6", "weight": 2}]

Prometheus' targets are understood too: [{"targets": ["10.0.0.5:8000"], "labels": {}}].
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from infergate.config.backends import Backend, FoundBackend
from infergate.health.group_names import MOST, GroupUnknown, name_of

_LARGEST_BYTES = 1_000_000


@dataclass(frozen=True)
class Listed:
    """What a file lists. files: what to look at for changes, the file and what it includes."""

    backends: tuple[FoundBackend, ...]
    files: tuple[Path, ...]


def read_group(group: str, path: Path) -> Listed:
    """The backends that a file lists. Raises GroupUnknown with the reason if it is not there or
    anything in it is wrong: half a file, caught while it is written, must not take backends away.
    """
    if path.suffix == ".conf":
        from infergate.health.group_upstream import read_upstream

        backends, files = read_upstream(group, path)
    else:
        backends, files = _read_list(group, path), (path,)
    return Listed(backends[:MOST], files)


def _read_list(group: str, path: Path) -> tuple[FoundBackend, ...]:
    """Those of a JSON or YAML file."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        reason = problem.strerror if isinstance(problem, OSError) else "it is no text"
        raise GroupUnknown(f"{path.name} cannot be read: {reason}") from None
    if len(text) > _LARGEST_BYTES:
        raise GroupUnknown(f"{path.name} is larger than 1 MB")
    try:
        entries = YAML(typ="safe", pure=True).load(text)  # JSON is YAML
    except (YAMLError, ValueError, RecursionError):
        raise GroupUnknown(f"{path.name} is neither JSON nor YAML") from None
    if not isinstance(entries, list):
        raise GroupUnknown(f"{path.name} is not a list of backends (and no nginx file: *.conf)")
    found: dict[str, FoundBackend] = {}
    for number, entry in enumerate(entries, start=1):
        for settings in _settings(entry):
            backend = _backend(group, settings, f"{path.name}, entry {number}")
            if backend.name in found:
                raise GroupUnknown(f"{path.name} has {backend.name} twice")
            found[backend.name] = backend
    return tuple(found.values())


def _settings(entry: Any) -> list[Any]:
    if isinstance(entry, str):
        return [{"url": entry}]
    if isinstance(entry, dict) and isinstance(entry.get("targets"), list):
        rest = {name: value for name, value in entry.items() if name not in ("targets", "labels")}
        return [
            {**rest, "url": each if "://" in str(each) else f"http://{each}"}
            for each in entry["targets"]
        ]
    return [entry]


def _backend(group: str, settings: Any, where: str) -> FoundBackend:
    try:
        if isinstance(settings, dict) and "name" not in settings:
            at = Backend(url=settings.get("url"))
            settings = {**settings, "name": name_of(group, f"{at.host}-{at.port}")}
        return FoundBackend.model_validate(settings)
    except ValidationError as problem:
        first = problem.errors(include_url=False)[0]
        field = f"{first['loc'][0]}: " if first["loc"] else ""
        message = first["msg"].removeprefix("Value error, ")
        raise GroupUnknown(f"{where}: {field}{message}") from None
