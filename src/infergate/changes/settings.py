"""Two configurations compared setting by setting, and two texts line by line. Secrets are never
shown. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, SecretStr

from infergate.config.root import Config

_SHOWN = "•••"


@dataclass(frozen=True)
class SettingChange:
    """One setting. path: "models.m.timeouts.connect". before, after: as text; None where it is
    not set at all."""

    path: str
    before: str | None
    after: str | None


def changed_settings(before: Config, after: Config) -> tuple[SettingChange, ...]:
    """What differs, in the order of the configuration. A whole section that came or went is one
    change."""
    return tuple(_differences("", _plain(before), _plain(after)))


def _plain(value: Any) -> Any:
    """A model as dicts of what was set or has a default; secrets stay secrets."""
    if isinstance(value, BaseModel):
        return {name: _plain(getattr(value, name)) for name in type(value).model_fields}
    if isinstance(value, Mapping):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value


def _differences(path: str, before: Any, after: Any) -> Iterator[SettingChange]:
    if before == after:
        return
    if isinstance(before, dict) and isinstance(after, dict):
        for name in {**before, **after}:
            below = f"{path}.{name}" if path else name
            yield from _differences(below, before.get(name), after.get(name))
    else:
        shown, instead = _shown(before), _shown(after)
        if shown == instead:  # two secrets
            instead = f"another {instead}"
        yield SettingChange(path, shown, instead)


def _shown(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, SecretStr):
        return "secret"
    if isinstance(value, dict):
        said = {name: _shown(each) for name, each in value.items() if each not in (None, {}, [])}
        return "{" + ", ".join(f"{name}: {each}" for name, each in said.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(str(_shown(each)) for each in value) + "]"
    return str(value).lower() if isinstance(value, bool) else str(value)


def secrets_of(config: Config) -> frozenset[str]:
    """Every secret of a configuration, in clear."""
    return frozenset(_secrets(_plain(config)))


def _secrets(value: Any) -> Iterator[str]:
    if isinstance(value, SecretStr):
        yield value.get_secret_value()
    elif isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _secrets(each)


def changed_lines(
    before: str, after: str, names: tuple[str, str], secrets: frozenset[str] = frozenset()
) -> tuple[str, ...]:
    """A unified diff with the secrets blotted out. names: what the two texts are."""
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), *names, lineterm="")
    return tuple(_blotted(line, secrets) for line in lines)


def _blotted(line: str, secrets: frozenset[str]) -> str:
    for secret in sorted(secrets, key=len, reverse=True):
        line = line.replace(secret, _SHOWN) if secret else line
    return line
