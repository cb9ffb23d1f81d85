"""What importing has found: settings of ours, and what is to be told about the original."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["wrong", "lost", "yours"]
"""wrong: in the original, whatever reads it. lost: not understood, or without a counterpart here.
yours: taken over as best it could be; look at it."""

_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_.-]+")
_LONGEST_NAME = 63
_IN_URL = re.compile(r"//[^/@\s]+@")
"""A user and a password."""


@dataclass(frozen=True)
class ImportFinding:
    """place: "file, line 7". what: a sentence that names what it is about, and quotes no secret."""

    kind: Kind
    place: str
    what: str


@dataclass
class Draft:
    """Settings by their place in infergate.yaml, as plain values. comments: by the same places."""

    settings: dict[str, Any] = field(default_factory=dict)
    comments: dict[tuple[str, ...], str] = field(default_factory=dict)
    findings: list[ImportFinding] = field(default_factory=list)

    def section(self, *path: str) -> dict[str, Any]:
        """The section at a path, made if need be."""
        at = self.settings
        for name in path:
            at = at.setdefault(name, {})
        return at

    def comment(self, text: str, *path: str) -> None:
        """Say something about a setting, at its place."""
        known = self.comments.get(path)
        if known is None:
            self.comments[path] = text
        elif text not in known.split("; "):
            self.comments[path] = f"{known}; {text}"

    def wrong(self, place: str, what: str) -> None:
        self._find("wrong", place, what)

    def lost(self, place: str, what: str) -> None:
        self._find("lost", place, what)

    def yours(self, place: str, what: str) -> None:
        self._find("yours", place, what)

    def _find(self, kind: Kind, place: str, what: str) -> None:
        found = ImportFinding(kind, place, _IN_URL.sub("//…@", what))
        if found not in self.findings:
            self.findings.append(found)

    def backend(self, wanted: str, settings: dict[str, Any]) -> str:
        """Add a backend; its name. One that is there already, with the same settings, is that."""
        return self._named("backends", wanted, settings)

    def service(self, wanted: str, settings: dict[str, Any]) -> str:
        """The same of a service."""
        return self._named("services", wanted, settings)

    def model(self, name: str, *backends: str) -> dict[str, Any]:
        """A model's section, with these backends in its list."""
        section = self.section("models", name)
        known: list[str] = section.setdefault("backends", [])
        known.extend(each for each in backends if each not in known)
        return section

    def key(self, wanted: str, digest: str) -> None:
        """Add an API key by its hash, once."""
        keys = self.section("auth", "keys")
        if all(each["hash"] != f"sha256:{digest}" for each in keys.values()):
            keys[self._free(keys, wanted)] = {"hash": f"sha256:{digest}"}

    def _named(self, section: str, wanted: str, settings: dict[str, Any]) -> str:
        known = self.section(section)
        stem = _name(wanted)
        for name, each in known.items():
            if each == settings and (name == stem or name.startswith(f"{stem}-")):
                return name
        name = self._free(known, wanted)
        known[name] = settings
        return name

    @staticmethod
    def _free(known: dict[str, Any], wanted: str) -> str:
        """nginx compares names of upstreams without case."""
        stem, taken = _name(wanted), {name.lower() for name in known}
        name, number = stem, 1
        while name.lower() in taken:
            number += 1
            name = f"{stem[: _LONGEST_NAME - 4]}-{number}"
        return name


def _name(text: str) -> str:
    return _NOT_IN_NAMES.sub("-", text).strip("-._")[:_LONGEST_NAME].strip("-._") or "imported"


def seconds_text(seconds: float) -> str:
    """As a person writes it: 3s, 500ms, 5m."""
    if seconds >= 60 and seconds % 60 == 0:
        return f"{seconds / 60:g}m"
    return f"{seconds:g}s" if seconds >= 1 else f"{seconds * 1000:g}ms"
