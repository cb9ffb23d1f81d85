"""A name means one thing in all of src."""

from __future__ import annotations

import ast
from collections import defaultdict
from importlib import resources
from pathlib import Path

SOURCES = Path(str(resources.files("infergate")))


def test_no_two_classes_have_one_name() -> None:
    places: dict[str, list[str]] = defaultdict(list)
    for path in SOURCES.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                places[node.name].append(f"{path.relative_to(SOURCES)}:{node.lineno}")
    assert {name: where for name, where in places.items() if len(where) > 1} == {}
