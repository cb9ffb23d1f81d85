"""One file of njs for each program that nginx starts: an entry and all it imports, joined.

njs starts a fresh engine for every request, and each module that it imports costs that request
0.2 µs, each use of what a module exports another look-up. So the files of njs/ are joined when the
configuration is rendered: a name at the top of `route.js` becomes `route$name`, `route.name` in
another file the same, and a constant its value. The text is kept as it is otherwise, comments too.

An import marked `// seldom` is for what few requests need: that file becomes a function that is
called where it is used, because each function at the top costs every request 0.05 µs. So such a
file cannot keep anything in a variable of its own. What hardly any request needs is marked
`// rarely`: all such files of a program are in one function, which makes them all when one is used.
A constant of either is its value where it is used, too: nothing is made for that.

Only what our files do is understood: `import name from 'file.js'`, one `export default { … }` at
the end, declarations of the top at the start of a line. Anything else is a BundleError.
"""

from __future__ import annotations

import re
import textwrap
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache

_TOKEN = re.compile(
    r"""
      (?P<other> //[^\n]* | /\*.*?\*/ | '(?:\\.|[^'\\\n])*' | "(?:\\.|[^"\\\n])*"
        | (?<=[=(,:!])\ */(?!\*)(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\[\n])+/[a-z]* )
    | (?P<member> (?<![\w$.]) [A-Za-z_$][\w$]* \. [A-Za-z_$][\w$]* )
    | (?P<name> (?<![\w$.]) [A-Za-z_$][\w$]* )
    """,
    re.VERBOSE | re.DOTALL,
)
_IMPORT = re.compile(r"^import (\w+) from '([\w.]+)';(?: *// (seldom|rarely))?\n", re.MULTILINE)
_EXPORT = re.compile(r"^export default \{(.*?)\};\n", re.MULTILINE | re.DOTALL)
_TOP = re.compile(r"^(?:(?:async )?function (\w+)|(?:const|let) ([^;]+);)", re.MULTILINE)
_DECLARED = re.compile(r"(\w+)(?: = ((?:[^,'(\[{]|'[^']*'|[(\[{].*)+))?(?:, |$)", re.DOTALL)
_LITERAL = re.compile(r"0x[\da-f]+|-?\d[\d.e+]*|'(?:\\.|[^'\\])*'")
_CONSTANTS = re.compile(
    r"^const (?:\w+ = (?:0x[\da-f]+|-?\d[\d.e+]*|'(?:\\.|[^'\\])*')(?:, |;))+.*\n", re.MULTILINE
)
_FUNCTION = re.compile(
    r"(?:^//[^\n]*\n)*^(?:async )?function ([\w$]+)\([^\n]*\n(?:[ \n][^\n]*\n|\n)*}\n", re.MULTILINE
)
_NAME = re.compile(r"[\w$]+")
_KEY_FOLLOWS, _KEY_PRECEDES = re.compile(r"\s*:"), re.compile(r"[{,]\s*$")
_SHORTHAND = re.compile(r"\{((?:\s*\w+(?:: [^,{}\n]+)?,)*\s*\w+(?:: [^,{}\n]+)?),?\s*\}")

_SELDOM = "seldom"

LONGEST_GAP = 200
"""Characters that may stand between the key of an object and what comes before it."""


class BundleError(Exception):
    """A file is written in a way that is not understood here; the text says which and how."""


@dataclass(frozen=True)
class _Module:
    """One file. pieces: its text, cut so that every second piece is a name that may have another
    one in the bundle."""

    name: str
    body: str
    pieces: tuple[str, ...]
    imports: Mapping[str, str]
    core: Mapping[str, str]
    marked: Mapping[str, str]
    exports: Mapping[str, str]
    tops: frozenset[str]
    constants: Mapping[str, str]


def bundle(entry: str, read: Callable[[str], str]) -> str:
    """The text of one file for `js_import`.

    entry: its name, such as "hot.js"; read: the text of a file of that name.

    Raises BundleError if one of the files cannot be joined.
    """
    modules: dict[str, _Module] = {}
    _load(entry, read, modules)
    usual = _reached(entry, modules, frozenset())
    often = _reached(entry, modules, frozenset({_SELDOM}))
    joined = _Bundle(modules, usual, frozenset(each.name for each in modules.values()) - often)
    core = {
        name: source
        for module in modules.values()
        if module.name in joined.usual
        for name, source in module.core.items()
    }
    parts = [f"import {name} from '{source}';\n" for name, source in sorted(core.items())]
    parts += [joined.part(each) for each in modules.values() if each.name in often]
    parts += joined.rare_parts()
    exports = f"\nexport default {{ {joined.exports(modules[entry])} }};\n"
    return _without_unused("".join(parts) + exports)


def _without_unused(text: str) -> str:
    """The bundle without the functions of the top that nothing names."""
    named = Counter(_NAME.findall(text))
    functions = {match[1]: match for match in _FUNCTION.finditer(text)}
    unused: list[re.Match[str]] = []
    while found := [match for name, match in functions.items() if named[name] <= 1]:
        unused += found
        for match in found:
            del functions[match[1]]
            named.subtract(_NAME.findall(match[0]))  # what only this one named is unused too
    kept, at = "", 0
    for match in sorted(unused, key=lambda match: match.start()):
        kept, at = kept + text[at : match.start()], match.end()
    return kept + text[at:]


def _reached(file: str, modules: Mapping[str, _Module], through: frozenset[str]) -> frozenset[str]:
    """The modules that are imported without a mark, or with one of these, from this file on."""
    module = modules[file]
    wanted = (
        _reached(each, modules, through)
        for each in module.imports.values()
        if module.marked.get(each, "") in through | {""}
    )
    return frozenset({module.name}).union(*wanted)


@dataclass(frozen=True)
class _Bundle:
    modules: Mapping[str, _Module]
    usual: frozenset[str]
    rare: frozenset[str]

    def rare_parts(self) -> list[str]:
        """The function that has all that is rarely needed, and returns the one that is named."""
        modules = [each for each in self.modules.values() if each.name in self.rare]
        if not modules:
            return []
        inner = "".join(textwrap.indent(self.part(each), "    ") for each in modules)
        wanted = "".join(f"    case '{each.name}': return {each.name}$();\n" for each in modules)
        return [f"\nfunction rarely$(name) {{\n{inner}\n    switch (name) {{\n{wanted}    }}\n}}\n"]

    def part(self, module: _Module) -> str:
        text = f"\n// ── {module.name}.js ──\n"
        if module.name in self.usual:
            return text + self._joined(module)
        if re.search(r"^let ", module.body, re.MULTILINE):
            raise BundleError(f"{module.name}.js: has a variable, but is imported seldom")
        core = "".join(f"const {name} = require('{each}');\n" for name, each in module.core.items())
        exports = self.exports(module)
        body = f"{core}{self._joined(module)}\nreturn {{ {exports} }};\n"
        return f"{text}function {module.name}$() {{\n{textwrap.indent(body, '    ')}}}\n"

    def exports(self, module: _Module) -> str:
        return ", ".join(
            f"{name}: {self._expression(module, text)}" for name, text in module.exports.items()
        )

    def _joined(self, module: _Module) -> str:
        pieces = list(module.pieces)
        pieces[1::2] = [self._expression(module, name) for name in pieces[1::2]]
        return "".join(pieces).strip("\n") + "\n"

    def _expression(self, module: _Module, text: str) -> str:
        """A name, or a member of one, as it is called in the bundle."""
        name, dot, member = text.partition(".")
        if name in module.imports:
            other = self.modules[module.imports[name]]
            if member not in other.exports and dot:
                raise BundleError(f"{module.name}.js: {other.name}.js does not export {member}")
            if dot and other.exports[member] in other.constants:
                return other.constants[other.exports[member]]  # nothing is made for it
            if other.name in self.rare and module.name not in self.rare:
                return f"rarely$('{other.name}'){dot}{member}"
            if other.name not in self.usual:
                return f"{other.name}$(){dot}{member}"
            if not dot:
                return f"({{ {self.exports(other)} }})"
            return self._expression(other, other.exports[member])
        if name in module.constants:
            return module.constants[name] + dot + member
        return (f"{module.name}${name}" if name in module.tops else name) + dot + member


def _load(file: str, read: Callable[[str], str], modules: dict[str, _Module]) -> None:
    text = read(file)
    for _, source, _ in _IMPORT.findall(text):
        if source.endswith(".js") and source not in modules:
            _load(source, read, modules)
    modules[file] = _module(file, text)


@lru_cache(maxsize=128)
def _module(file: str, text: str) -> _Module:
    """Programs share most of their files."""
    found = _IMPORT.findall(text)
    exported = _EXPORT.search(text)
    if exported is None or exported.end() != len(text):
        raise BundleError(f"{file}: `export default {{ … }};` is not its last statement")
    body = _IMPORT.sub("", text[: exported.start()])
    tops: set[str] = set()
    constants: dict[str, str] = {}
    for match in _TOP.finditer(body):
        if match[1]:
            tops.add(match[1])
            continue
        for name, value in _DECLARED.findall(match[2]):
            tops.add(name)
            if match[0].startswith("const") and _LITERAL.fullmatch(value):
                constants[name] = value
    imports = {name: source for name, source, _ in found if source.endswith(".js")}
    for items in _SHORTHAND.findall(body):
        for item in items.split(","):
            if item.strip() in tops | set(imports):
                raise BundleError(f"{file}: write {{ {item.strip()}: … }} for the name of the top")
    listed = (item.partition(":") for item in exported[1].split(",") if item.strip())
    body = _CONSTANTS.sub("", body)
    return _Module(
        name=file.removesuffix(".js"),
        body=body,
        pieces=tuple(_pieces(body)),
        imports=imports,
        core={name: source for name, source, _ in found if name not in imports},
        marked={source: mark for _, source, mark in found if mark},
        exports={name.strip(): (value or name).strip() for name, _, value in listed},
        tops=frozenset(tops),
        constants=constants,
    )


def _pieces(body: str) -> list[str]:
    pieces, at = [], 0
    for match in _TOKEN.finditer(body):
        if match["other"] or _is_key(body, match):
            continue
        pieces += [body[at : match.start()], match[0]]
        at = match.end()
    return [*pieces, body[at:]]


def _is_key(body: str, match: re.Match[str]) -> bool:
    """Whether it names a value of an object: `{ here: value }`."""
    before = body[max(0, match.start() - LONGEST_GAP) : match.start()]
    return bool(_KEY_FOLLOWS.match(body, match.end()) and _KEY_PRECEDES.search(before))
