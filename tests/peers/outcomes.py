"""What a suite's tests did at the engine and through the gateway, compared: docs/peers.md has the
differences that have a reason."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from tests.pages import DOCS

Outcomes = Mapping[str, str]
"""passed, failed or skipped, by the test's name as pytest has it: file::name."""

LISTED = re.compile(r"(?m)^\| `([^`]+)` \|")


def passed(outcomes: Outcomes) -> list[str]:
    return sorted(name for name, outcome in outcomes.items() if outcome == "passed")


def listed() -> list[str]:
    """The differences that docs/peers.md has, with their reasons: a name, or its beginning."""
    return LISTED.findall((DOCS / "peers.md").read_text())


@dataclass(frozen=True)
class Difference:
    name: str
    """As docs/peers.md has it: without the folders and .py."""
    has_reason: bool


def differences(direct: Outcomes, through: Outcomes, known: Sequence[str]) -> list[Difference]:
    """What passes at the engine, and not through the gateway."""
    names = [_short(name) for name in passed(direct) if through.get(name) != "passed"]
    return [Difference(name, any(name.startswith(each) for each in known)) for name in names]


def table(direct: Outcomes, through: Outcomes) -> Iterator[str]:
    """Markdown: for each file how many of its tests pass at the engine, and here."""
    yield "| file | tests | pass at the engine | of these through the gateway |"
    yield "|---|---|---|---|"
    for file in sorted({_file(name) for name in direct}):
        tests = [name for name in direct if _file(name) == file]
        there = [name for name in tests if direct[name] == "passed"]
        here = [name for name in there if through.get(name) == "passed"]
        yield f"| {file} | {len(tests)} | {len(there)} | {len(here)} |"


def _file(name: str) -> str:
    return name.partition("::")[0]


def _short(name: str) -> str:
    file, _, rest = name.partition("::")
    return f"{PurePath(file).stem}::{rest}"
