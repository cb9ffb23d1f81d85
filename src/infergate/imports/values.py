"""What the YAML of other gateways has in common: how it is read, secrets, durations, addresses."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from infergate.config.addresses import HttpUrl
from infergate.errors import UserError
from infergate.imports.draft import Draft
from infergate.store.secrets import key_hash

_LARGEST_BYTES = 1_000_000
_MOST_VALUES = 100_000
_DURATION = re.compile(r"(?:(\d+(?:\.\d+)?)(ms|h|m|s))")
_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_NO_SECRETS = re.compile(
    r"(?i)(sk-)?(none|no-?key|empty|dummy|fake.*|not-?needed|na|n/?a|x+|ollama)?"
)
_NOT_IN_VARIABLES = re.compile(r"[^A-Z0-9]+")


def read_yaml(text: str, file: str) -> dict[str, Any]:
    """A YAML mapping as plain values. Raises UserError for anything else."""
    try:
        if len(text) > _LARGEST_BYTES:
            raise UserError("is larger than 1 MB", where=file)
        data = YAML(typ="safe", pure=True).load(text)
    except (YAMLError, ValueError, RecursionError) as problem:
        first = str(problem).splitlines()[0] if str(problem) else "damaged"
        raise UserError(f"is not YAML: {first}", where=file) from None
    if not isinstance(data, dict):
        raise UserError("is no YAML of settings", where=file)
    if sum(1 for _ in _walk(data)) >= _MOST_VALUES:
        raise UserError("has more than 100,000 values", where=file)
    return data


def _walk(value: Any) -> Iterator[None]:
    """Each value, aliases of aliases too; ends at some point."""
    waiting, count = [value], 0
    while waiting and count < _MOST_VALUES:
        each = waiting.pop()
        count += 1
        yield None
        if isinstance(each, dict):
            waiting.extend(each.values())
        elif isinstance(each, list):
            waiting.extend(each)


def mapping(value: Any) -> dict[str, Any]:
    """value if it is one, else an empty one."""
    return {str(name): each for name, each in value.items()} if isinstance(value, dict) else {}


def items(value: Any) -> list[Any]:
    """value if it is a list, else an empty one."""
    return value if isinstance(value, list) else []


def seconds(value: Any) -> float | None:
    """30, "30", "30s", "1m30s" or "500ms"; None for what is no duration above 0."""
    if isinstance(value, bool):
        return None
    text = str(value).strip()
    try:
        found = float(text)
    except ValueError:
        parts = _DURATION.findall(text)
        if not parts or "".join(number + unit for number, unit in parts) != text:
            return None
        found = sum(float(number) * _UNITS_S[unit] for number, unit in parts)
    return found if 0 < found < float("inf") else None


def whole(value: Any) -> int | None:
    """A whole number above 0; None for anything else."""
    text = str(value).strip()
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
    return number or None


def usable_url(text: Any) -> str | None:
    """A base URL as a backend may have it; None for anything else."""
    from pydantic import TypeAdapter, ValidationError

    try:
        return str(TypeAdapter(HttpUrl).validate_python(str(text).strip()))
    except (ValidationError, ValueError):
        return None


def address_of(url: str) -> str:
    """host, or host-port, for a backend's name."""
    parts = urlsplit(url)
    return f"{parts.hostname}-{parts.port}" if parts.port else str(parts.hostname)


def variable(*words: str) -> str:
    """The name of an environment variable made of words."""
    name = _NOT_IN_VARIABLES.sub("_", "_".join(words).upper()).strip("_")
    return name if name and not name[0].isdigit() else f"KEY_{name}".rstrip("_")


def is_placeholder(secret: str) -> bool:
    """Whether it is what people write where no key is needed."""
    return _NO_SECRETS.fullmatch(secret) is not None


def declare_keys(draft: Draft, secrets: Iterable[str], names: Iterable[str], place: str) -> None:
    """Keys that the original has in clear, by their hashes."""
    found = [(name, secret) for name, secret in zip(names, secrets, strict=False) if secret]
    for name, secret in found:
        draft.key(name, key_hash(secret))
    if found:
        draft.wrong(
            place,
            f"keys in clear ({len(found)}): here are their hashes; the original still has them",
        )


def rest(section: Mapping[str, Any], known: Iterable[str]) -> list[str]:
    """The names of a section that are not known, in its order."""
    seen = set(known)
    return [name for name in section if name not in seen]
