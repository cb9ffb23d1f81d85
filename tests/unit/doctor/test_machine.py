"""What can be wrong with the machine, our processes and our files is found, with the cure."""

from __future__ import annotations

import contextlib
import os
import socket
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from infergate.config.load import parse_config
from infergate.doctor import backends, machine, state
from infergate.doctor.backends import check_backends
from infergate.doctor.database import check_database
from infergate.doctor.listeners import check_listeners
from infergate.doctor.machine import check_clock, check_disk, check_limits
from infergate.doctor.names import check_names
from infergate.doctor.processes import check_processes, check_sockets
from infergate.doctor.state import check_certificates, check_state
from infergate.paths import Home
from tests.backends.private_ca import PrivateCa
from tests.backends.servers import free_port
from tests.unit.doctor.conftest import VLLM, about, config, engine, one


@pytest.mark.parametrize("inside", [True, False])
def test_loopback_in_a_container_is_the_container(
    inside: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backends, "in_container", lambda: inside)
    found = one({"url": f"http://127.0.0.1:{free_port()}"})
    assert found.what.endswith("connection refused")
    assert ("host.docker.internal" in found.mend) is inside


def test_whose_clock_is_wrong_is_told_by_how_many_agree() -> None:
    with engine(VLLM, ahead_s=3600) as a, engine(VLLM, ahead_s=3600) as b, engine(VLLM) as c:
        ours = list(check_backends(config({"a": a, "b": b, "c": c})))[-1]
        theirs = list(check_backends(config({"a": a, "c": c, "d": c})))[-1]
        none = list(check_backends(config({"c": c})))[-1]
    assert (ours.name, ours.severity) == ("clock.backends", "medium")
    assert "the clock of this machine is 3,6" in ours.what or "is 3,599 s behind" in ours.what
    assert "behind that of a" in ours.what
    assert (theirs.name, theirs.severity) == ("clock.a", "low")
    assert none.outcome == "good"


def test_a_clock_that_was_set_back_is_told(home: Home) -> None:
    home.access_log.write_text("")
    assert about("clock.set_back", check_clock(home)).outcome == "good"
    os.utime(home.access_log, (time.time() + 7200,) * 2)
    found = about("clock.set_back", check_clock(home))
    assert (found.outcome, "was set back" in found.what) == ("bad", True)


def test_names_of_services_that_do_not_resolve_are_told() -> None:
    found = list(
        check_names(
            config(
                {"a": "http://127.0.0.1:9"},
                "services: { s: { url: http://nowhere.invalid:1, host: s.test, auth: none } }\n",
            )
        )
    )
    assert [each.name for each in found] == ["dns.nowhere.invalid"]
    assert "of the service s" in found[0].what


@pytest.mark.parametrize(
    ("facts", "name", "severity"),
    [
        ({"f_bavail": 10}, "disk.space", "high"),
        ({"f_bavail": 20_000}, "disk.space", "medium"),
        ({"f_favail": 10}, "disk.inodes", "high"),
        ({"f_favail": 40_000}, "disk.inodes", "medium"),
        ({"f_flag": os.ST_RDONLY}, "disk.readonly", "high"),
    ],
)
def test_a_disk_that_is_full_or_read_only_is_told(
    facts: dict[str, int], name: str, severity: str, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    roomy = {
        "f_flag": 0, "f_bavail": 50_000_000, "f_blocks": 100_000_000, "f_frsize": 4096,
        "f_files": 1_000_000, "f_favail": 900_000,
    }  # fmt: skip
    monkeypatch.setattr(machine.os, "statvfs", lambda _: SimpleNamespace(**roomy))
    assert {each.outcome for each in check_disk(home)} == {"good"}
    monkeypatch.setattr(machine.os, "statvfs", lambda _: SimpleNamespace(**{**roomy, **facts}))
    found = [each for each in check_disk(home) if each.outcome == "bad"]
    assert [(each.name, each.severity) for each in found] == [(name, severity)]


def test_few_open_files_are_told_with_systemd_s_setting(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine.resource, "getrlimit", lambda _: (256, 1024))
    found = about("limits.nofile", check_limits(home))
    assert (found.outcome, "LimitNOFILE" in found.mend) == ("bad", True)
    monkeypatch.setattr(machine.resource, "getrlimit", lambda _: (1024, 524288))
    assert about("limits.nofile", check_limits(home)).outcome == "good"


def test_a_port_that_another_program_has_is_told(home: Home) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        taken = parse_config(
            f"backends: {{ a: http://127.0.0.1:9 }}\nlisten: 127.0.0.1:{port}\n",
            Path("infergate.yaml"),
            {},
        ).config
        found = about("ports", check_listeners(taken, home))
    assert f"port {port} is used by another program" in found.what
    assert "ss -ltnp" in found.mend
    assert about("ports", check_listeners(taken, home)).outcome == "good"


def test_a_process_of_an_earlier_start_is_told(home: Home) -> None:
    code = "import time; print(flush=True); time.sleep(600)"
    left = subprocess.Popen(
        [sys.executable, "-c", code, "infergate.control"], cwd=home.root, stdout=subprocess.PIPE
    )
    try:
        assert left.stdout is not None
        left.stdout.readline()
        left.stdout.close()
        # A child of ours; the doctor does not take its own for one of the gateway's.
        code = (
            "import sys; from pathlib import Path; from infergate.paths import Home; "
            "from infergate.doctor.processes import check_processes; "
            "print([(each.name, each.mend) for each in check_processes(Home(Path(sys.argv[1])))])"
        )
        ran = subprocess.run(
            [sys.executable, "-c", code, str(home.root)], capture_output=True, text=True, check=True
        )
        assert f"'process.{left.pid}'" in ran.stdout
        assert f"kill {left.pid}" in ran.stdout
    finally:
        left.kill()
        left.wait()
    assert about("process.left_over", check_processes(home)).outcome == "good"


def test_a_gateway_that_does_not_run_and_its_sockets_are_told(home: Home) -> None:
    assert about("process.gateway", check_processes(home)).mend == "infergate up"
    home.socket.parent.mkdir()
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(home.socket))
    name = f"socket.{home.socket.parent.name}.nginx"  # below a deep folder it moves
    found = about(name, check_sockets(home))
    assert (found.severity, "left behind" in found.what) == ("low", True)


def test_files_of_another_user_are_told(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = parse_config("backends: { a: http://127.0.0.1:9 }\n", home.root / "i.yaml", {})
    monkeypatch.setattr(state.os, "geteuid", lambda: 12345)
    found = about("state.owner", check_state(loaded, home))
    assert (found.outcome, found.mend.startswith("sudo chown -R 12345:")) == ("bad", True)


def test_a_damaged_state_file_is_told_with_the_way_to_be_rid_of_it(home: Home) -> None:
    (home.state / "health.json.unreadable").write_text("{")
    loaded = parse_config("backends: { a: http://127.0.0.1:9 }\n", home.root / "i.yaml", {})
    found = about("state.damaged", check_state(loaded, home))
    assert found.mend.endswith("health.json.unreadable'")


def test_a_database_that_cannot_be_read_is_told_and_not_touched(home: Home) -> None:
    plain = config({"a": "http://127.0.0.1:9"})
    assert list(check_database(plain, home)) == [], "there is none yet"
    with contextlib.closing(sqlite3.connect(home.store)) as made:
        made.execute("CREATE TABLE t (x)")
        made.executemany("INSERT INTO t VALUES (?)", [("x" * 1000,)] * 100)
        made.commit()
    (found,) = check_database(plain, home)
    assert found.outcome == "good"
    whole = home.store.read_bytes()
    for damaged in (b"x" * 5000, whole[:4096] + b"\xff" * (len(whole) - 4096), whole[:3000]):
        home.store.write_bytes(damaged)
        (found,) = check_database(plain, home)
        assert (found.outcome, found.severity) == ("bad", "high")
        assert home.store.read_bytes() == damaged


@pytest.mark.parametrize(("days", "severity"), [(-0.01, "high"), (3, "medium"), (60, "")])
def test_a_certificate_that_ends_is_told(
    days: float, severity: str, tmp_path: Path, home: Home
) -> None:
    pair = PrivateCa(tmp_path).issue("api.test", days=days)
    text = (
        "backends: { a: http://127.0.0.1:9 }\nlisten: { https: 127.0.0.1:1, hosts: [api.test] }\n"
        f"tls: {{ files: {{ certificate: {pair.certificate}, key: {pair.key} }} }}\n"
    )
    loaded = parse_config(text, tmp_path / "infergate.yaml", {})
    (found,) = check_certificates(loaded, home)
    assert (found.outcome, found.severity) == (("bad", severity) if severity else ("good", "high"))
