"""One file of njs for each program that nginx starts: an entry and all it imports, joined.

njs starts a fresh engine for every request, and each module that it imports costs that request
0.2 µs, each use of what a module exports another look-up. So the files of njs/ are joined when the
configuration is rendered: a name at the top of `route.js` becomes `route$name`, `route.name` in
another file the same, and a constant its value. The text is kept as it is otherwise, comments too.

An import `with { load: 'lazy' }` is for what few requests need: that file becomes a function that
is called where it is used, because each function at the top costs every request 0.05 µs. So such a
file cannot keep anything in a variable of its own. What hardly any request needs has `load:
'rare'`: all such files of a program are in one function, which makes them all when one is used. A
constant of either is its value where it is used, too: nothing is made for that.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from infergate.nginx.njs_module import LOADS, SETTINGS, BundleError, Item, Module, Use
from infergate.nginx.njs_read import module

_LAZY, _RARE = LOADS


def bundle(entry: str, read: Callable[[str], str]) -> str:
    """The text of one file for `js_import`. `settings.name` of the sources is `settings$name`.

    entry: its name, such as "hot.js"; read: the text of a file of that name.

    Raises BundleError if one of the files cannot be joined.
    """
    modules: dict[str, Module] = {}
    _load(entry, read, modules, ())
    return _Bundle(modules, modules[entry]).text()


def _load(
    file: str, read: Callable[[str], str], modules: dict[str, Module], importers: tuple[str, ...]
) -> None:
    if file in importers:
        raise BundleError(f"{file}: imports itself, by {' → '.join((*importers, file))}")
    found = module(file, read(file))
    for each in found.imports.values():
        if each.file not in modules:
            _load(each.file, read, modules, (*importers, file))
    modules[file] = found


@dataclass(frozen=True)
class _Bundle:
    modules: Mapping[str, Module]
    entry: Module

    @cached_property
    def usual(self) -> frozenset[str]:
        """The files that are imported without a mark from the entry on: their tops are its own."""
        return self._reached(self.entry, frozenset())

    @cached_property
    def rare(self) -> frozenset[str]:
        often = self._reached(self.entry, frozenset((_LAZY,)))
        return frozenset(each.name for each in self.modules.values()) - often

    def _reached(self, start: Module, through: frozenset[str]) -> frozenset[str]:
        wanted = (
            self._reached(self.modules[each.file], through)
            for each in start.imports.values()
            if each.load in through | {""}
        )
        return frozenset({start.name}).union(*wanted)

    def text(self) -> str:
        """The whole program."""
        core = {
            name: source
            for each in self.modules.values()
            if each.name in self.usual
            for name, source in each.core.items()
        }
        parts = [f"import {name} from '{source}';\n" for name, source in sorted(core.items())]
        for each in self.modules.values():
            if each.name in self.usual:
                parts.append(f"\n{self._head(each)}{self._joined(each)}")
            elif each.name not in self.rare and (each.name, "") in self.needed:
                parts.append(self._as_function(each))
        parts += self._rare_parts()
        return "".join(parts) + f"\nexport default {{ {self._exports(self.entry)} }};\n"

    @cached_property
    def needed(self) -> frozenset[tuple[str, str]]:
        """(file, name) of all that the entry's exports use, directly or not; (file, "") for a file
        that is made where it is used."""
        found: set[tuple[str, str]] = set()
        waiting = [(self.entry, each) for each in self.entry.exports.values()]
        for each in self.modules.values():
            if each.name in self.usual:  # what is no function is made in any case
                made = (item for item in each.items if not item.function)
                waiting += [(each, use) for item in made for use in item.uses()]
        while waiting:
            place, use = waiting.pop()
            for where, name in self._targets(place, use):
                if (where.name, name) not in found:
                    found.add((where.name, name))
                    items = (i for i in where.items if name in i.declares or _is_made(i, name))
                    waiting += [(where, each) for item in items for each in item.uses()]
        return frozenset(found)

    def _targets(self, place: Module, use: Use) -> Iterator[tuple[Module, str]]:
        if use.name not in place.imports:
            if use.name != SETTINGS and use.name not in place.constants:
                yield place, use.name
            return
        other = self.modules[place.imports[use.name].file]
        for outside, inside in other.exports.items():
            if use.member in ("", outside) and not self._value(other, inside):
                yield from self._targets(other, inside)
                if other.name not in self.usual:
                    yield other, ""

    def _value(self, place: Module, use: Use) -> str:
        """The text of a constant; "" of what is none."""
        if use.name in place.imports:
            other = self.modules[place.imports[use.name].file]
            return self._value(other, other.exports[use.member]) if use.member else ""
        return place.constants.get(use.name, "")

    def _rare_parts(self) -> list[str]:
        """The function that has all that is rarely needed, and returns the one that is named."""
        rare = [each for each in self.modules.values() if each.name in self.rare]
        rare = [each for each in rare if (each.name, "") in self.needed]
        if not rare:
            return []
        inner = "".join(_indented(self._as_function(each)) for each in rare)
        wanted = "".join(f"    case '{each.name}': return {each.name}$();\n" for each in rare)
        return [f"\nfunction rarely$(name) {{\n{inner}\n    switch (name) {{\n{wanted}    }}\n}}\n"]

    def _head(self, place: Module) -> str:
        return f"// ── {place.name}.js ──\n"

    def _as_function(self, place: Module) -> str:
        if place.variables:
            some = ", ".join(sorted(place.variables))
            raise BundleError(f"{place.name}.js: has a variable ({some}), but is imported lazily")
        core = "".join(f"const {name} = require('{each}');\n" for name, each in place.core.items())
        body = f"{core}{self._joined(place)}\nreturn {{ {self._exports(place)} }};\n"
        return f"\n{self._head(place)}function {place.name}$() {{\n{_indented(body)}}}\n"

    def _exports(self, place: Module) -> str:
        return ", ".join(
            f"{name}: {self._expression(place, use)}"
            for name, use in place.exports.items()
            if self._is_needed(place, use)
        )

    def _is_needed(self, place: Module, use: Use) -> bool:
        return all((where.name, name) in self.needed for where, name in self._targets(place, use))

    def _joined(self, place: Module) -> str:
        """The statements of a file, without the functions that the program does not need."""
        text = ""
        for item in place.items:
            if item.function and not any(
                (place.name, name) in self.needed for name in item.declares
            ):
                continue
            text += "\n" if item.apart and text else ""
            text += "".join(
                part if isinstance(part, str) else self._expression(place, part)
                for part in item.parts
            )
            text += "\n"
        return text

    def _expression(self, place: Module, use: Use) -> str:
        """A use as it is written in the bundle."""
        if use.name == SETTINGS and SETTINGS not in place.tops:
            return f"{SETTINGS}${use.member}"
        if use.short:
            return f"{use.name}: {self._expression(place, Use(use.name, '', short=False))}"
        if use.name not in place.imports:
            return place.constants.get(use.name, f"{place.name}${use.name}")
        other = self.modules[place.imports[use.name].file]
        if use.member and use.member not in other.exports:
            raise BundleError(f"{place.name}.js: {other.name}.js does not export {use.member}")
        if use.member and (value := self._value(other, other.exports[use.member])):
            return value  # nothing is made for it
        member = f".{use.member}" if use.member else ""
        if other.name in self.rare and place.name not in self.rare:
            return f"rarely$('{other.name}'){member}"
        if other.name not in self.usual:
            return f"{other.name}$(){member}"
        if not use.member:
            return f"({{ {self._exports(other)} }})"
        return self._expression(other, other.exports[use.member])


def _is_made(item: Item, name: str) -> bool:
    """Whether it is made with its file, name being "", and not only where it is called."""
    return not name and not item.function


def _indented(text: str) -> str:
    """Not where a text of several lines would change: in a template."""
    return text if "`" in text else textwrap.indent(text, "    ")
