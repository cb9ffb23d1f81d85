"""The files that a configuration names: every setting of the type FilePath."""

from __future__ import annotations

import typing
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from infergate.config.root import Config
from infergate.config.types import FilePath

_MARK = typing.get_args(FilePath)[1]


def named_files(config: Config) -> Iterator[tuple[tuple[str, ...], str]]:
    """Each setting that names a file or folder, with the path as it is written there."""
    yield from _named(config, ())


def _named(value: Any, where: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    if isinstance(value, BaseModel):
        for name, field in type(value).model_fields.items():
            inner = getattr(value, name)
            is_path = _MARK in field.metadata or FilePath in typing.get_args(field.annotation)
            if is_path and isinstance(inner, str):
                yield (*where, name), inner
            else:
                yield from _named(inner, (*where, name))
    elif isinstance(value, Mapping):
        for name, each in value.items():
            yield from _named(each, (*where, str(name)))
    elif isinstance(value, list | tuple):
        for index, each in enumerate(value):
            yield from _named(each, (*where, str(index)))
