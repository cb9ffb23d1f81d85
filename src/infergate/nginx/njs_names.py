"""Which names a part of a file of njs/ declares for itself, and so hides from the top."""

from __future__ import annotations

from collections.abc import Iterator

from tree_sitter import Node

FUNCTIONS = frozenset(
    (
        *("function_declaration", "function_expression", "arrow_function", "method_definition"),
        *("generator_function_declaration", "generator_function"),
    )
)
"""The kinds of nodes (tree-sitter-javascript) that are functions."""

NAMES = frozenset(("identifier", "shorthand_property_identifier"))
"""Those that are a variable's name, where it is used or declared."""

SCOPES = FUNCTIONS | {
    *("statement_block", "for_statement", "for_in_statement", "switch_body", "catch_clause")
}
"""The kinds of nodes (tree-sitter-javascript) that have names of their own."""

_DECLARATIONS = frozenset(("lexical_declaration", "function_declaration", "class_declaration"))


def text_of(node: Node | None) -> str:
    """The source of a node; "" of none."""
    return "" if node is None or node.text is None else node.text.decode()


def declarators(declaration: Node) -> list[Node]:
    """The `name = value` of a const, let or var."""
    return [each for each in declaration.named_children if each.type == "variable_declarator"]


def declared_in(scope: Node) -> Iterator[str]:
    """The names that a node of SCOPES declares for all that is in it."""
    for part in ("parameters", "parameter"):
        yield from _bound(scope.child_by_field_name(part))
    if scope.type in ("function_expression", "generator_function"):
        yield text_of(scope.child_by_field_name("name"))
    if scope.type in FUNCTIONS:
        yield from _hoisted(scope)
    if scope.type == "for_in_statement" and scope.child_by_field_name("kind") is not None:
        yield from _bound(scope.child_by_field_name("left"))
    within = [scope, *(scope.named_children if scope.type == "switch_body" else ())]
    for each in (child for one in within for child in one.named_children):
        if each.type in _DECLARATIONS:
            yield from _bound_by(each)


def _hoisted(node: Node) -> Iterator[str]:
    """What `var` declares, wherever in the function it stands."""
    for child in node.named_children:
        if child.type == "variable_declaration":
            yield from _bound_by(child)
        elif text_of(child.child_by_field_name("kind")) == "var":  # for (var … of …)
            yield from _bound(child.child_by_field_name("left"))
        if child.type not in FUNCTIONS:
            yield from _hoisted(child)


def _bound_by(declaration: Node) -> Iterator[str]:
    name = declaration.child_by_field_name("name")
    if name is not None:
        yield text_of(name)
    for each in declarators(declaration):
        yield from _bound(each.child_by_field_name("name"))


def _bound(pattern: Node | None) -> Iterator[str]:
    """The names of a parameter list or of what is destructured."""
    if pattern is None:
        return
    if pattern.type in ("identifier", "shorthand_property_identifier_pattern"):
        yield text_of(pattern)
    elif pattern.type == "assignment_pattern":
        yield from _bound(pattern.child_by_field_name("left"))
    elif pattern.type == "pair_pattern":
        yield from _bound(pattern.child_by_field_name("value"))
    else:
        for child in pattern.named_children:
            yield from _bound(child)


def within(node: Node) -> Iterator[Node]:
    """All named nodes below it."""
    waiting = node.named_children[::-1]
    while waiting:
        found = waiting.pop()
        yield found
        waiting += found.named_children[::-1]


def name_of(node: Node) -> str:
    """What a declaration declares; "" where it has no name."""
    return text_of(node.child_by_field_name("name"))
