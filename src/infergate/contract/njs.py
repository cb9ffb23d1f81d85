"""njs/contract.js: `python -m infergate.contract.njs` writes it, `make docs` does so too."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from enum import Enum

from infergate.contract import answers, dialects, live, numbers, policy, route, tier

_HEAD = """\
// contract: what njs and the control plane both know.
// `make docs` writes it from src/infergate/contract/, which describes it.
"""
_MODULES = (policy, route, live, tier)
_LONGEST = 120


def constants() -> Mapping[str, object]:
    """The name in njs → its value. A member of PolicyLine is POLICY_LINE_…"""
    return {name: value for _, _, group in groups() for name, value in group.items()}


def groups() -> Iterator[tuple[str, str, Mapping[str, object]]]:
    """Of each enumeration its name, where it is described, and its constants; then the rest."""
    for module in _MODULES:
        for each in vars(module).values():
            if isinstance(each, type) and issubclass(each, Enum) and each.__members__:
                start = _snake(each.__name__.removesuffix("Entry"))
                members = {f"{start}_{n}": m.value for n, m in each.__members__.items()}
                yield each.__name__, f"{module.__name__.rpartition('.')[2]}.py", members
    tables = {name: answers.table(v) for name, v in vars(answers).items() if name.isupper()}
    yield "answers", "answers.py", tables
    mine = {name: value for name, value in vars(numbers).items() if name.isupper()}
    yield "numbers", "numbers.py", mine
    yield "paths", "dialects.py", {"TRANSLATED": _words(dialects.TRANSLATED)}
    yield "codings", "tier.py", {"CODINGS": _words(tier.CODINGS)}
    guards = {"GUARDED_PATHS": _words(tier.GUARDED), "BLOCKED_MARK": tier.BLOCKED_MARK}
    yield "guardrails", "tier.py", guards


def _words(words: Iterable[str]) -> str:
    """Each between spaces, so that one can be looked for."""
    return f" {' '.join(words)} "


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).upper()


def text() -> str:
    """The file."""
    parts = [_HEAD]
    for name, where, group in groups():
        said = ", ".join(f"{each} = {_literal(value)}" for each, value in group.items())
        parts.append(f"\n// {name}: {where}\n{_folded('const ', said, ';')}")
    return "".join([*parts, "\n", _folded("export { ", ", ".join(constants()), " };")])


def _literal(value: object) -> str:
    return f"'{value}'" if isinstance(value, str) else json.dumps(value)


def _folded(head: str, said: str, end: str) -> str:
    lines, line = [], head
    for each in re.split(r"(?<=,) (?=[A-Z])", said):
        if len(line) + len(each) > _LONGEST:
            lines.append(line.rstrip())
            line = "    "
        line += each + " "
    return "\n".join([*lines, line.rstrip() + end]) + "\n"


if __name__ == "__main__":
    print(text(), end="")
