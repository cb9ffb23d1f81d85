"""Which revisions are kept, and which one a rollback leads to."""

from __future__ import annotations

import dataclasses
import json
import types
from pathlib import Path

import pytest
from ruamel.yaml import YAML as YAML_READER

from infergate.changes.history import earlier
from infergate.config import document
from infergate.config.load import parse_config
from infergate.config.problems import ConfigError
from infergate.engine.facts import Engine
from infergate.errors import UserError
from infergate.live.revisions import (
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
from infergate.nginx.rendered import Rendered
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


def test_the_files_that_nginx_has_stay_however_many_changes_need_no_reload(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "infergate.live.shared_memory.read", lambda _: types.SimpleNamespace(revision=1)
    )
    for port in range(1, KEPT_REVISIONS + 4):
        applied(home, port)
        forget_old(home)
    assert [each.number for each in revisions(home)][:2] == [1, 4]


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


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Each YAML text that is read, from now on."""
    found: list[str] = []
    read = YAML_READER.load

    def noted(self: YAML_READER, text: str) -> object:
        found.append(text)
        return read(self, text)

    document._parsed.cache_clear()
    monkeypatch.setattr(YAML_READER, "load", noted)
    return found


def test_the_yaml_of_what_is_in_force_is_not_read_again(
    home: Home, reads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "backends: { a: { url: http://a:1, api_key: '${SECRET}', models: ['$${x}', '2'] } }\n"
    path = home.root / "infergate.yaml"
    path.write_text(text)
    loaded = parse_config(text, path, {"SECRET": "of-then"})
    kept = keep(home, 1, FILES, loaded, Engine("custom", ("nginx",)))
    switch(home, kept)
    assert len(reads) == 1, "what was read is written down with it"
    document._parsed.cache_clear()  # another process
    monkeypatch.setenv("SECRET", "of-now")
    again = load_applied(home, path)
    assert len(reads) == 1
    key = again.config.backends["a"].api_key
    assert key is not None
    assert key.get_secret_value() == "of-now"
    assert again.config.backends["a"].models == loaded.config.backends["a"].models
    assert not any(b"of-then" in each.read_bytes() for each in kept.path.rglob("*.json"))
    assert (kept.path / "values.json").stat().st_mode & 0o777 == 0o600
    monkeypatch.delenv("SECRET")
    with pytest.raises(ConfigError, match=r"infergate\.yaml:1:.*no variable SECRET"):
        load_applied(home, path)


@pytest.mark.parametrize(
    "damage", [b"", b"[1]", b'{"sha256":', b'{"sha256": "other", "values": {}}', b"\xff"]
)
def test_values_that_are_damaged_or_of_another_text_do_not_count(home: Home, damage: bytes) -> None:
    kept = applied(home, 7)
    (kept.path / "values.json").write_bytes(damage)
    config = load_applied(home, home.root / "infergate.yaml").config
    assert config.backends["a"].url == "http://a:7"


def test_a_yaml_that_was_changed_since_goes_before_its_values(home: Home) -> None:
    kept = applied(home, 7)
    stored = json.loads((kept.path / "values.json").read_text())
    (kept.path / "infergate.yaml").write_text(YAML.format(8))
    assert stored["values"]["backends"] == {"a": "http://a:7"}
    config = load_applied(home, home.root / "infergate.yaml").config
    assert config.backends["a"].url == "http://a:8"
