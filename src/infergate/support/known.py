"""Every secret that is known to a gateway: what no bundle may have."""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, SecretStr

from infergate.config.document import environment_names
from infergate.config.json_schema import json_schema
from infergate.config.load import LoadedConfig
from infergate.config.named_files import named_files
from infergate.paths import Home

_LEAST_OF_ENVIRONMENT = 8
"""Characters: what else the environment says is a port or a host, and no secret."""
_QUOTED = re.compile(r'"(?:Bearer\s+)?([^"\s]{8,})"')
_BLOCK = re.compile(r"(?m)^[A-Za-z0-9+/=]{40,}$")
_LARGEST_BYTES = 1 << 20


_WORD = re.compile(r"[^\s\"'{}\[\],]{8,}")


def known_secrets(
    text: str, configurations: list[LoadedConfig], home: Home, *, broken: bool
) -> Iterator[str]:
    """text: of the file. configurations: what can be understood of the file's and the active one.

    broken: the file cannot be: then any word of it that is no setting, and not active as
        something harmless, may be a secret.
    """
    if broken:
        yield from _words(text, configurations)
    for source in (text, *(each.text for each in configurations)):
        for name in environment_names(source):
            value = os.environ.get(name, "")
            if len(value) >= _LEAST_OF_ENVIRONMENT:
                yield value
    for loaded in configurations:
        yield from secrets_in(loaded.config)
        for _, file in named_files(loaded.config):
            yield from _in_file(loaded.resolve(file))
    yield from _in_file(home.first_key)
    for path in home.tls.rglob("*"):
        yield from _in_file(path)


def _words(text: str, configurations: list[LoadedConfig]) -> Iterator[str]:
    harmless = " ".join(
        json.dumps(each.config.model_dump(mode="json"), ensure_ascii=False)
        for each in configurations
    )
    settings = set(_settings(json_schema()))
    for word in _WORD.findall(text):
        bare = word.removesuffix(":")
        if bare not in settings and bare not in harmless:
            yield bare


def _settings(schema: Any) -> Iterator[str]:
    """The names of all settings."""
    if isinstance(schema, Mapping):
        for name, each in schema.items():
            if name == "properties":
                yield from each
            yield from _settings(each)
    elif isinstance(schema, list):
        for each in schema:
            yield from _settings(each)


def secrets_in(value: Any) -> Iterator[str]:
    """The values of all settings that are secrets by their type."""
    if isinstance(value, SecretStr):
        yield value.get_secret_value()
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from secrets_in(getattr(value, name))
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from secrets_in(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from secrets_in(each)


def _in_file(path: Path) -> Iterator[str]:
    """Of a private key its lines, of a list of keys or passwords each of them, of one secret it."""
    with contextlib.suppress(OSError, UnicodeDecodeError):
        if not path.is_file() or path.stat().st_size > _LARGEST_BYTES:
            return
        text = path.read_text()
        if "PRIVATE KEY-----" in text:
            for block in re.findall(r"(?s)PRIVATE KEY-----(.*?)-----END", text):
                yield from _BLOCK.findall(block)
        elif path.suffix not in (".pem", ".crt"):
            yield from _QUOTED.findall(text)
            yield from (hash_ for _, _, hash_ in _pairs(text))
            if len(text.split()) == 1:
                yield text.strip()


def _pairs(text: str) -> Iterator[tuple[str, str, str]]:
    """Lines of a file of users: NAME:HASH."""
    for line in text.splitlines():
        name, is_, hash_ = line.strip().partition(":")
        if is_ and len(hash_) >= _LEAST_OF_ENVIRONMENT and " " not in hash_:
            yield name, is_, hash_
