"""docs/architecture.md names the files and functions of njs that are there, and all of them; and
docs/adding.md the files that are changed where something is added."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path

from tests.pages import DOCS, ROOT

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


def test_what_is_to_be_changed_where_something_is_added_is_there() -> None:
    rows = [row for row in (DOCS / "adding.md").read_text().splitlines() if row.startswith("| a ")]
    assert len(rows) == 5
    for row in rows:
        places = [ROOT / each for each in re.findall(r"`((?:src|tests)/[^`]*)`", row)]
        links = re.findall(r"\]\((\w+\.md)", row)
        new = [each for each in places if each.stem == "NAME"]
        assert [each for each in new if not each.parent.is_dir()] == []
        assert [each for each in places if each not in new and not each.exists()] == []
        assert [each for each in links if not (DOCS / each).exists()] == []
        # "a test" and "a template" are files too, and what only some need is not counted.
        said = int(row.split("|")[2].split()[0])
        unnamed = len(re.findall(r"; a test|a template", row))
        some = row.count("state/route.py")
        assert len(places) + len(links) + unnamed - some == said, row
