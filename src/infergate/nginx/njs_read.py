"""One file of njs/, read by a parser: what it imports and exports, what it declares, and which name
in it means what.

The files are standard ES modules. Only some of what the language has is used, so that it can be
joined (bundle.py); the rest is a BundleError that says where, and never joined wrongly.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache, lru_cache
from typing import NoReturn

import tree_sitter_javascript
from tree_sitter import Language, Node, Parser

from infergate.nginx.njs_module import LOADS, SETTINGS, BundleError, Import, Item, Module, Use
from infergate.nginx.njs_names import NAMES, SCOPES, declarators, declared_in, text_of

_CHANGES = frozenset(("assignment_expression", "augmented_assignment_expression"))
_LITERALS = frozenset(("number", "string"))


@cache
def _parser() -> Parser:
    return Parser(Language(tree_sitter_javascript.language()))


def parsed(source: bytes) -> Node:
    """The tree of a file of JavaScript."""
    return _parser().parse(source).root_node


@lru_cache(maxsize=128)  # programs share most of their files
def module(file: str, text: str) -> Module:
    """Raises BundleError where the file is none, or has something that cannot be joined."""
    return _ModuleReader(file, text).module()


class _ModuleReader:
    def __init__(self, file: str, text: str) -> None:
        self._file, self._source = file, text.encode()
        self._root = parsed(self._source)
        self._imports: dict[str, Import] = {}
        self._core: dict[str, str] = {}
        self._exports: dict[str, Use] = {}
        self._constants: dict[str, str] = {}
        self._variables: set[str] = set()
        self._tops: set[str] = set()

    def module(self) -> Module:
        if self._root.has_error:
            self._refuse(next(_errors(self._root)), "is no JavaScript that is understood here")
        statements = [each for each in self._root.named_children if each.type != "comment"]
        for each in statements:
            self._declare(each)
        for each in statements:
            if each.type == "export_statement" and not _declared_by(each):
                self._export(each)
        items = tuple(self._items())
        return Module(
            self._file.removesuffix(".js"),
            self._imports,
            self._core,
            self._exports,
            self._constants,
            frozenset(self._variables),
            items,
            frozenset(self._tops),
        )

    def _refuse(self, at: Node, what: str) -> NoReturn:
        line, column = at.start_point
        raise BundleError(f"{self._file}:{line + 1}:{column + 1}: {what}")

    def _declare(self, statement: Node) -> None:
        if statement.type == "import_statement":
            self._import(statement)
            return
        declaration = _declared_by(statement) or statement
        if declaration.type in ("function_declaration", "lexical_declaration"):
            for name in self._names_of(declaration):
                if name in self._tops or name in self._imports or name in self._core:
                    self._refuse(statement, f"{name} is there twice")
                self._tops.add(name)
                if statement is not declaration:
                    self._exports[name] = Use(name, "", short=False)
        elif statement.type != "export_statement":
            self._refuse(statement, "only functions, const and let can stand at the top")
        if declaration.type == "lexical_declaration":
            self._note_values(declaration)

    def _names_of(self, declaration: Node) -> Iterator[str]:
        for each in [*declarators(declaration)] or [declaration]:
            name = each.child_by_field_name("name")
            if name is None or name.type != "identifier":
                self._refuse(each, "njs has no destructuring")
            yield text_of(name)

    def _note_values(self, declaration: Node) -> None:
        constant = text_of(declaration.child_by_field_name("kind")) == "const"
        for each in declarators(declaration):
            name, value = (each.child_by_field_name(part) for part in ("name", "value"))
            if not constant:
                self._variables.add(text_of(name))
            elif value is not None and _is_literal(value):
                self._constants[text_of(name)] = text_of(value)

    def _import(self, statement: Node) -> None:
        source = text_of(statement.child_by_field_name("source"))[1:-1]
        clause = next((c for c in statement.named_children if c.type == "import_clause"), None)
        if clause is None or len(clause.named_children) != 1:
            self._refuse(statement, "write `import * as name from './file.js'`")
        bound = clause.named_children[0]
        if not source.startswith("./"):
            if bound.type != "identifier":
                self._refuse(statement, f"write `import name from '{source}'`")
            self._core[text_of(bound)] = source
            return
        if bound.type != "namespace_import":
            self._refuse(statement, f"write `import * as name from '{source}'`")
        self._imports[text_of(bound.named_children[0])] = Import(
            source.removeprefix("./"), self._load_of(statement)
        )

    def _load_of(self, statement: Node) -> str:
        said = next((c for c in statement.named_children if c.type == "import_attribute"), None)
        if said is None:
            return ""
        match = re.fullmatch(r"with \{ load: '(\w+)' \}", text_of(said))
        if match is None or match[1] not in LOADS:
            self._refuse(said, f"write `with {{ load: '{LOADS[0]}' }}` or '{LOADS[1]}'")
        return match[1]

    def _export(self, statement: Node) -> None:
        clause = next((c for c in statement.named_children if c.type == "export_clause"), None)
        if clause is None:
            self._refuse(statement, "write `export { name, other as name }`")
        source = text_of(statement.child_by_field_name("source"))[1:-1]
        if source:
            local = f"{source.removeprefix('./').removesuffix('.js')}$"
            self._imports.setdefault(local, Import(source.removeprefix("./"), ""))
        for each in clause.named_children:
            if each.type != "export_specifier":
                continue
            name = text_of(each.child_by_field_name("name"))
            outside = text_of(each.child_by_field_name("alias")) or name
            if not source and name not in self._tops:
                self._refuse(each, f"{name} is not declared here")
            use = Use(local, name, short=False) if source else Use(name, "", short=False)
            self._exports[outside] = use

    def _items(self) -> Iterator[Item]:
        """Each statement of the top that stays, with the comments right before and behind it."""
        pending: list[Node] = []
        statements = list(self._root.named_children)
        end = 0
        for at, node in enumerate(statements):
            if node.type == "comment":
                pending.append(node)
                continue
            if pending and pending[-1].end_point[0] + 1 < node.start_point[0]:
                yield from self._comments(pending, end)
                end, pending = pending[-1].end_byte, []
            stop = node.end_byte
            follower = statements[at + 1] if at + 1 < len(statements) else None
            behind = follower is not None and follower.type == "comment"
            if behind and follower is not None and follower.start_point[0] == node.end_point[0]:
                stop = follower.end_byte
                statements[at + 1] = node  # taken
            start = pending[0].start_byte if pending else node.start_byte
            if node.type not in ("import_statement", "comment") and stop > end:
                item = self._item(node, start, stop, end)
                if item is not None:
                    yield item
            end, pending = max(end, stop), []
        yield from self._comments(pending, end)

    def _comments(self, nodes: list[Node], end: int) -> Iterator[Item]:
        if nodes:
            text = self._source[nodes[0].start_byte : nodes[-1].end_byte].decode()
            yield Item((text,), frozenset(), self._is_apart(end, nodes[0].start_byte), False)

    def _is_apart(self, end: int, start: int) -> bool:
        return self._source.count(b"\n", end, start) > 1

    def _item(self, statement: Node, start: int, stop: int, end: int) -> Item | None:
        declaration = _declared_by(statement)
        if statement.type == "export_statement" and declaration is None:
            return None
        kept = declaration or statement
        names = frozenset(self._names_of(kept))
        if names <= self._constants.keys():
            return None  # their values stand where they are used
        found = list(self._uses(kept, []))
        parts: list[str | Use] = []
        at = start
        if declaration is not None:
            parts.append(self._source[start : statement.start_byte].decode())
            at = declaration.start_byte
        for node, use in sorted(found, key=lambda pair: pair[0].start_byte):
            parts += [self._source[at : node.start_byte].decode(), use]
            at = node.end_byte
        parts.append(self._source[at:stop].decode())
        apart = self._is_apart(end, start)
        return Item(tuple(parts), names, apart, kept.type == "function_declaration")

    def _uses(self, node: Node, scopes: list[frozenset[str]]) -> Iterator[tuple[Node, Use]]:
        outer = scopes
        if node.type in SCOPES:
            scopes = [*scopes, frozenset(declared_in(node))]
        if node.type == "member_expression":
            owner = node.child_by_field_name("object")
            name = text_of(owner)
            if owner is not None and owner.type == "identifier" and not _is_in(name, scopes):
                if name in self._imports:
                    yield node, self._member(node, name)
                    return
                if name == SETTINGS:
                    member = text_of(node.child_by_field_name("property"))
                    yield node, Use(SETTINGS, member, short=False)
                    return
        if node.type in NAMES:
            name = text_of(node)
            if "$" in name:
                self._refuse(node, "names with a $ are the joined program's own")
            if not _is_in(name, scopes) and (name in self._tops or name in self._imports):
                yield node, Use(name, "", short=node.type != "identifier")
            elif name == SETTINGS and not _is_in(name, scopes):
                self._refuse(node, "write settings.name")
            return
        named = node.child_by_field_name("name") if node.type == "function_declaration" else None
        for child in node.named_children:
            yield from self._uses(child, outer if child == named else scopes)

    def _member(self, node: Node, name: str) -> Use:
        parent = node.parent
        changed = parent is not None and (
            (parent.type in _CHANGES and parent.child_by_field_name("left") == node)
            or parent.type == "update_expression"
        )
        if changed:
            self._refuse(node, "what another file exports cannot be assigned")
        if any(child.type == "optional_chain" for child in node.children):
            self._refuse(node, f"write {name}.…: an import is always there")
        return Use(name, text_of(node.child_by_field_name("property")), short=False)


def _errors(node: Node) -> Iterator[Node]:
    if node.is_error or node.is_missing:
        yield node
    for child in node.children:
        yield from _errors(child)


def _declared_by(statement: Node) -> Node | None:
    """What `export function …` declares."""
    if statement.type != "export_statement":
        return None
    return statement.child_by_field_name("declaration")


def _is_literal(value: Node) -> bool:
    if value.type == "unary_expression":
        return value.children[0].type == "-" and value.children[1].type == "number"
    return value.type in _LITERALS


def _is_in(name: str, scopes: list[frozenset[str]]) -> bool:
    return any(name in scope for scope in scopes)
