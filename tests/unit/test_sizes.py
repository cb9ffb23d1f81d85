"""A file and a function are read without scrolling far: ruff and eslint see to the rest."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tests.pages import ROOT

LONGEST_FILE = 300
LONGEST_FUNCTION = 60
"""Lines that are not empty, as eslint counts them for njs; in functions no comments either."""

LONG_FILES = {
    "e2e/test_page.py": 400,
    "engine/test_api_tier.py": 500,
    "engine/test_callers.py": 350,
    "engine/test_changes.py": 350,
    "engine/test_correct_streams.py": 425,
    "engine/test_counted_tokens.py": 400,
    "engine/test_custom_endpoints.py": 425,
    "engine/test_firewall.py": 475,
    "engine/test_forms.py": 400,
    "engine/test_hedging.py": 375,
    "engine/test_kept_answers.py": 375,
    "engine/test_log_line.py": 325,
    "engine/test_model_settings.py": 375,
    "engine/test_paths.py": 325,
    "engine/test_services.py": 325,
    "engine/test_timeouts.py": 325,
    "deploy/test_docker.py": 325,
    "engine/test_work.py": 350,
}
"""Of tests, for which another file would be another gateway to start. They grow no further."""

LONG_FUNCTIONS = {"store/migrations/versions/0001_first_tables.py": {"upgrade"}}
"""History is not written anew."""


def sources(*endings: str) -> Iterator[tuple[str, str]]:
    """Ours, by where they are in src/infergate, tests or bench."""
    for folder in (ROOT / "src" / "infergate", ROOT / "tests", ROOT / "bench"):
        for path in folder.rglob("*"):
            if path.suffix in endings and "node_modules" not in path.parts:
                yield str(path.relative_to(folder)), path.read_text()


def test_no_file_is_long() -> None:
    found = {name: _full(text) for name, text in sources(".py", ".js", ".mjs")}
    long = {
        name: lines for name, lines in found.items() if lines > LONG_FILES.get(name, LONGEST_FILE)
    }
    assert long == {}


def test_what_may_be_long_is() -> None:
    found = dict(sources(".py"))
    assert {each for each in LONG_FILES if _full(found[each]) <= LONGEST_FILE} == set()


def test_no_function_is_long() -> None:
    found = [
        f"{name}: {each.name}"
        for name, text in sources(".py")
        for each in ast.walk(ast.parse(text))
        if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)
        and each.name not in LONG_FUNCTIONS.get(name, ())
        and _lines(each, text.splitlines()) > LONGEST_FUNCTION
    ]
    assert found == []


def _full(text: str) -> int:
    return sum(bool(line.strip()) for line in text.splitlines())


def _lines(function: ast.FunctionDef | ast.AsyncFunctionDef, lines: list[str]) -> int:
    told = ast.get_docstring(function, clean=False)
    first = function.body[1].lineno if told and len(function.body) > 1 else function.body[0].lineno
    head = range(function.lineno - 1, function.body[0].lineno - 1)
    body = range(first - 1, function.end_lineno or first)
    code = (lines[at].strip() for at in (*head, *body))
    return sum(bool(line) and not line.startswith("#") for line in code)
