"""docs/architecture.md names the files and functions of njs that are there, and all of them."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path

from tests.pages import DOCS

NJS = Path(str(resources.files("infergate.nginx") / "njs"))
TEXT = (DOCS / "architecture.md").read_text()
WALK, _, TABLES = TEXT.partition("## A request")[2].partition("| step |")
_FILE = re.compile(r"`(\w+\.js)`")


def test_the_walk_of_a_request_takes_eight_files_at_most() -> None:
    named = set(_FILE.findall(WALK))
    assert 0 < len(named) <= 8
    assert named <= {each.name for each in NJS.iterdir()}


def test_every_file_of_njs_has_its_place_in_the_table() -> None:
    rows = _FILE.findall(TABLES.partition("\n\n")[0])
    assert sorted(rows) == sorted(each.name for each in NJS.glob("*.js"))


def test_the_functions_that_decide_are_there() -> None:
    table = TABLES.partition("| decision |")[2].partition("\n\n")[0]
    said = re.findall(r"`(\w+)\.(\w+)`", table)
    assert len(said) > 20
    missing = [
        f"{file}.{name}"
        for file, name in said
        if not re.search(rf"function {name}\(", (NJS / f"{file}.js").read_text())
    ]
    assert not missing
