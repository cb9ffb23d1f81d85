"""Functions of a joined program (bundle.py) that are called at one place only stand there instead.

njs makes each function of a program anew for every request, and calls it, which costs a request of
the short way some 400 instructions (docs/decisions/038). So a file may be cut into functions that
are read without scrolling, and what runs is as if it had not been.

Where it may stand is a call that comes first in its statement, so that nothing is done in another
order (njs_calls.py; what is not quite certain stays a call):

    const found = route$look(name);   let found; route$look: { …; found = …; break route$look; … }
    return check$problem(r, body);    { … return …; }

What several functions call, but all of one lazy file, is made with that file.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from tree_sitter import Node

from infergate.nginx.njs_calls import SAME, Calls, CallSite, arguments_of, is_simple
from infergate.nginx.njs_function import statements_of
from infergate.nginx.njs_names import FUNCTIONS, NAMES, declarators, name_of, text_of, within
from infergate.nginx.njs_read import parsed


def inlined(program: str) -> str:
    """The same program, with fewer functions."""
    return _Inlining(program).text()


@dataclass(frozen=True)
class _Place:
    """How a part is written. names: old → new. label, target: of a return, which becomes an
    assignment to the target ("" is none) and a jump behind the label's block; None: it stays one.
    last: the id of the return that needs no jump."""

    names: Mapping[str, str]
    label: str | None = None
    target: str = ""
    last: int = -1


class _Inlining:
    def __init__(self, text: str) -> None:
        self._source = text.encode()
        self._root = parsed(self._source)
        self._calls = Calls(self._root)
        self._at = {each.statement.id: each for each in self._calls.sites.values()}
        self._taken: set[str] = set()
        changed = [
            *(each.statement.start_byte for each in self._calls.sites.values()),
            *(each.of.node.start_byte for each in self._calls.sites.values()),
            *(self._calls.tops[name].start_byte for name in self._calls.moved),
            *(each.end_byte - 1 for each in self._calls.moved.values()),
        ]
        self._changed = sorted(changed)

    def text(self) -> str:
        return self._text(self._root, _Place({}))

    def _text(self, node: Node, place: _Place) -> str:
        parts: list[str] = []
        at = node.start_byte
        for start, end, new in self._changes(node, place):
            parts += [self._source[at:start].decode(), new]
            at = end
        return "".join([*parts, self._source[at : node.end_byte].decode()])

    def _changes(self, node: Node, place: _Place) -> Iterator[tuple[int, int, str]]:
        """(start, end, text) of what is to be written otherwise, in order."""
        if not place.names and place.label is None and not self._is_changed(node):
            return
        if node.id in self._at:
            yield node.start_byte, node.end_byte, self._expanded(self._at[node.id], place)
        elif node.type == "return_statement" and place.label is not None:
            yield node.start_byte, node.end_byte, self._returned(node, place)
        elif node.type in NAMES:
            new = place.names.get(text_of(node))
            if new is not None and new != text_of(node):
                short = node.type == "shorthand_property_identifier"
                yield node.start_byte, node.end_byte, f"{text_of(node)}: {new}" if short else new
        else:
            inner = replace(place, label=None) if node.type in FUNCTIONS else place
            yield from self._changes_within(node, inner)

    def _is_changed(self, node: Node) -> bool:
        at = bisect_left(self._changed, node.start_byte)
        return at < len(self._changed) and self._changed[at] < node.end_byte

    def _changes_within(self, node: Node, place: _Place) -> Iterator[tuple[int, int, str]]:
        if node.type == "statement_block":
            moved = [name for name, home in self._calls.moved.items() if home == node.parent]
            texts = (
                _shifted(self._written(self._calls.tops[name], place), "", "    ") for name in moved
            )
            start = node.start_byte + 1
            yield start, start, "".join(f"\n    {text}\n" for text in texts)
        comments: list[Node] = []
        for child in node.children:
            if child.type == "comment":
                comments.append(child)
                continue
            name = name_of(child)
            if child.type != "function_declaration" or "$" not in name:
                yield from self._changes(child, place)
            elif name in self._calls.sites or name in self._calls.moved:
                yield _start_of(child, comments), child.end_byte, ""
            else:
                yield child.start_byte, child.end_byte, self._written(child, place)
            comments = []

    def _written(self, function: Node, place: _Place) -> str:
        if not name_of(function).endswith("$"):
            self._taken = {text_of(each) for each in within(function) if each.type in NAMES}
        return self._text(function, place)

    def _returned(self, node: Node, place: _Place) -> str:
        value = next((each for each in node.named_children if each.type != "comment"), None)
        text = "" if value is None else self._text(value, replace(place, label=None))
        steps = []
        if place.target:
            steps.append(f"{place.target} = {text or 'undefined'};")
        elif value is not None and value.type not in SAME:
            steps.append(f"({text});" if value.type == "object" else f"{text};")
        return _ended(steps, node, place)

    def _expanded(self, site: CallSite, outer: _Place) -> str:
        function, statement = site.of, site.statement
        if statement == site.call and function.value is not None:
            names, _ = self._bound(site, outer)
            names |= {name: self._free(name) for name in sorted(function.declares - names.keys())}
            return f"({self._text(function.value, _Place(names))})"
        if site.whole and statement.type == "return_statement" and outer.label is None:
            tail = "" if function.ends else "return undefined;"
            return self._block(site, outer, _Place({}), tail)
        target, before, after = self._target(site, outer)
        last = statements_of(function.body)[-1:]
        place = _Place({}, function.name, target, last[0].id if last else -1)
        jumps = [each for each in function.returns if each.id != place.last]
        label = f"{function.name}: " if jumps else ""
        # In a loop it has its value from the last time.
        tail = f"{target} = undefined;" if target and not function.ends else ""
        return f"{before}{label}{self._block(site, outer, place, tail)}{after}"

    def _target(self, site: CallSite, outer: _Place) -> tuple[str, str, str]:
        """Where its value goes, what stands before it, and behind."""
        statement = site.statement
        if site.call.parent == statement and statement.type == "expression_statement":
            return "", "", ""
        indent = "\n" + _indent(statement)
        if site.whole and statement.type == "lexical_declaration":
            name = name_of(declarators(statement)[0])
            name = outer.names.get(name, name)
            return name, f"let {name};{indent}", ""
        assigned = text_of(site.call.parent.child_by_field_name("left")) if site.call.parent else ""
        if site.whole and assigned:
            return outer.names.get(assigned, assigned), "", ""
        if site.whole and outer.label is not None:  # a return of a function that stands here itself
            jump = "" if statement.id == outer.last else f"{indent}break {outer.label};"
            return outer.target, "", jump
        name = self._free("its")
        parts: list[str] = []
        at = statement.start_byte
        for start, end, new in self._replaced(statement, site.call, name, outer):
            parts += [self._source[at:start].decode(), new]
            at = end
        text = "".join([*parts, self._source[at : statement.end_byte].decode()])
        return name, f"let {name};{indent}", indent + text

    def _replaced(
        self, statement: Node, call: Node, name: str, place: _Place
    ) -> Iterator[tuple[int, int, str]]:
        """The changes of the statement, with the name instead of the call."""
        if statement.type == "return_statement" and place.label is not None:
            value = statement.named_children[0]
            steps = "".join(self._spliced(value, call, name, replace(place, label=None)))
            done = [f"{place.target} = {steps};" if place.target else f"{steps};"]
            yield statement.start_byte, statement.end_byte, _ended(done, statement, place)
            return
        yield from self._with_call(statement, call, name, place)

    def _spliced(self, node: Node, call: Node, name: str, place: _Place) -> Iterator[str]:
        at = node.start_byte
        for start, end, new in self._with_call(node, call, name, place):
            yield self._source[at:start].decode()
            yield new
            at = end
        yield self._source[at : node.end_byte].decode()

    def _with_call(
        self, node: Node, call: Node, name: str, place: _Place
    ) -> Iterator[tuple[int, int, str]]:
        if node == call:
            yield node.start_byte, node.end_byte, name
        elif node.start_byte <= call.start_byte and call.end_byte <= node.end_byte:
            for child in node.children:
                yield from self._with_call(child, call, name, place)
        else:
            yield from self._changes(node, place)

    def _block(self, site: CallSite, outer: _Place, place: _Place, tail: str) -> str:
        """The function's block, where it is called."""
        function = site.of
        names, bound = self._bound(site, outer)
        for name in sorted(function.declares - names.keys()):
            names[name] = self._free(name)
        indent = _indent(site.statement)
        body = self._text(function.body, replace(place, names=names))[1:-1].rstrip()
        body = body if body.startswith("\n") else f"\n{indent}   {body}"
        body = _shifted(body, _indent(function.node), indent)
        shift = indent + "    "
        head = "".join(f"\n{shift}{line}" for line in bound)
        foot = f"\n{shift}{tail}" if tail else ""
        return f"{{   // {function.name}{head}{body}{foot}\n{indent}}}"

    def _bound(self, site: CallSite, outer: _Place) -> tuple[dict[str, str], list[str]]:
        """Parameters → what they are, and the lines that make it so."""
        function = site.of
        arguments = arguments_of(site.call)
        names: dict[str, str] = {}
        lines = []
        for at, parameter in enumerate(function.parameters):
            given = arguments[at] if at < len(arguments) else None
            text = "undefined" if given is None else self._text(given, replace(outer, label=None))
            if (given is None or is_simple(given)) and parameter not in function.assigned:
                names[parameter] = text
            else:
                names[parameter] = self._free(parameter)
                lines.append(f"let {names[parameter]} = {text};")
        return names, lines

    def _free(self, name: str) -> str:
        found, more = name, 1
        while found in self._taken:
            more += 1
            found = f"{name}${more}"
        self._taken.add(found)
        return found


def _ended(steps: list[str], node: Node, place: _Place) -> str:
    """What stands for a return."""
    all_steps = steps if node.id == place.last else [*steps, f"break {place.label};"]
    return f"{{ {' '.join(all_steps)} }}" if len(all_steps) > 1 else "".join(all_steps)


def _indent(node: Node) -> str:
    return " " * node.start_point[1]


def _start_of(node: Node, comments: list[Node]) -> int:
    """With the comments right before it, but the head of a file."""
    start, line = node.start_byte, node.start_point[0]
    for each in reversed(comments):
        if each.start_point[0] + 1 != line or text_of(each).startswith("// ──"):
            break
        start, line = each.start_byte, each.start_point[0]
    return start


def _shifted(text: str, before: str, after: str) -> str:
    """Indented otherwise; not where a text of several lines would change: in a template."""
    return text if "`" in text else text.replace("\n" + before, "\n" + after)
