"""The admin API of a gateway that runs: who it lets in, what dies with it, what it brings about."""

from __future__ import annotations

import os
import signal
import ssl
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from infergate.paths import Home
from tests.backends.servers import free_port, scripted
from tests.gateway import Gateway, gateway, run_here, until

CONFIG = """
backends: {{ a: {{ url: {a}, engine: vllm }}, b: {{ url: {b}, engine: vllm }} }}
models: {{ m: [a, b] }}
admin: {{ listen: 127.0.0.1:{port} }}
"""

Running = tuple[Gateway, httpx.Client, str]


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    """A gateway, its unix socket, and the URL of its TCP listener. nginx is not what is tested."""
    port = free_port()
    with (
        scripted(name="a") as a,
        scripted(name="b") as b,
        gateway("embedded", CONFIG.format(a=a.url, b=b.url, port=port), forked=False) as it,
    ):
        transport = httpx.HTTPTransport(uds=str(Home(it.home).admin_socket))
        with httpx.Client(transport=transport, base_url="http://localhost", timeout=30) as client:
            yield it, client, f"http://127.0.0.1:{port}"


def admin_process(it: Gateway) -> int | None:
    """The process that serves the admin API, by its command line."""
    for each in Path("/proc").iterdir():
        if each.name.isdigit():
            try:
                words = (each / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if b"infergate.admin" in words and str(it.file).encode() in words:
                return int(each.name)
    return None


@pytest.mark.long
def test_it_runs_from_the_first_request_on_and_again_when_it_dies(running: Running) -> None:
    it, client, url = running
    assert admin_process(it) is None, "who does not use it does not pay for it"
    assert client.get("/v1/status").json()["running"] is True
    before = until(lambda: admin_process(it))
    os.kill(before, signal.SIGKILL)
    # Nobody is refused meanwhile: who asks waits.
    assert httpx.get(f"{url}/v1/status", timeout=30).status_code == 401
    assert admin_process(it) not in (None, before)
    assert it.chat().status_code == 200


def test_the_socket_is_for_this_user_only_and_needs_no_token(running: Running) -> None:
    it, client, url = running
    socket = Home(it.home).admin_socket
    assert stat.S_IMODE(socket.stat().st_mode) == 0o600
    assert stat.S_IMODE(socket.parent.stat().st_mode) == 0o700
    client.post("/v1/teams", json={"name": "by-socket"}).raise_for_status()
    (entry,) = client.get("/v1/audit", params={"limit": 1}).json()["items"]
    assert "@" in entry["who"]
    assert entry["subject"] == "by-socket"
    assert httpx.get(f"{url}/v1/keys").status_code == 401
    assert client.get("/v1/keys", headers={"Authorization": "Bearer wrong"}).status_code == 401


def test_what_it_changes_counts_from_the_next_request_on(running: Running) -> None:
    it, client, _ = running
    key = client.post("/v1/keys", json={"name": "api", "models": ["m"]}).json()["key"]
    answer = it.chat(key=key)
    assert answer.status_code == 200
    client.post("/v1/keys/api/revoke").raise_for_status()
    assert it.chat(key=key).status_code == 401
    client.post("/v1/backends/a/drain").raise_for_status()
    client.post("/v1/backends/b/drain").raise_for_status()
    states = {each["name"]: each["state"] for each in client.get("/v1/status").json()["backends"]}
    assert states == {"a": "draining", "b": "draining"}
    client.post("/v1/backends/a/undrain").raise_for_status()
    client.post("/v1/backends/b/undrain").raise_for_status()
    weighed = client.put("/v1/backends/b/weight", json={"weight": 9}).json()
    assert (weighed["weight"], weighed["before"]) == (9, 1)
    listed = {each["name"]: each["weight"] for each in client.get("/v1/backends").json()["items"]}
    assert listed == {"a": 1, "b": 9}
    request = f"/v1/requests/{answer.headers['x-infergate-request-id']}"
    until(lambda: client.get(request).is_success)  # nginx writes its log a little late
    assert client.get(request).json()["entry"]["key"] == "api"


def test_the_file_is_applied_and_taken_back_from_elsewhere(running: Running) -> None:
    it, client, url = running
    token = it.run("admin", "token", "create", "ops", "--role", "full").stdout.strip()

    def there(*command: str) -> str:
        ran = run_here(["--url", url, *command], {"INFERGATE_TOKEN": token, "COLUMNS": "80"})
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    before = it.file.read_text()
    it.file.write_text(before + "limits: { requests_per_minute: 50000 }\n")
    assert "limits.requests_per_minute" in there("plan")
    assert "+limits:" in there("diff").replace("+ ", "+")
    assert "is active" in there("apply", "--window", "0s")
    assert client.get("/v1/status").json()["file_applied"] is True
    assert "is active" in there("rollback")
    assert client.get("/v1/status").json()["file_applied"] is False
    newest = client.get("/v1/history", params={"limit": 2}).json()["items"]
    assert [each["who"] for each in newest] == ["token ops", "token ops"]
    assert newest[0]["in_force"]
    it.file.write_text("backends: 7\n")
    wrong = client.get("/v1/plan")
    assert (wrong.status_code, "infergate.yaml:1:11" in wrong.json()["detail"]) == (409, True)
    assert client.get("/v1/keys").is_success, "what is active holds"
    it.file.write_text(before)


@pytest.mark.long
def test_beyond_this_machine_it_speaks_tls(start: Callable[..., Any]) -> None:
    a, port, https = start(scripted, name="a"), free_port(), free_port()
    config = (
        f"listen: {{ https: 127.0.0.1:{https}, hosts: [gateway.lan] }}\n"
        f"tls: {{ self_signed: true }}\nbackends: {{ a: {a.url} }}\n"
        f"admin: {{ listen: 0.0.0.0:{port} }}\n"
    )
    it = start(gateway, "embedded", config, start=False)
    it.run("up", "--detach")
    secret = it.run("admin", "token", "create", "--role", "read").stdout.strip()
    certificate = Home(it.home).ca
    trusted = ssl.create_default_context(cafile=certificate)
    headers = {"Authorization": f"Bearer {secret}", "Host": "gateway.lan"}
    with httpx.Client(verify=trusted, headers=headers, timeout=30) as client:
        answer = client.get(
            f"https://127.0.0.1:{port}/v1/status", extensions={"sni_hostname": "gateway.lan"}
        )
    assert answer.json()["running"] is True
    with pytest.raises(httpx.HTTPError):
        httpx.get(f"http://127.0.0.1:{port}/v1/status", headers=headers, timeout=30)


def test_a_port_that_is_taken_is_told_before_anything_runs(start: Callable[..., Any]) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        config = f"backends: {{ a: http://127.0.0.1:9 }}\nadmin: {{ listen: 127.0.0.1:{port} }}\n"
        it = start(gateway, "embedded", config, start=False)
        ran = it.run("up", "--detach", check=False)
    assert ran.returncode == 1
    assert f"admin.listen: port {port} is used by another program" in ran.stderr
