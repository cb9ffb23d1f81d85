"""TLS, services next to the models, limits for everybody, and changes that do not work."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from infergate.config.load import load_config
from infergate.engine.choose import choose_engine
from infergate.errors import ApplyError
from infergate.live.apply import apply
from infergate.paths import Home
from tests.backends.servers import free_port, scripted
from tests.engine.conftest import Pair
from tests.gateway import gateway
from tests.wire import http2_status


@pytest.mark.long
def test_https_with_a_self_signed_certificate_http2_and_a_redirect(
    engine: str, start: Callable[..., Any]
) -> None:
    a, http, https = start(scripted), free_port(), free_port()
    it = start(
        gateway,
        engine,
        f"listen: {{ http: 127.0.0.1:{http}, https: 127.0.0.1:{https}, hosts: [localhost] }}\n"
        f"access: {{ trusted_proxies: [127.0.0.2] }}\n"
        f"tls: {{ self_signed: true, hsts: true, http2: true }}\nbackends: {{ a: {a.url} }}\n"
        f"services: {{ web: {{ url: {a.url}, host: web.test, auth: none }} }}\n",
    )
    authority = ssl.create_default_context(cafile=str(it.home / "public" / "ca.crt"))
    with httpx.Client(verify=authority, http2=True) as client:
        answer = client.post(
            f"https://localhost:{https}/v1/chat/completions",
            headers=it.headers(),
            json={"model": "m"},
        )
        web = client.get(
            f"https://localhost:{https}/version", headers={"Host": f"web.test:{https}"}
        )
    assert (web.status_code, web.http_version) == (200, "HTTP/2")
    seen = a.requests("/version")[-1]["headers"]
    assert (seen["host"], seen["x-forwarded-proto"]) == (f"web.test:{https}", "https")
    assert (answer.status_code, answer.http_version) == (200, "HTTP/2")
    # What HTTP/2 does not know (RFC 9113, 8.2.2) is refused, or reaches nobody.
    for name, value in (("upgrade", "websocket"), ("connection", "upgrade"), ("te", "gzip")):
        pseudo = [(":method", "GET"), (":scheme", "https"), (":authority", "web.test")]
        asked = [*pseudo, (":path", f"/version?{name}"), (name, value)]
        assert http2_status(https, authority, "localhost", asked) in (200, 400), name
        for seen in a.requests(f"/version?{name}"):
            assert not {"upgrade", "te"} & set(seen["headers"]), name
            assert seen["headers"].get("connection", "keep-alive") != "upgrade"
    redirect = httpx.post(f"http://localhost:{http}/v1/chat/completions", json={})
    assert redirect.status_code == 308
    assert redirect.headers["location"] == f"https://localhost:{https}/v1/chat/completions"
    # What a proxy got by https comes by http, and is answered; nobody else's word counts.
    by_proxy = httpx.HTTPTransport(local_address="127.0.0.2")
    with httpx.Client(transport=by_proxy, base_url=f"http://127.0.0.1:{http}") as proxy:
        for host, path in (("localhost", "/v1/models"), ("web.test", "/version")):
            for said, status in (
                *(("https", 200), ("http", 308), (None, 308)),
                # Of several proxies the first has seen the client.
                *(("https, http", 200), ("https,https", 200), ("http, https", 308)),
            ):
                headers = {**it.headers(), "Host": host} | (
                    {"X-Forwarded-Proto": said} if said else {}
                )
                answer = proxy.get(path, headers=headers)
                assert answer.status_code == status, (host, said)
                assert ("strict-transport-security" in answer.headers) == (status == 200)
        assert a.requests("/version")[-1]["headers"]["x-forwarded-proto"] == "https"
        assert proxy.get("/healthz", headers={"Host": "localhost"}).status_code == 200
        assert proxy.get("/ca.crt", headers={"Host": "web.test"}).status_code == 200
    untrusted = httpx.get(
        f"http://localhost:{http}/v1/models",
        headers={**it.headers(), "X-Forwarded-Proto": "https"},
    )
    assert untrusted.status_code == 308
    keys = [*(it.home / "tls").glob("self-signed-*.pem"), it.home / "tls" / "ca.key"]
    assert len(keys) == 2
    assert all(key.stat().st_mode & 0o077 == 0 for key in keys)


@pytest.mark.long
def test_services_by_path_and_by_host(engine: str, start: Callable[..., Any]) -> None:
    a, qdrant, n8n = start(scripted), start(scripted, name="q"), start(scripted, name="n")
    it = start(
        gateway,
        engine,
        f"""
backends: {{ a: {a.url} }}
services:
  qdrant: {{ url: {qdrant.url}, path: /qdrant/ }}
  n8n: {{ url: {n8n.url}, host: n8n.test, auth: none }}
""",
    )
    assert httpx.get(it.url + "/qdrant/version").status_code == 401
    assert it.get("/qdrant/version").json() == {"status": "ok", "version": "0.0.1"}
    seen = qdrant.requests("/version")[-1]["headers"]
    assert not {"authorization", "x-api-key", "api-key"} & set(seen)
    assert httpx.get(it.url + "/version", headers={"Host": "n8n.test"}).status_code == 200
    assert n8n.requests("/version")[-1]["headers"]["host"] == "n8n.test"
    # Out of a service's path there is no way into another one.
    for path in ("/qdrant/../healthz", "/qdrant/%2e%2e/v1/models", "/v1/../qdrant/version"):
        raw = socket.create_connection(("127.0.0.1", it.port))
        raw.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        status = raw.makefile("rb").readline().split()[1]
        assert status in (b"200", b"401", b"404"), path
    assert all(".." not in each["path"] for each in qdrant.requests("/"))


@pytest.mark.long
def test_who_is_not_let_in_is_told_so_in_the_dialect(
    engine: str, start: Callable[..., Any]
) -> None:
    a = start(scripted)
    it = start(
        gateway,
        engine,
        f"""
backends: {{ a: {a.url} }}
access: {{ deny_user_agents: [sqlmap] }}
limits: {{ per_ip: {{ rate: 1r/m, burst: 2 }} }}
""",
    )
    denied = httpx.get(it.url + "/v1/models", headers={"User-Agent": "a SQLmap b"})
    assert (denied.status_code, denied.json()["error"]["type"]) == (403, "invalid_request_error")
    answers = [it.get("/v1/models") for _ in range(5)]
    assert answers[-1].status_code == 429
    assert answers[-1].json()["error"]["type"] == "rate_limit_error"


@pytest.mark.long
def test_a_configuration_that_nginx_cannot_run_leaves_the_old_one(pair: Pair) -> None:
    it, a, b = pair
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        it.write(
            f"listen: 127.0.0.1:{taken.getsockname()[1]}\nbackends: {{ a: {a.url}, b: {b.url} }}\n"
        )
        result = it.run("reload", check=False)
        assert result.returncode == 1
        assert "is used by another program" in result.stderr
        # And where nobody has looked before: nginx is asked whether it runs with it.
        loaded, home = load_config(it.file), Home(it.home)
        engine = choose_engine(it.engine, it.home).engine
        with pytest.raises(ApplyError, match="active again") as refused:
            apply(loaded, home, engine)
        assert "bind()" in str(refused.value)
    assert it.chat().status_code == 200


def test_a_configuration_with_a_mistake_is_not_taken_at_all(pair: Pair) -> None:
    it, _, _ = pair
    it.write("backends: { a: http://x:1, a: http://y:1 }\n")
    result = it.run("reload", check=False)
    assert result.returncode == 2
    assert "infergate.yaml:4:" in result.stderr
    assert it.chat().status_code == 200


def test_a_taken_port_is_told_before_anything_starts(
    engine: str, start: Callable[..., Any]
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        it = start(
            gateway,
            engine,
            f"listen: 127.0.0.1:{taken.getsockname()[1]}\nbackends: {{ a: http://127.0.0.1:1 }}\n",
            start=False,
        )
        result = it.run("up", "--detach", check=False)
    assert result.returncode == 1
    assert "is used by another program" in result.stderr
    assert set(it.status()["processes"].values()) == {None}


@pytest.mark.long
def test_a_state_folder_with_spaces_works_and_one_that_nginx_cannot_be_told_is_refused(
    engine: str, start: Callable[..., Any]
) -> None:
    a = start(scripted)
    it = start(gateway, engine, f"backends: {{ a: {a.url} }}\n", start=False)
    engines = it.home / "engines"
    for name in ("my state {x}", "a$b"):
        it.home = it.folder / name
        it.home.mkdir()
        if engines.exists():
            (it.home / "engines").symlink_to(engines.resolve())
        result = it.run("up", "--detach", check=False)
        if "$" in name:
            assert result.returncode == 1
            assert name in result.stderr
        else:
            assert result.returncode == 0, result.stderr
            it.key = it.new_key("test")
            assert it.chat().status_code == 200
            it.run("down", "--now")
