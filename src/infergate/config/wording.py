"""pydantic's complaints in the words of somebody who never heard of pydantic."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from infergate.config.document import Path, YamlDocument
from infergate.config.problems import Problem, did_you_mean
from infergate.config.root import Config

_EXPECTED = {
    "string_type": "expected text",
    "int_type": "expected a whole number",
    "int_parsing": "expected a whole number",
    "int_from_float": "expected a whole number",
    "float_type": "expected a number",
    "finite_number": "expected a number",
    "bool_type": "expected true or false",
    "bool_parsing": "expected true or false",
    "list_type": "expected a list, like [a, b]",
    "dict_type": "expected a section: `name: value` lines, indented",
    "model_type": "expected a section: `name: value` lines, indented",
    "model_attributes_type": "expected a section: `name: value` lines, indented",
    "too_short": "needs at least one entry",
}


def as_problem(error: ErrorDetails, document: YamlDocument) -> Problem:
    """One of pydantic's errors at its place in the file."""
    path = _path(error["loc"])
    kind, context = error["type"], error.get("ctx", {})
    name = path[-1] if path else ""
    if kind == "extra_forbidden":
        known = _fields(path[:-1])
        hint = (
            did_you_mean(str(name), known)
            or _belongs(str(name), path[:-1])
            or f"; there are {', '.join(sorted(known))}"
        )
        return document.problem(path, f"unknown setting {name!r}{hint}", at_key=True)
    if kind == "missing":
        return document.problem(
            path[:-1], f"{_titled(path[:-1])} needs the setting {name!r}", at_key=True
        )
    message = _message(kind, context, error, document, path)
    return document.problem(path, message, at_key="[key]" in error["loc"])


def _message(
    kind: str, context: dict[str, Any], error: ErrorDetails, document: YamlDocument, path: Path
) -> str:
    hidden = path in document.from_environment
    if kind == "value_error":
        if hidden:
            return "what the environment variable holds is not valid here"
        return str(context["error"])
    if kind in ("literal_error", "union_tag_invalid"):
        expected = str(context.get("expected", ""))
        options = [option.strip(" '") for option in expected.replace(" or ", ", ").split(",")]
        hint = "" if hidden else did_you_mean(str(error["input"]), options)
        return f"expected one of {', '.join(options)}{hint}"
    if kind == "greater_than_equal":
        return f"must be at least {_number(context['ge'])}"
    if kind == "less_than_equal":
        return f"must be at most {_number(context['le'])}"
    if kind == "too_long":
        most, there = _number(context["max_length"]), _number(len(error["input"]))
        return f"may have at most {most} entries, and has {there}"
    if kind in _EXPECTED:
        empty = not hidden and error["input"] is None
        return ("is empty; " if empty else "") + _EXPECTED[kind]
    return error["msg"]


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else str(value)


def _path(location: tuple[int | str, ...]) -> Path:
    """Where in the file: without the marks pydantic adds for keys and for members of a union."""
    marks = ("[key]", "int", "str", "float", "literal['auto']")
    return tuple(part for index, part in enumerate(location) if index == 0 or part not in marks)


def _titled(path: Path) -> str:
    return f"{path[-1]!r}" if path else "the file"


def _belongs(name: str, path: Path) -> str:
    """ "; it belongs under models.NAME" where settings of this name are in other sections."""
    homes = [home for home in _homes(name, Config, "") if home != ".".join(map(str, path))]
    few = sorted(homes, key=lambda home: (home.count("."), home))[:3]
    return f"; it belongs under {' or '.join(few)}" if few else ""


def _homes(name: str, section: Any, path: str) -> Iterator[str]:
    """The sections that have a setting of this name, as paths in the file."""
    for field, info in section.model_fields.items():
        below = f"{path}.{field}".strip(".")
        inner = info.annotation
        if typing.get_origin(inner) is dict:
            inner, below = typing.get_args(inner)[-1], f"{below}.NAME"
        if typing.get_origin(inner) in (types.UnionType, typing.Union):
            inner = next((each for each in typing.get_args(inner) if _is_section(each)), None)
        if _is_section(inner):
            if name in inner.model_fields:
                yield below
            yield from _homes(name, inner, below)


def _fields(path: Path) -> list[str]:
    """The settings that the section at this path may have."""
    section: Any = Config
    for part in path:
        section = _member(section, part)
    return list(section.model_fields) if _is_section(section) else []


def _is_section(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _member(annotation: Any, part: str | int) -> Any:
    """The type of what stands at one name or index of a value of this type."""
    if _is_section(annotation):
        found = annotation.model_fields.get(str(part))
        inner = found.annotation if found else None
    else:
        inner = typing.get_args(annotation)[-1] if typing.get_args(annotation) else None
    if typing.get_origin(inner) in (types.UnionType, typing.Union):
        inner = next((each for each in typing.get_args(inner) if _is_section(each)), None)
    return inner
