"""Which revisions are kept, and which one a rollback leads to."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from infergate.changes.history import earlier
from infergate.config.load import parse_config
from infergate.errors import UserError
from infergate.nginx.engine_facts import Engine
from infergate.nginx.render import Rendered
from infergate.nginx.revisions import (
    KEPT_REVISIONS,
    Revision,
    current,
    differing,
    forget_old,
    keep,
    load_applied,
    mark_failed,
    next_number,
    revisions,
    switch,
)
from infergate.paths import Home

FILES = Rendered({"nginx.conf": "events {}\n", "njs/hot.js": "1"}, {"link.conf": "nginx.conf"})
YAML = "backends: {{ a: http://a:{} }}\n"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path)
    home.revisions.mkdir()
    return home


def applied(home: Home, port: int, of: int | None = None) -> Revision:
    loaded = parse_config(YAML.format(port), home.root / "infergate.yaml", {})
    kept = keep(home, next_number(home), FILES, loaded, Engine("custom", ("nginx",)), of)
    switch(home, kept)
    return kept


def test_a_second_rollback_goes_further_back_and_not_forward(home: Home) -> None:
    for port in (1, 2, 3):
        applied(home, port)
    assert earlier(home, 1).number == 2
    assert earlier(home, 2).number == 1
    applied(home, 2, of=2)
    assert earlier(home, 1).number == 1
    with pytest.raises(UserError, match="1 earlier"):
        earlier(home, 2)


def test_restarts_and_what_was_taken_back_are_no_step_of_a_rollback(home: Home) -> None:
    applied(home, 1)
    applied(home, 1)
    applied(home, 2)
    mark_failed(applied(home, 3), "it broke")
    applied(home, 4)
    applied(home, 4)
    assert (earlier(home, 1).number, earlier(home, 2).number) == (3, 2)


def test_the_last_different_ones_are_kept_and_restarts_push_none_out(home: Home) -> None:
    for port in range(1, KEPT_REVISIONS + 4):
        applied(home, port)
        applied(home, port)
    forget_old(home)
    ports = [each.text.rpartition(":")[2].split()[0] for each in revisions(home)]
    newest = KEPT_REVISIONS + 3
    assert ports == [*(str(port) for port in range(4, newest + 1)), str(newest)]
    assert current(home) is not None


def test_going_to_and_fro_between_two_does_not_keep_them_for_ever(home: Home) -> None:
    for number in range(3 * KEPT_REVISIONS):
        applied(home, 1 + number % 2)
    forget_old(home)
    assert len(revisions(home)) == KEPT_REVISIONS


def test_the_configuration_in_force_is_not_the_file_somebody_edits(home: Home) -> None:
    applied(home, 1)
    file = home.root / "infergate.yaml"
    file.write_text("backends: [")
    loaded = load_applied(home, file)
    assert loaded.config.backends["a"].port == 1
    assert loaded.path == file


def test_what_a_revision_holds_of_secrets_is_for_us_only(home: Home) -> None:
    kept = applied(home, 1)
    for path in kept.path.glob("*.yaml"):
        assert path.stat().st_mode & 0o077 == 0
    assert kept.text == YAML.format(1)


def test_files_that_came_changed_or_went_are_named(home: Home) -> None:
    kept = applied(home, 1)
    assert differing(FILES, kept.path) == ()
    other = dataclasses.replace(FILES, files={"nginx.conf": "events { }\n", "new.conf": ""})
    assert differing(other, kept.path) == ("new.conf", "nginx.conf", "njs/hot.js")
