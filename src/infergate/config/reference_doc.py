"""docs/configuration.md, written from the models: `python -m infergate.config.reference_doc`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from infergate.config.json_schema import json_schema, sections_of, under_names

INTRODUCTION = """# infergate.yaml

Written by `python -m infergate.config.reference_doc`; edit the descriptions in
`src/infergate/config/`. The smallest file:

```yaml
backends:
  gpu1: http://127.0.0.1:11434
```

- **Short forms**: a backend may be its URL, `listen` a port, a model the list of its backends,
  `waf` and `bans` a mode.
- **Durations** are `500ms`, `3s`, `5m`, `1h`, `7d` or seconds; **sizes** `512k`, `20MB`, `1G`
  (powers of 1024) or bytes; **rates** `10r/s` or `30r/m`.
- **Environment**: `${NAME}` inside any text is replaced; `$${` is a literal `${`. Secrets belong
  there; one in clear text draws a warning.
- **Paths** are relative to the file's folder.
- **Mistakes** are told all at once, each as `file:line:column: message (did you mean …?)`, by
  `infergate check` and by every other command.
- **Editors**: `infergate schema` prints the JSON Schema; a copy is `docs/infergate.schema.json`.
  All settings, each explained in its place: [infergate.example.yaml](../infergate.example.yaml).

Models: with no `models:` every model that a backend has is served. With `models:` only the named
ones are, and `"*"` stands for every other model of its backends.
"""

_CONFIG = "Config"
_TITLES = {_CONFIG: "The file"}


def reference() -> str:
    """The whole page: every section once, in the order in which the file may have them."""
    sections = sections_of(json_schema())
    places = _places(sections)
    parts = [INTRODUCTION]
    for name, paths in places.items():
        section = sections[name]
        first, *others = sorted(paths, key=lambda path: path.count("."))
        parts.append(f"\n## {_TITLES.get(name, first)}\n\n")
        parts.append(section.get("description", "").split("\n\n")[0] + "\n")
        if others:
            parts.append(f"The same settings are in {_listed(others)}.\n")
        parts.append(
            "\n| setting | what it takes | default | |\n|---|---|---|---|\n"
            + "".join(
                f"| `{field}` | {_takes(value, places)} | {_default(field, value, section)} "
                f"| {_said(value, sections)} |\n"
                for field, value in section["properties"].items()
            )
        )
    return "".join(parts)


def _places(sections: Mapping[str, Any]) -> dict[str, list[str]]:
    """section → where it may stand, as paths in the file; the first of them is found first."""
    found: dict[str, list[str]] = {_CONFIG: [""]}

    def walk(name: str, path: str) -> None:
        for field, value in sections[name]["properties"].items():
            for below, section in _sections_in(value, f"{path}.{field}".lstrip(".")):
                is_new = section not in found
                found.setdefault(section, []).append(below)
                if is_new:
                    walk(section, below)

    walk(_CONFIG, "")
    fields = list(sections[_CONFIG]["properties"])

    def place(name: str) -> tuple[int, int]:
        path = _shortest(found[name])
        first = path.partition(".")[0]
        return (fields.index(first) if first else -1, path.count("."))

    return {name: found[name] for name in sorted(found, key=place)}


def _shortest(paths: Sequence[str]) -> str:
    return min(paths, key=lambda path: path.count("."))


def _sections_in(value: Any, path: str) -> Iterator[tuple[str, str]]:
    """The sections that a value may be, or hold, and where."""
    if "$ref" in value:
        yield path, _name(value)
    for each in (*value.get("anyOf", ()), *value.get("allOf", ())):
        yield from _sections_in(each, path)
    for each in under_names(value):
        yield from _sections_in(each, f"{path}.NAME")
    if isinstance(value.get("items"), dict):
        yield from _sections_in(value["items"], path)


def _name(reference: Mapping[str, Any]) -> str:
    return str(reference["$ref"]).rpartition("/")[2]


def _listed(paths: Sequence[str]) -> str:
    quoted = [f"`{path}`" for path in paths]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} and {quoted[-1]}"


def _said(value: dict[str, Any], sections: dict[str, Any]) -> str:
    """What a setting is for. The schema says it once, where the section says the same."""
    named = sections.get(value.get("$ref", "").rpartition("/")[2], {})
    said = str(value.get("description") or named.get("description", ""))
    return said.replace("|", r"\|")


def _takes(value: dict[str, Any], places: Mapping[str, list[str]]) -> str:
    if "$ref" in value:
        name = _name(value)
        title = _shortest(places[name])
        return f"[section](#{title.lower().replace('.', '')})"
    if "enum" in value:
        return ", ".join(f"`{option}`" for option in value["enum"])
    if "const" in value:
        return f"`{value['const']}`"
    if "anyOf" in value:
        return " or ".join(
            _takes(each, places) for each in value["anyOf"] if each.get("type") != "null"
        )
    if value.get("type") == "array":
        return "list"
    if value.get("type") == "object":
        sections = [each for each in under_names(value) if "$ref" in each]
        return f"name: {_takes(sections[0], places) if sections else 'value'}"
    if isinstance(value.get("type"), list):
        return "text or number"
    return {"string": "text", "integer": "whole number", "boolean": "`true` or `false`"}.get(
        str(value.get("type")), str(value.get("type"))
    )


def _default(field: str, value: dict[str, Any], section: dict[str, Any]) -> str:
    if field in section.get("required", []):
        return "**needed**"
    default = value.get("default")
    if default in (None, [], {}) or isinstance(default, dict):
        return ""
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


if __name__ == "__main__":
    print(reference(), end="")
