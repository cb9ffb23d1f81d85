"""Which functions of a joined program (bundle.py) are called at one place only, and could stand
there; and which of the others one lazy file alone uses. njs_inline.py writes the program so."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tree_sitter import Node

from infergate.nginx.njs_function import Function, function_of
from infergate.nginx.njs_names import (
    NAMES,
    SCOPES,
    declarators,
    declared_in,
    name_of,
    text_of,
    within,
)

_LOOPS = frozenset(("for_statement", "for_in_statement", "while_statement", "do_statement"))
_FIRST = {  # of these, what is looked at before all else
    "parenthesized_expression": None,
    "unary_expression": "argument",
    "binary_expression": "left",
    "ternary_expression": "condition",
    "member_expression": "object",
    "subscript_expression": "object",
    "call_expression": "function",
}
SAME = frozenset(("identifier", "string", "true", "false", "null", "undefined"))
"""Kinds of nodes that are the same wherever in a function they stand, and do nothing."""


@dataclass(frozen=True)
class CallSite:
    """Where it is called.

    statement: it stands before what is left of this; the call itself, if it is one expression.
    host: the name of the file's function around it. looped: in a loop there. whole: the statement
    is nothing but the call, and perhaps gives its value to a name.
    """

    of: Function
    call: Node
    statement: Node
    host: str
    looped: bool
    whole: bool


class Calls:
    """sites: the functions that can stand where they are called, by name. moved: others of the top
    → the function of the lazy file that alone uses them. tops: functions of the top, by name."""

    def __init__(self, root: Node) -> None:
        self._root = root
        self._uses = _uses(self._root)
        self.tops = {
            name_of(each): each
            for each in self._root.named_children
            if each.type == "function_declaration"
        }
        self._functions = {each.name: each for each in self._called_once()}
        self.sites = {each.of.name: each for each in self._found_sites()}
        for name in [name for name in self.sites if not self._is_sound(name)]:
            del self.sites[name]
        self.moved = self._homes()

    def _called_once(self) -> Iterator[Function]:
        for node in _files_functions(self._root):
            if len(self._uses[name_of(node)]) == 1 and (found := function_of(node)):
                yield found

    def _found_sites(self) -> Iterator[CallSite]:
        used: set[int] = set()
        for call in within(self._root):
            function = self._called_by(call)
            if function is None:
                continue
            statement = _statement_of(call)
            if function.value is not None and all(map(is_simple, arguments_of(call))):
                statement = call
            if statement is None or statement.id in used:
                continue
            host, looped, declared = _around(statement)
            # A function without variables is one that is called often: it gets none.
            bare = declared == _parameters_around(statement)
            if not host or function.globals & declared or (bare and function.has_variables):
                continue
            used.add(statement.id)
            yield CallSite(function, call, statement, host, looped, _is_whole(call, statement))

    def _called_by(self, node: Node) -> Function | None:
        if node.type != "call_expression":
            return None
        found = self._functions.get(text_of(node.child_by_field_name("function")))
        given = arguments_of(node)
        if found is None or len(given) > len(found.parameters):
            return None
        return None if any(each.type == "spread_element" for each in given) else found

    def _is_sound(self, name: str) -> bool:
        """Not within itself, by whatever way, and no function that is made in a loop."""
        seen = {name}
        site = self.sites[name]
        looped = site.looped
        while site.host in self.sites:
            if site.host in seen:
                return False
            seen.add(site.host)
            site = self.sites[site.host]
            looped = looped or site.looped
        return not (looped and self._functions[name].closures)

    def _homes(self) -> dict[str, Node]:
        """The innermost file's function, made where it is used, that has all uses of each."""
        moved: dict[str, Node] = {}
        found = True
        while found:
            found = False
            used = [each for each in self.tops if self._uses[each]]
            for name in [each for each in used if each not in moved and each not in self.sites]:
                homes = [self._around_use(each, moved) for each in self._uses[name]]
                shared = [each for each in homes[0] if all(each in home for home in homes)]
                if shared and shared[0] != name:
                    moved[name] = self.tops[shared[0]]
                    found = True
        return moved

    def _around_use(self, node: Node, moved: Mapping[str, Node]) -> list[str]:
        """The functions of files at the top that it will be in, the innermost first."""
        name = _top_around(node)
        while name in self.sites:
            name = _top_around(self.sites[name].call)
        homes = [name] if name.endswith("$") else []
        while name in moved:
            name = name_of(moved[name])
            homes.append(name)
        return homes


def arguments_of(call: Node) -> list[Node]:
    """What it is called with."""
    arguments = call.child_by_field_name("arguments")
    found = [] if arguments is None else arguments.named_children
    return [each for each in found if each.type != "comment"]


def is_simple(argument: Node) -> bool:
    """Whether it is the same wherever it stands: a name of the caller's, or a literal."""
    return argument.type in SAME and "$" not in text_of(argument)


def _uses(root: Node) -> Mapping[str, list[Node]]:
    """Where the names of files' functions stand, besides where they are declared."""
    found: dict[str, list[Node]] = defaultdict(list)
    for each in within(root):
        if each.type in NAMES and "$" in text_of(each):
            parent = each.parent
            if parent is None or parent.type != "function_declaration":
                found[text_of(each)].append(each)
    return found


def _top_around(node: Node) -> str:
    """The name of the function at the top that it is in; "" where it is in none."""
    while (parent := node.parent) is not None and parent.parent is not None:
        node = parent
    return name_of(node) if node.type == "function_declaration" else ""


def _files_functions(node: Node) -> Iterator[Node]:
    """Those of files: at the top, and at the top of files that are made where they are used."""
    for each in node.named_children:
        if each.type == "function_declaration":
            yield each
            if name_of(each).endswith("$"):
                for body in each.children_by_field_name("body"):
                    yield from _files_functions(body)


def _statement_of(call: Node) -> Node | None:
    """The statement in which it is done before all else, and in any case; None where it is not."""
    node = call
    while (parent := node.parent) is not None:
        if parent.type in ("expression_statement", "return_statement"):
            return parent if _is_in_block(parent) else None
        if parent.type == "if_statement":
            first = parent.child_by_field_name("condition") == node
            return parent if first and _is_in_block(parent) else None
        if parent.type == "variable_declarator":
            declaration = parent.parent
            if declaration is None or declaration.type != "lexical_declaration":
                return None
            alone = len(declarators(declaration)) == 1
            return declaration if alone and _is_in_block(declaration) else None
        if not _is_first(parent, node):
            return None
        node = parent
    return None


def _is_first(parent: Node, node: Node) -> bool:
    if parent.type == "assignment_expression":
        left = parent.child_by_field_name("left")
        return left is not None and left != node and left.type == "identifier"
    if parent.type not in _FIRST:
        return False
    field = _FIRST[parent.type]
    return field is None or parent.child_by_field_name(field) == node


def _is_in_block(statement: Node) -> bool:
    return statement.parent is not None and statement.parent.type == "statement_block"


def _is_whole(call: Node, statement: Node) -> bool:
    """Whether the statement is the call, or gives a new name to what it returns."""
    parent = call.parent
    if parent is not None and parent.type == "variable_declarator":
        return True
    if parent is not None and parent.type == "assignment_expression":
        return parent.parent == statement
    return parent == statement and statement.type in ("expression_statement", "return_statement")


def _around(statement: Node) -> tuple[str, bool, frozenset[str]]:
    """The file's function around it, whether it is in a loop there, and all names in between."""
    declared: set[str] = set()
    looped = False
    node = statement.parent
    while node is not None:
        if node.type in SCOPES:
            declared |= set(declared_in(node))
        looped = looped or node.type in _LOOPS
        name = name_of(node)
        if node.type == "function_declaration" and "$" in name:
            return name, looped, frozenset(declared)
        node = node.parent
    return "", looped, frozenset(declared)


def _parameters_around(statement: Node) -> frozenset[str]:
    node: Node | None = statement
    while node is not None and node.type != "function_declaration":
        node = node.parent
    parameters = node and node.child_by_field_name("parameters")
    return (
        frozenset(text_of(each) for each in parameters.named_children)
        if parameters
        else frozenset()
    )
