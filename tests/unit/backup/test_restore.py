"""A gateway comes back as it was, with what lies around it, and a crash leaves no half of it."""

from __future__ import annotations

import os
import shutil
import stat
import sys
from pathlib import Path

import pytest

from infergate.backup import swap
from infergate.backup.restore import opened
from infergate.backup.swap import finish_exchange
from infergate.backup.take import Taken, take
from infergate.config.load import LoadedConfig, load_config
from infergate.errors import StateError, StoreLost, UserError
from infergate.paths import Home
from infergate.state_folder import GENERATED_NAME
from infergate.store.database import database_for
from infergate.store.key_changes import create_key
from infergate.store.keys import all_keys
from tests.gateway import run_here

YAML = """
auth: { keys_file: keys/main.conf }
backends:
  a: { url: http://127.0.0.1:1, api_key: "${BACKEND_KEY}" }
  g: { discover: { file: OUTSIDE/servers.conf } }
tls: { files: { certificate: OUTSIDE/a.pem, key: OUTSIDE/a.key } }
listen: { http: 127.0.0.1:8080, https: 127.0.0.1:8443 }
waf: { mode: off, rules: OUTSIDE/rules }
errors: { page: gone.html }
"""


class Place:
    """A gateway's folder on a machine, with files around it."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("BACKEND_KEY", "k")
        self.folder, self.outside = folder / "gateway", folder / "etc"
        self.file, self.home = self.folder / "infergate.yaml", Home(folder / "gateway" / "home")
        (self.folder / "keys").mkdir(parents=True)
        (self.outside / "rules").mkdir(parents=True)
        self.backup = folder / "backup"
        (self.folder / "keys" / "main.conf").write_text("include more/*.conf;\n")
        (self.folder / "keys" / "more").mkdir()
        (self.folder / "keys" / "more" / "one.conf").write_text('"Bearer one-key" 1;\n')
        (self.folder / "gone.html").write_text("<h1>{{title}}</h1>")
        for name in ("a.pem", "a.key"):
            (self.outside / name).write_text(name)
        (self.outside / "servers.conf").write_text("server 127.0.0.1:2;\n")
        self.file.write_text(YAML.replace("OUTSIDE", str(self.outside)))
        for path in (self.home.state, self.home.tls / "acme", self.home.revisions / "3"):
            path.mkdir(parents=True)
        (self.home.state / "passwords").mkdir()
        (self.home.state / "passwords" / "n8n.1").write_text("a:$6$")
        (self.home.revisions / "3" / "infergate.yaml").write_text(self.file.read_text())
        (self.home.revisions / "3" / "revision.json").write_text(
            '{"number": 3, "at": 1.0, "engine": "nginx"}'
        )
        self.home.current.symlink_to("revisions/3")
        (self.home.tls / "ca.key").write_text("secret")
        (self.home.tls / "ca.key").chmod(0o600)
        (self.home.tls / "acme" / "lock").write_text("")
        create_key(self.database, "alice")

    @property
    def loaded(self) -> LoadedConfig:
        return load_config(self.file)

    @property
    def database(self):  # type: ignore[no-untyped-def]
        return database_for(self.loaded.config, self.home)

    def take(self, **options: bool) -> Taken:
        return take(self.loaded, self.home, self.backup, passphrase=None, **options)

    def restore(self, *, outside: bool = False) -> dict[str, str]:
        """What was said of each path."""
        with opened(self.backup, self.file, self.home, outside=outside, ask=lambda: "") as (
            plan,
            bring_back,
        ):
            bring_back()
        return {str(step.path): step.what for step in plan.steps}

    def everything(self) -> dict[str, str]:
        """Each file's text, but for what is put aside, what runs, and what is made anew."""
        return {
            str(path.relative_to(self.folder)): path.read_text(errors="replace")
            for path in sorted(self.folder.rglob("*"))
            if path.is_file()
            and not {"replaced", "run"} & set(path.parts)
            and "~" not in path.name
            and path.name not in ("lock", "n8n.1")
            and path.suffix not in (".db", ".lock", ".db-wal", ".db-shm")
        }

    def keys(self) -> list[str]:
        return [key.name for key in all_keys(self.database)]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    return Place(tmp_path, monkeypatch)


def test_files_that_the_yaml_names_come_along_with_what_they_include(place: Place) -> None:
    taken = place.take()
    assert [(each.setting, each.why) for each in taken.missing] == [
        ("waf.rules", "is a folder: bring it along yourself")
    ]
    before = place.everything()
    shutil.rmtree(place.folder)
    shutil.rmtree(place.outside)
    said = place.restore()
    assert said[str(place.outside / "a.key")] == "left", "what lies elsewhere is not touched"
    assert not place.outside.exists()
    after = place.everything()
    assert before == after
    assert stat.S_IMODE((place.home.tls / "ca.key").stat().st_mode) == 0o600
    assert place.home.current.readlink() == Path("revisions/3")
    place.restore(outside=True)
    assert (place.outside / "a.key").read_text() == "a.key"
    assert place.keys() == ["alice"]


def test_what_is_there_is_put_aside_and_the_plan_says_where(place: Place) -> None:
    place.take()
    create_key(place.database, "mallory")
    place.file.write_text("backends: { b: http://127.0.0.1:9 }\n")
    (place.folder / "keys" / "more" / "one.conf").write_text("# mine\n")
    shutil.copytree(place.home.state, place.home.cache)
    said = place.restore()
    assert said[str(place.file)] == "replaced"
    assert (place.folder / "infergate.yaml.~1~").read_text().startswith("backends: { b")
    assert (place.folder / "keys" / "more" / "one.conf.~1~").read_text() == "# mine\n"
    assert said[str(place.folder / "keys" / "main.conf")] == "same"
    assert place.keys() == ["alice"]
    (aside,) = (place.home.root / "replaced").iterdir()
    assert (aside / "state" / "store.db").is_file()
    assert place.home.cache.is_dir(), "kept answers are of this very gateway"


def test_kept_answers_of_another_gateway_are_given_to_nobody(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.take()
    place.home.cache.mkdir()
    place.home.logs.mkdir()
    place.home.access_log.write_text("{}\n")
    monkeypatch.setattr("socket.gethostname", lambda: "another")
    place.restore()
    assert not place.home.cache.exists()
    assert not place.home.access_log.exists(), "nor are its requests counted here"


def cut_off(place: Place, monkeypatch: pytest.MonkeyPatch, steps: int) -> bool:
    """Restore, and die before a rename more than so many; whether there was one more."""
    rename, left = Path.rename, steps

    def limited(self: Path, target: Path) -> Path:
        nonlocal left
        if not left:
            raise KeyboardInterrupt
        left -= 1
        return rename(self, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", limited)
        try:
            place.restore()
        except KeyboardInterrupt:
            return True
    return False


def test_one_that_was_cut_off_anywhere_is_finished_by_who_comes_next(
    place: Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    place.take()
    whole = place.everything()
    place.file.write_text("backends: { b: http://127.0.0.1:9 }\n")
    (place.home.tls / "ca.key").write_text("another")
    saved = tmp_path / "saved"
    shutil.copytree(place.folder, saved, symlinks=True)
    for steps in range(100):
        shutil.rmtree(place.folder)
        shutil.copytree(saved, place.folder, symlinks=True)
        if not cut_off(place, monkeypatch, steps):
            break
        assert swap.is_unfinished(place.home)
        assert finish_exchange(place.home)
        assert not finish_exchange(place.home)
        assert place.everything() == whole, f"cut off after {steps} of its steps"
        assert place.keys() == ["alice"]
    assert steps > 5


def test_up_finishes_one_that_was_cut_off(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.take()
    place.file.write_text("backends: { b: http://127.0.0.1:9 }\n")
    assert cut_off(place, monkeypatch, 3)
    monkeypatch.delenv("BACKEND_KEY")  # so that it ends before it starts anything
    code, said = command(place, "up")
    assert (code, "cut off is finished now" in said) == (2, True)
    assert "no variable BACKEND_KEY" in said
    assert not swap.is_unfinished(place.home)


def test_a_disk_that_refuses_at_the_start_leaves_all_as_it_was(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.take()
    place.file.write_text("backends: { b: http://127.0.0.1:9 }\n")
    before = place.everything()

    def full(*_arguments: object, **_options: object) -> None:
        raise StateError("cannot be written: No space left on device")

    monkeypatch.setattr(swap, "write_atomically", full)
    with pytest.raises(StateError):
        place.restore()
    assert place.everything() == before
    assert list(place.folder.rglob(".*restore*")) == []


def test_lines_that_nobody_has_counted_come_along_whole(place: Place) -> None:
    place.home.logs.mkdir()
    place.home.access_log.write_text('{"ts": 1}\n{"ts": 2}\n{"half')
    place.take()
    shutil.rmtree(place.home.root)
    place.restore()
    assert place.home.access_log.read_text() == '{"ts": 1}\n{"ts": 2}\n'
    place.home.access_log.write_text('{"ts": 1}\n{"ts": 2}\n{"ts": 3}\n')
    place.restore()
    assert place.home.access_log.read_text().count("\n") == 3, "what came since is counted, too"


def test_a_log_that_a_worker_made_endless_stops_no_backup_and_that_is_said(place: Place) -> None:
    place.home.logs.mkdir()
    place.home.access_log.write_text('{"ts": 1}\n')
    os.truncate(place.home.access_log, 1 << 42)
    old = place.home.logs / "access.log.1"
    old.write_text('{"ts": 0}\n')
    assert place.home.access_log in [each.path for each in place.take().missing]
    shutil.rmtree(place.home.root)
    place.restore()
    assert old.read_text() == '{"ts": 0}\n'


def test_postgresql_is_not_copied_and_that_is_said(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STORE", "postgresql://u:p@127.0.0.1:1/d")
    place.file.write_text(place.file.read_text() + 'store: "${STORE}"\n')
    with pytest.raises(UserError, match="PostgreSQL") as told:
        place.take()
    assert "pg_dump" in str(told.value)
    place.take(without_database=True)
    with opened(place.backup, place.file, place.home, outside=False, ask=lambda: "") as (plan, _):
        assert plan.manifest.tables is None


def test_a_database_that_is_gone_is_not_taken_for_one_that_never_was(place: Place) -> None:
    (place.home.state / "keys.json").write_text('{"keys": {"set": {"x": "y"}}}')
    place.home.store.unlink()
    with pytest.raises(StoreLost):
        place.take()
    assert not place.backup.exists()


def test_a_gateway_without_a_yaml_comes_back_into_its_state_folder(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    generated = place.home.root / GENERATED_NAME
    generated.write_text("backends: { b: http://127.0.0.1:9 }\n")
    take(load_config(generated), place.home, place.backup, passphrase=None)
    shutil.rmtree(place.folder)
    place.folder.mkdir()
    monkeypatch.chdir(place.folder)
    with opened(place.backup, None, place.home, outside=False, ask=lambda: "") as (plan, back):
        assert plan.config == generated
        back()
    assert generated.read_text() == "backends: { b: http://127.0.0.1:9 }\n"


def command(place: Place, *words: str) -> tuple[int, str]:
    environ = {"INFERGATE_HOME": str(place.home.root), "COLUMNS": "80"}
    ran = run_here([*words, "-c", str(place.file)], environ)
    return ran.returncode, ran.stdout + ran.stderr


def test_a_passphrase_is_never_an_argument_and_never_short(
    place: Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("INFERGATE_PASSPHRASE", "short")
    code, said = command(place, "backup", str(place.backup))
    assert (code, "fewer than 12" in said) == (2, True)
    monkeypatch.setenv("INFERGATE_PASSPHRASE", "correct horse battery")
    assert command(place, "backup", str(place.backup))[0] == 0
    monkeypatch.delenv("INFERGATE_PASSPHRASE")
    monkeypatch.setattr(sys, "stdin", open(os.devnull))  # noqa: PTH123, SIM115
    code, said = command(place, "restore", str(place.backup))
    assert (code, "--passphrase-file" in said) == (2, True)
    (tmp_path / "secret").write_text("correct horse battery\n")
    monkeypatch.delenv("BACKEND_KEY")
    code, said = command(
        place, "restore", str(place.backup), "--passphrase-file", str(tmp_path / "secret")
    )
    assert (code, "--apply does it" in said) == (0, True)
    assert "takes BACKEND_KEY from the environment" in said


def test_migrate_plans_and_brings_it_to_where_ssh_leads(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    ssh, log = tmp_path / "ssh", tmp_path / "log"
    # Another machine: the same command line, with a state folder of its own.
    ssh.write_text(
        f'#!/bin/sh\n[ "$1" = "-p22" ] && [ "$2" = "ops@b" ] || exit 9\necho "$3" >> {log}\n'
        f'case "$3" in *"up --detach"*) exit 0;; esac\n'
        f'INFERGATE_HOME={other}/home exec sh -c "$3"\n'
    )
    ssh.chmod(0o755)
    program = tmp_path / "there"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m infergate "$@"\n')
    program.chmod(0o755)
    words = ("migrate", "ops@b", "--to", str(other / "gw"), "--ssh", f"{ssh} -p22")
    code, said = command(place, *words, "--program", str(program))
    assert code == 0, said
    assert not (other / "home").exists()
    code, said = command(place, *words, "--program", str(program), "--apply")
    assert code == 0, said
    assert "It runs at ops@b too" in said
    assert (other / "gw" / "infergate.yaml").read_text() == place.file.read_text()
    assert (other / "home" / "state" / "store.db").is_file()
    assert log.read_text().splitlines()[-1].endswith(f"up --detach -c {other}/gw/infergate.yaml")
    assert list(place.home.root.glob(".migrate*")) == []
    code, said = command(place, "migrate", "-oProxyCommand=x", "--apply")
    assert code == 2
    code, said = command(place, "migrate", "ops@c", "--ssh", f"{ssh} -p22", "--apply")
    assert (code, "is as it was" in said) == (1, True)
