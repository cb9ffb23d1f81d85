"""What one file of njs/ has, as it is joined with others (bundle.py)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

LOADS = ("lazy", "rare")
"""What `import … with { load: '…' }` may say; see bundle.py."""

SETTINGS = "settings"
"""The one name that no file declares: what a program is told of the YAML (programs.py)."""


class BundleError(Exception):
    """A file has what cannot be joined; the text says where, and what to write instead."""


@dataclass(frozen=True)
class Import:
    """`import * as NAME from './FILE'`. load: "", or one of LOADS."""

    file: str
    load: str


@dataclass(frozen=True)
class Use:
    """A name of the top of this or another file where it is used. member: of an import, else "".
    short: it stands as `{ name }`."""

    name: str
    member: str
    short: bool


@dataclass(frozen=True)
class Item:
    """A statement of the top, with the comments that belong to it.

    parts: its text, and its uses in between. declares: names. apart: an empty line precedes it.
    function: it is one, and so left out where nothing uses it.
    """

    parts: tuple[str | Use, ...]
    declares: frozenset[str]
    apart: bool
    function: bool

    def uses(self) -> Iterator[Use]:
        return (each for each in self.parts if isinstance(each, Use))


@dataclass(frozen=True)
class Module:
    """core: names of njs' own modules → their names. exports: the name outside → the use of what it
    is inside. constants: names → the text of their values."""

    name: str
    imports: Mapping[str, Import]
    core: Mapping[str, str]
    exports: Mapping[str, Use]
    constants: Mapping[str, str]
    variables: frozenset[str]
    items: tuple[Item, ...]
    tops: frozenset[str]
