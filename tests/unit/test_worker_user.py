"""Under root: who nginx's workers may be, and where the gateway may stand."""

from __future__ import annotations

import os
import pwd
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from infergate.config.load import parse_config
from infergate.errors import EngineError, UserError
from infergate.nginx import worker_user as module
from infergate.nginx.folders import own_folder, prepare_home
from infergate.nginx.worker_user import account, refuse_changeable, worker_user
from infergate.paths import Home
from infergate.state_folder import home_for

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives workers another user")

NOBODY = pwd.getpwnam("nobody")


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder of root's that everybody may pass."""
    with tempfile.TemporaryDirectory(prefix="ig-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def worker(home: Path, user: str = "nobody") -> str | None:
    loaded = parse_config(f"backends: {{ a: http://127.0.0.1:9 }}\nuser: {user}\n", Path("i.yaml"))
    return worker_user(loaded.config, Home(home))


def test_workers_are_a_user_without_rights(place: Path) -> None:
    assert worker(place / "home") == "nobody"


def test_root_as_the_workers_is_refused(place: Path) -> None:
    with pytest.raises(EngineError, match="may not be root") as refused:
        worker(place / "home", "root")
    assert "useradd --system" in str(refused.value)


def test_a_tier_whose_user_could_not_run_python_is_refused_and_nobody_waits_for_it(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (place / "closed").mkdir(mode=0o700)
    monkeypatch.setattr(module, "PYTHON", place / "closed" / "bin" / "python")
    text = "backends: { a: http://127.0.0.1:9 }\nuser: nobody\n"
    assert worker_user(parse_config(text, Path("i.yaml")).config, Home(place / "home")) == "nobody"
    with pytest.raises(EngineError, match="Python is below it") as refused:
        worker_user(parse_config(f"{text}api: {{}}\n", Path("i.yaml")).config, Home(place / "home"))
    assert str(place / "closed") in str(refused.value)


def test_a_folder_above_that_workers_may_not_enter_is_refused_and_not_answered_by_root(
    place: Path,
) -> None:
    (place / "closed").mkdir(mode=0o700)
    with pytest.raises(EngineError, match="may not enter") as refused:
        worker(place / "closed" / "home")
    assert refused.value.where == str(place / "closed")
    assert "INFERGATE_HOME=" in str(refused.value)
    (place / "link").symlink_to(place / "closed")
    with pytest.raises(EngineError, match="may not enter"):
        worker(place / "link" / "home")
    os.chown(place / "closed", 0, NOBODY.pw_gid)
    (place / "closed").chmod(0o710)
    assert worker(place / "closed" / "home") == "nobody", "by its group it may"


@pytest.mark.parametrize(("owner", "mode"), [(NOBODY.pw_uid, 0o755), (0, 0o777), (0, 0o775)])
def test_a_folder_above_that_workers_could_swap_is_refused(
    place: Path, owner: int, mode: int
) -> None:
    (place / "theirs").mkdir()
    os.chown(place / "theirs", owner, NOBODY.pw_gid)
    (place / "theirs").chmod(mode)
    with pytest.raises(EngineError, match="nobody may write here"):
        worker(place / "theirs" / "below" / "home")
    (place / "theirs" / "i.yaml").touch()
    with pytest.raises(EngineError, match="nobody may write here"):
        refuse_changeable(account("nobody"), place / "theirs" / "i.yaml")


def test_a_configuration_that_workers_could_write_is_refused(place: Path) -> None:
    file = place / "i.yaml"
    file.touch(mode=0o644)
    refuse_changeable(account("nobody"), file)
    file.chmod(0o666)
    with pytest.raises(EngineError, match="nobody may write here"):
        refuse_changeable(account("nobody"), file)


def test_root_does_nothing_in_the_state_folder_of_another_user(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = place / "home"
    monkeypatch.setenv("INFERGATE_HOME", str(home))
    assert home_for(place / "i.yaml").root == home, "there is none yet"
    home.mkdir()
    os.chown(home, NOBODY.pw_uid, NOBODY.pw_gid)
    with pytest.raises(UserError, match="belongs to nobody") as refused:
        home_for(place / "i.yaml")
    assert "sudo -u nobody" in str(refused.value)


def test_only_the_last_folder_belongs_to_a_worker(place: Path) -> None:
    home = Home(place / "home")
    prepare_home(home, "nobody")
    for folder in (home.root, *(path for path in home.root.rglob("*") if path.is_dir())):
        facts = folder.stat()
        assert facts.st_uid == (NOBODY.pw_uid if folder == home.waf_reports else 0), folder
        assert folder == home.waf_reports or not account("nobody").may(0o2, facts), folder


def test_a_state_folder_of_an_earlier_version_is_mended(place: Path) -> None:
    home, canary = Home(place / "home"), place / "canary"
    canary.mkdir(mode=0o755)
    home.run.mkdir(parents=True)
    for folder in (home.run / "temp", home.queue_socket.parent, home.cache, home.waf_reports):
        folder.mkdir(mode=0o700)
        (folder / "planted").symlink_to(canary)
        (folder / "scgi").mkdir()
        for path in (folder, folder / "scgi"):
            os.chown(path, NOBODY.pw_uid, NOBODY.pw_gid)
    prepare_home(home, "nobody")
    for folder, mode in ((home.run / "temp", 0o711), (home.queue_socket.parent, 0o710)):
        assert (folder.stat().st_uid, folder.stat().st_mode & 0o777) == (0, mode)
        assert {path.name for path in folder.iterdir()} == {"scgi"}
    assert (home.run / "temp" / "scgi").stat().st_uid == NOBODY.pw_uid
    assert (canary.stat().st_uid, canary.stat().st_mode & 0o777) == (0, 0o755)


def test_a_folder_that_is_a_link_is_refused(place: Path) -> None:
    home, canary = Home(place / "home"), place / "canary"
    canary.mkdir(mode=0o755)
    home.run.mkdir(parents=True)
    (home.run / "temp").symlink_to(canary)
    with pytest.raises(EngineError, match="is no folder of ours"):
        prepare_home(home, "nobody")
    with pytest.raises(EngineError, match="is no folder of ours"):
        own_folder(home.run / "temp")
    assert canary.stat().st_mode & 0o777 == 0o755


def test_a_cache_may_be_a_link_to_another_disk_that_workers_cannot_swap(place: Path) -> None:
    home, disk = Home(place / "home"), place / "disk"
    (disk / "cache").mkdir(parents=True)
    home.root.mkdir()
    home.cache.symlink_to(disk / "cache")
    prepare_home(home, "nobody")
    assert (disk / "cache").stat().st_mode & 0o777 == 0o711
    os.chown(disk, NOBODY.pw_uid, NOBODY.pw_gid)
    with pytest.raises(EngineError, match="nobody may write here"):
        prepare_home(home, "nobody")


def test_a_socket_folder_below_tmp_that_somebody_made_first_is_refused(place: Path) -> None:
    deep = Home(place / ("d" * 90) / "home")
    prepare_home(deep, "nobody")
    folder = deep.socket.parent
    assert deep.root not in folder.parents, "it has moved"
    folder.rmdir()
    folder.symlink_to(place)
    before = place.stat().st_mode
    try:
        with pytest.raises(EngineError, match="is no folder of ours"):
            prepare_home(deep, "nobody")
    finally:
        folder.unlink()
    assert place.stat().st_mode == before
    folder.mkdir()
    os.chown(folder, NOBODY.pw_uid, NOBODY.pw_gid)
    with pytest.raises(EngineError, match="belongs to another user"):
        prepare_home(deep, "nobody")
    folder.rmdir()
    deep.queue_socket.parent.rmdir()
