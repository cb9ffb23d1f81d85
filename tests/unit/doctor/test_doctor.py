"""Each thing that can be wrong is found by its cause, with the cure."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sqlite3
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from infergate.config.load import parse_config
from infergate.config.root import Config
from infergate.doctor import backends, machine, state
from infergate.doctor.backends import check_backends
from infergate.doctor.database import check_database
from infergate.doctor.examine import examine, is_well
from infergate.doctor.listeners import check_listeners
from infergate.doctor.machine import check_clock, check_disk, check_limits
from infergate.doctor.names import check_names
from infergate.doctor.processes import check_processes, check_sockets
from infergate.doctor.state import check_certificates, check_state
from infergate.hardening.check import Check, bad
from infergate.paths import Home
from tests.backends.private_ca import PrivateCa
from tests.backends.servers import free_port
from tests.gateway import run_here, until

MODELS = {"object": "list", "data": [{"id": "m", "owned_by": "vllm"}]}
VLLM: Mapping[str, Any] = {"/v1/models": MODELS, "/health": "", "/version": {"version": "0.11"}}
OLLAMA: Mapping[str, Any] = {
    "/api/version": {"version": "0.12"},
    "/api/tags": {"models": [{"name": "m:latest", "model": "m:latest"}]},
    "/api/ps": {"models": []},
    "/v1/models": {"object": "list", "data": [{"id": "m:latest", "owned_by": "library"}]},
}


@contextlib.contextmanager
def engine(
    answers: Mapping[str, Any],
    *,
    prefix: str = "",
    key: str | None = None,
    page: str | None = None,
    to: str | None = None,
    ahead_s: float = 0.0,
    tls: ssl.SSLContext | None = None,
) -> Iterator[str]:
    """Its URL. page: what it answers anywhere else; to: where it redirects to."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            said = answers.get(self.path.removeprefix(prefix))
            status, kind = (200, "application/json")
            body = json.dumps(said)
            if key is not None and self.headers.get("authorization") != f"Bearer {key}":
                status = 401
            elif to is not None:
                status = 307
            elif said is None or not self.path.startswith(prefix):
                status, kind, body = (404, kind, "{}") if page is None else (200, "text/html", page)
            self.send_response(status)
            for name, value in (
                ("Date", formatdate(time.time() + ahead_s, usegmt=True)),
                ("Content-Type", kind),
                ("Content-Length", str(len(body))),
                *([("Location", to)] if to else ()),
            ):
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body.encode())

        def send_response(self, code: int, message: str | None = None) -> None:
            self.send_response_only(code, message)

        def log_message(self, *arguments: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, *arguments: object) -> None:
            pass

    server = Server(("127.0.0.1", 0), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def home(tmp_path: Path) -> Home:
    found = Home(tmp_path / "home")
    for folder in (found.state, found.run, found.logs):
        folder.mkdir(parents=True, mode=0o700)
    return found


def config(backends: Mapping[str, Any], more: str = "") -> Config:
    text = f"backends: {json.dumps(backends)}\nlisten: 127.0.0.1:{free_port()}\n{more}"
    return parse_config(text, Path("infergate.yaml"), {"KEY": "right", "WRONG": "wrong"}).config


def about(name: str, checks: Iterator[Check]) -> Check:
    return next(each for each in checks if each.name == name)


def one(backend: Mapping[str, Any]) -> Check:
    return about("backend.a", check_backends(config({"a": backend})))


def test_an_engine_that_answers_is_well() -> None:
    with engine(VLLM) as vllm, engine(OLLAMA) as ollama, engine(VLLM, key="right") as closed:
        found = list(
            check_backends(
                config(
                    {
                        "a": vllm + "/v1",
                        "b": {"url": ollama, "engine": "ollama"},
                        "c": {"url": closed, "api_key": "${KEY}"},
                    }
                )
            )
        )
    assert [each.outcome for each in found] == ["good"] * 4
    assert "(vLLM)" in found[0].what
    assert "(Ollama)" in found[1].what


@pytest.mark.parametrize("path", ["/openai", "/openai/v1", "/v1/engines/m"])
def test_a_path_too_many_is_found_and_the_right_url_told(path: str) -> None:
    with engine(VLLM) as url:
        found = one({"url": url + path})
    assert (found.outcome, found.severity) == ("bad", "high")
    assert "a path too many" in found.what
    assert found.mend == f"Write {url}"


def test_a_path_that_the_engine_wants_is_none_too_many() -> None:
    with engine(VLLM, prefix="/openai") as url:
        assert one({"url": url + "/openai/v1"}).outcome == "good"
        found = one({"url": url + "/openai/v1/more"})
    assert found.mend == f"Write {url}/openai"


def test_a_url_as_far_as_an_endpoint_is_told_while_it_stands_in_the_file(
    tmp_path: Path, home: Home
) -> None:
    path = tmp_path / "infergate.yaml"
    path.write_text("backends: { a: http://127.0.0.1:9/v1/chat/completions }\n")
    found = about("config", examine(path, home))
    assert (found.outcome, found.severity) == ("bad", "high")
    assert "infergate.yaml:1:16" in found.what
    assert "http://127.0.0.1:9" in found.what


def test_http_and_https_are_told_apart(tmp_path: Path) -> None:
    pair = PrivateCa(tmp_path).issue("localhost")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(pair.certificate, pair.key)
    with engine(VLLM) as plain, engine(VLLM, tls=tls) as secure:
        wrong = plain.replace("http:", "https:")
        found = one({"url": wrong, "verify_tls": False})
        assert ("speaks http," in found.what, found.mend) == (True, f"Write {plain}")
        found = one({"url": secure.replace("https:", "http:")})
        assert ("speaks https," in found.what, found.mend) == (True, f"Write {secure}")
        found = one({"url": secure.replace("127.0.0.1", "localhost")})
        assert "not trusted" in found.what
        assert "verify_tls" in found.mend


def test_a_key_that_is_missing_or_refused_is_told() -> None:
    with engine(VLLM, key="right") as url:
        missing, refused = one({"url": url}), one({"url": url, "api_key": "${WRONG}"})
    assert "wants a key" in missing.what
    assert missing.mend == "Write `api_key: ${NAME}` under a."
    assert "refuses the key" in refused.what
    assert "wrong" not in refused.what + refused.mend


def test_the_key_goes_nowhere_but_where_the_file_says(tmp_path: Path) -> None:
    seen: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    caller, _ = listening.accept()
                    with caller:
                        caller.settimeout(5)
                        with contextlib.suppress(OSError):
                            seen.append(caller.recv(65536))

        threading.Thread(target=accept, daemon=True).start()
        url = f"https://localhost:{listening.getsockname()[1]}"
        assert one({"url": url, "api_key": "${KEY}"}).outcome == "bad"
        until(lambda: any(each.startswith(b"GET ") for each in seen))
    assert not [each for each in seen if b"right" in each]


def test_another_engine_than_the_file_says_is_told() -> None:
    with engine(OLLAMA) as url:
        found = one({"url": url, "engine": "vllm"})
    assert "the file says engine: vllm, and it is Ollama" in found.what
    assert "`engine: ollama`" in found.mend


def test_a_user_interface_and_a_redirect_are_no_engine() -> None:
    with engine({}, page="<html>Open WebUI</html>") as url:
        assert "web page" in one({"url": url}).what
    with engine({}, to="https://elsewhere.test/v1") as url:
        assert "redirect to https://elsewhere.test/v1" in one({"url": url}).what


def test_an_engine_without_a_model_is_told() -> None:
    with engine({**OLLAMA, "/api/tags": {"models": []}, "/v1/models": {"data": []}}) as url:
        found = one({"url": url, "engine": "ollama"})
    assert (found.severity, "ollama pull" in found.mend) == ("medium", True)


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
    found = about("socket.control.nginx", check_sockets(home))
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


def test_one_thing_that_cannot_be_looked_at_hides_no_other(
    tmp_path: Path, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(_: Home) -> Iterator[Check]:
        raise PermissionError(13, "Permission denied", "/somewhere")
        yield

    monkeypatch.setattr("infergate.doctor.examine.check_disk", refused)
    path = tmp_path / "infergate.yaml"
    path.write_text(f"backends: {{ a: http://127.0.0.1:9 }}\nlisten: 127.0.0.1:{free_port()}\n")
    found = {each.name: each for each in examine(path, home, offline=True)}
    assert (found["disk"].outcome, "/somewhere" in found["disk"].what) == ("unknown", True)
    assert "ports" in found


def test_what_is_low_is_no_illness() -> None:
    assert is_well([bad("a", "low", "", "")])
    assert not is_well([bad("a", "medium", "", "")])


def test_the_command_ends_with_3_and_says_each_cure_in_80_columns(
    tmp_path: Path, home: Home
) -> None:
    path = tmp_path / "infergate.yaml"
    path.write_text(f"backends: {{ a: http://127.0.0.1:9 }}\nlisten: 127.0.0.1:{free_port()}\n")
    environ = {"INFERGATE_HOME": str(home.root)}
    ran = run_here(["doctor", "-c", str(path)], environ)
    assert ran.returncode == 3
    assert "→ infergate up" in ran.stdout
    assert "backend.a" in ran.stdout
    wide = [line for line in ran.stdout.splitlines() if len(line) > 80 and "/" not in line]
    assert wide == []
    ran = run_here(["doctor", "--offline", "--json", "-c", str(path)], environ)
    said = json.loads(ran.stdout)
    assert (ran.returncode, said["well"]) == (3, False)
    wrong = [each for each in said["checks"] if each["outcome"] == "bad"]
    assert {each["name"] for each in wrong} >= {"process.gateway"}
    assert [each for each in wrong if not each["mend"] or "\n" in each["mend"]] == []
    assert not any(each["name"].startswith("backend") for each in said["checks"])
