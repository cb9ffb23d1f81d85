"""One function of a joined program, and what of it decides where it may stand (njs_calls.py)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from tree_sitter import Node

from infergate.nginx.njs_names import (
    FUNCTIONS,
    NAMES,
    SCOPES,
    declared_in,
    name_of,
    text_of,
    within,
)

_CHANGES = frozenset(("assignment_expression", "augmented_assignment_expression"))
_UNSURE = frozenset(
    (
        *("this", "yield_expression", "await_expression", "finally_clause"),
        *("variable_declaration", "function_declaration", "labeled_statement"),
    )
)


@dataclass(frozen=True)
class Function:
    """A function that is called once. body: its block. returns: of itself, not of those within it.
    declares: all names in it. globals: names that are declared nowhere in the program."""

    node: Node
    name: str
    parameters: tuple[str, ...]
    body: Node
    returns: tuple[Node, ...]
    declares: frozenset[str]
    globals: frozenset[str]

    @cached_property
    def has_variables(self) -> bool:
        return not self.declares <= {*self.parameters}

    @cached_property
    def ends(self) -> bool:
        """Whether the end of its block is not reached."""
        last = statements_of(self.body)[-1:]
        return bool(last) and last[0].type in ("return_statement", "throw_statement")

    @cached_property
    def value(self) -> Node | None:
        """What it returns, where it does nothing else."""
        statements = statements_of(self.body)
        only = (
            statements[0]
            if len(statements) == 1 and not self.assigned & {*self.parameters}
            else None
        )
        return (
            only.named_children[0]
            if only and only.type == "return_statement" and only.named_children
            else None
        )

    @cached_property
    def closures(self) -> bool:
        return any(each.type in FUNCTIONS for each in within(self.body))

    @cached_property
    def assigned(self) -> frozenset[str]:
        """Names that get another value, or are read where that may be later than now."""
        return frozenset((*_assigned(self.body), *_declared_below(self.body)))


def statements_of(block: Node) -> list[Node]:
    return [each for each in block.named_children if each.type != "comment"]


def function_of(node: Node) -> Function | None:
    """None for what is more than plain."""
    name = name_of(node)
    parameters, body = (node.child_by_field_name(part) for part in ("parameters", "body"))
    if (
        parameters is None
        or body is None
        or name.endswith("$")
        or any(each.type == "async" for each in node.children)
    ):
        return None
    if any(each.type != "identifier" for each in parameters.named_children):
        return None
    if any(e.type in _UNSURE or text_of(e) == "arguments" for e in within(body)):
        return None
    given = tuple(text_of(each) for each in parameters.named_children)
    declares = frozenset((*given, *_declared_below(body)))
    free = frozenset(_free_names(body, [frozenset(given)]))
    if free & declares:
        return None
    known = frozenset(name for name in free if "$" not in name)
    return Function(node, name, given, body, tuple(_returns(body)), declares, known)


def _returns(node: Node) -> Iterator[Node]:
    for each in node.named_children:
        if each.type == "return_statement":
            yield each
        elif each.type not in FUNCTIONS:
            yield from _returns(each)


def _free_names(node: Node, scopes: list[frozenset[str]]) -> Iterator[str]:
    if node.type in SCOPES:
        scopes = [*scopes, frozenset(declared_in(node))]
    if node.type in NAMES and not any(text_of(node) in each for each in scopes):
        yield text_of(node)
    for child in node.named_children:
        yield from _free_names(child, scopes)


def _declared_below(block: Node) -> Iterator[str]:
    for each in (block, *within(block)):
        if each.type in SCOPES:
            yield from declared_in(each)


def _assigned(node: Node, deep: bool = False) -> Iterator[str]:
    for each in node.named_children:
        if each.type in ("assignment_expression", "augmented_assignment_expression"):
            yield text_of(each.child_by_field_name("left"))
        elif each.type == "update_expression":
            yield text_of(each.child_by_field_name("argument"))
        elif each.type == "for_in_statement" and each.child_by_field_name("kind") is None:
            yield text_of(each.child_by_field_name("left"))
        elif deep and each.type in NAMES:
            yield text_of(each)
        yield from _assigned(each, deep or each.type in FUNCTIONS)
