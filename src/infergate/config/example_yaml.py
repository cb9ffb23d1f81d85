"""infergate.example.yaml, every setting explained in its place, written from the models:
`python -m infergate.config.example_yaml`."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

from infergate.config.json_schema import json_schema, sections_of, under_names

_HEAD = """\
# Every setting of infergate.yaml, with its default. Written by
# `python -m infergate.config.example_yaml`; edit the descriptions in src/infergate/config/.
#
# A line that begins with `#` and a setting has no default, or belongs to something that you name.
# The smallest file is the two lines of `backends`; docs/configuration.md has the short forms, and
# `infergate schema` tells an editor all of this.

"""

_NAMED = {
    "backends": ("gpu1", {"url": "http://127.0.0.1:11434"}),
    "serve": ("qwen", {}),
    "models": ("qwen3-8b", {}),
    "endpoints": ("/v1/embeddings", {}),
    "services": ("grafana", {}),
}
"""Sections under names of the operator's own: one such name, and what it cannot be without."""

_WIDTH = 100


def example() -> str:
    """The whole file."""
    return _HEAD + "".join(_Writer(json_schema()).settings("Config", "", set()))


class _Writer:
    """Walks through the schema's sections. quiet: what is written is a comment."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self.sections = sections_of(schema)

    def settings(
        self, name: str, indent: str, seen: set[str], *, quiet: bool = False, **given: Any
    ) -> Iterator[str]:
        """The lines of a section. seen: sections that were written already, to name them only."""
        section = self.sections[name]
        for setting, value in section["properties"].items():
            yield from _comment(value.get("description", ""), indent)
            below = self._below(value)
            if given.get(setting) is not None and below is None:
                yield _line(indent, f"{setting}: {_yaml(given[setting])}", quiet=quiet)
            elif below is None:
                yield self._plain(setting, value, indent, quiet=quiet)
            elif below in seen:
                yield _line(indent, f"{setting}:   # as above", quiet=True)
            else:
                yield from self._section(setting, value, below, indent, {*seen, below}, quiet)
                seen.add(below)
            if not indent:
                yield "\n"

    def _section(
        self, setting: str, value: Any, below: str, indent: str, seen: set[str], quiet: bool
    ) -> Iterator[str]:
        is_named = bool(under_names(value))
        default = value.get("default")
        hushed = quiet or (setting != "backends" if is_named else default is None)
        deeper = indent + ("    " if is_named else "  ")
        name, given = _NAMED.get(setting, ("name", {})) if is_named else ("", default or {})
        lines = list(self.settings(below, deeper, seen, quiet=hushed, **given))
        hushed = hushed or all(line.lstrip().startswith("#") for line in lines)
        yield _line(indent, f"{setting}:", quiet=hushed)
        if is_named:
            yield _line(indent + "  ", f"{name}:", quiet=hushed)
        yield from lines

    def _plain(self, setting: str, value: Any, indent: str, *, quiet: bool) -> str:
        default = value.get("default")
        if default is None or default == {}:
            kinds = "  # " + _kinds(value)
            return _line(indent, f"{setting}:{kinds}", quiet=True)
        choices = f"   # {', '.join(map(_yaml, value['enum']))}" if "enum" in value else ""
        return _line(indent, f"{setting}: {_yaml(default)}{choices}", quiet=quiet)

    def _below(self, value: Any) -> str | None:
        """The section that a value is, or has under names of the operator's own."""
        inside = under_names(value)
        for each in (value, *value.get("anyOf", ()), *value.get("allOf", ()), *inside):
            reference = str(each.get("$ref", "")).rpartition("/")[2]
            if reference and "properties" in self.sections[reference]:
                return reference
        return self._below(inside[0]) if inside else None


def _comment(description: str, indent: str) -> Iterator[str]:
    for line in textwrap.wrap(" ".join(description.split()), _WIDTH - len(indent) - 2):
        yield f"{indent}# {line}\n"


def _line(indent: str, text: str, *, quiet: bool) -> str:
    return f"{indent}{'#' if quiet else ''}{text}\n"


def _kinds(value: Mapping[str, Any]) -> str:
    """What it takes, in a word or two."""
    if "enum" in value:
        return ", ".join(map(_yaml, value["enum"]))
    options = [_kinds(each) for each in value.get("anyOf", ()) if each.get("type") != "null"]
    if options:
        return " or ".join(dict.fromkeys(options))
    words = {"array": "a list", "object": "settings", "string": "text", "integer": "a number"}
    kind = value.get("type", "text")
    return "text or a number" if isinstance(kind, list) else words.get(kind, str(kind))


def _yaml(value: Any) -> str:
    """A value on one line, as YAML reads it."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return value if isinstance(value, str) and value.isidentifier() else json.dumps(value)


if __name__ == "__main__":
    print(example(), end="")
