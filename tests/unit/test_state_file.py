"""A state file that is damaged, however, counts as none and is set aside."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from infergate.certificates.report import read_report as read_certificates
from infergate.control.report import read_inventories, read_report
from infergate.control.services import read_services
from infergate.engine.running import _NOTE as NOTE_OF_ENGINE
from infergate.engine.running import running_engine
from infergate.ledger.status import read_status
from infergate.live.drain import drain
from infergate.live.revisions import current, forget_old, next_number, revisions
from infergate.loops import read_failing
from infergate.nginx.folders import prepare_home
from infergate.nginx.zones import _entries
from infergate.paths import Home
from infergate.state.in_force import read_changes, read_groups
from infergate.state.publish import _conditions
from infergate.state_file import set_aside
from infergate.supervise.followed import last_followed

DAMAGES = {
    "empty": b"",
    "half": b'{"v": 1, "changes": [{"backe',
    "another shape": b'{"changes": 7, "groups": [], "backends": [], "number": 1}',
    "a list": b"[1]",
    "no text": b"\xff\xfe\x00{}",
    "deep": b"[" * 200_000,
}

READERS: dict[str, tuple[Callable[[Home], Path], Callable[[Home], object]]] = {
    "conditions": (lambda home: home.conditions_snapshot, _conditions),
    "changes": (lambda home: home.changes, read_changes),
    "discovered": (lambda home: home.discovered, read_groups),
    "health": (lambda home: home.health, lambda home: read_report(home.health)),
    "inventories": (lambda home: home.health, lambda home: read_inventories(home.health)),
    "services": (lambda home: home.services, lambda home: read_services(home.services)),
    "certificates": (
        lambda home: home.certificates,
        lambda home: read_certificates(home.certificates),
    ),
    "old workers": (lambda home: home.run / "old-workers.json", lambda home: drain(home).workers),
}


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path)
    prepare_home(home, None)
    return home


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
def test_a_damaged_state_file_counts_as_none_and_is_set_aside(
    home: Home, reader: tuple[Callable[[Home], Path], Callable[[Home], object]], damage: bytes
) -> None:
    path, read = reader[0](home), reader[1]
    path.write_bytes(damage)
    assert not read(home)
    assert not path.exists()
    assert path.with_name(f"{path.name}.unreadable").read_bytes() == damage


def test_a_folder_in_a_state_file_s_place_is_set_aside_every_time(home: Home) -> None:
    path = home.conditions_snapshot
    for _ in range(3):
        (path / "notes").mkdir(parents=True)
        assert not _conditions(home)
        assert not path.exists()
    assert len(set_aside(path.parent)) == 3
    path.write_text("{")
    assert not _conditions(home)
    assert len(set_aside(path.parent)) == 4


def test_a_link_to_itself_in_a_state_file_s_place_is_set_aside(home: Home) -> None:
    path = home.conditions_snapshot
    path.symlink_to(path.name)
    assert not _conditions(home)
    assert not path.is_symlink()
    assert len(set_aside(path.parent)) == 1


NOTES: dict[str, Callable[[Home], tuple[Path, Callable[[], object]]]] = {
    "ledger": lambda home: (home.ledger, lambda: read_status(home.ledger)),
    "loops": lambda home: (home.loops, lambda: read_failing(home.loops)),
    "followed": lambda home: (home.followed, lambda: last_followed(home)),
    "engine": lambda home: (home.root / NOTE_OF_ENGINE, lambda: running_engine(home.root)),
}
"""What running processes say of themselves; each writes its own anew within moments."""


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
@pytest.mark.parametrize("note", NOTES.values(), ids=NOTES)
def test_a_damaged_note_of_a_process_counts_as_none(
    home: Home, note: Callable[[Home], tuple[Path, Callable[[], object]]], damage: bytes
) -> None:
    path, read = note(home)
    path.write_bytes(damage)
    assert not read()


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_revision_with_a_damaged_record_is_one_by_its_files(home: Home, damage: bytes) -> None:
    folder = home.revisions / "3"
    folder.mkdir()
    (folder / "infergate.yaml").write_text("backends: {}")
    (folder / "revision.json").write_bytes(damage)
    home.current.symlink_to("revisions/3")
    found = current(home)
    assert found is not None
    assert found.number == 3
    assert current(home) == found  # written down anew
    assert (folder / "revision.json.unreadable").read_bytes() == damage


def test_strange_files_beside_the_revisions_stay_and_disturb_nobody(home: Home) -> None:
    strange = [home.revisions / name for name in ("7", "notes.txt", "\u00b2")]
    for path in strange:
        path.write_text("mine")
    forget_old(home)
    assert revisions(home) == ()
    assert next_number(home) == 8
    assert all(path.read_text() == "mine" for path in strange)


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_zones_are_measured_without_a_damaged_snapshot(home: Home, damage: bytes) -> None:
    home.keys_snapshot.write_bytes(damage)
    assert _entries(home.keys_snapshot, "keys") == {}
