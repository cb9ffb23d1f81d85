"""Who is let in, from where, how fast; and what those are told who are not."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.backends.servers import Scripted, free_port, scripted
from tests.backends.web_service import WebService, web_service
from tests.gateway import Gateway, gateway, until
from tests.wire import raw, status_of

PROXY, CLIENT = "127.0.0.2", "127.0.0.3"
"""Every address of 127.0.0.0/8 is ours: one is a trusted proxy, others are clients."""


PLAIN = ssl.create_default_context()
"""httpx reads the machine's certificates for each client without one."""


@dataclass
class Stack:
    it: Gateway
    web: WebService
    backend: Scripted

    def get(
        self, host: str, path: str = "/x", *, source: str = CLIENT, **headers: str
    ) -> httpx.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        with httpx.Client(transport=httpx.HTTPTransport(PLAIN, local_address=source)) as client:
            return client.get(self.it.url + path, headers={"Host": host, **named}, timeout=20)


@pytest.fixture(scope="module")
def stack(engine: str) -> Iterator[Stack]:
    with (
        scripted() as backend,
        web_service() as web,
        gateway(
            engine,
            f"""
backends: {{ a: {backend.url} }}
access:
  trusted_proxies: [{PROXY}]
  deny: [127.0.0.66, 203.0.113.9]
  deny_user_agents: [sqlmap]
limits:
  max_header: 4k
  slow_clients: {{ header: 2s, body: 2s }}
services:
  open: {{ url: {web.url}, host: open.test, auth: none }}
  lan: {{ url: {web.url}, host: lan.test, auth: none, access: {{ allow: [127.0.0.5] }} }}
  closed: {{ url: {web.url}, host: closed.test, auth: none, access: {{ deny: [{CLIENT}] }} }}
  robots:
    {{ url: {web.url}, host: robots.test, auth: none, access: {{ allow_user_agents: [n8n] }} }}
  reading: {{ url: {web.url}, path: /reading/, auth: none, access: {{ methods: [get, head] }} }}
  slow: {{ url: {web.url}, host: slow.test, auth: none, per_ip: {{ rate: 1r/m, burst: 2 }} }}
  few: {{ url: {web.url}, host: few.test, auth: none, per_ip: {{ connections: 1 }} }}
""",
        ) as it,
    ):
        yield Stack(it, web, backend)


def test_networks_are_denied_everywhere_or_at_one_service(stack: Stack) -> None:
    assert stack.get("open.test").status_code == 200
    assert stack.get("open.test", source="127.0.0.66").status_code == 403
    assert stack.get("x", "/v1/models", source="127.0.0.66").status_code == 403
    assert stack.get("closed.test").status_code == 403
    assert stack.get("closed.test", source="127.0.0.4").status_code == 200
    assert stack.get("lan.test").status_code == 403
    assert stack.get("lan.test", source="127.0.0.5").status_code == 200


def test_a_key_is_kept_to_some_networks_and_out_of_others(stack: Stack) -> None:
    key = stack.it.new_key("net", "--ip", "127.0.0.0/24", "--deny-ip", "127.0.0.7,127.0.0.8")
    authorization = {"Authorization": f"Bearer {key}"}
    assert stack.get("x", "/v1/models", **authorization).status_code == 200
    refused = stack.get("x", "/v1/models", source="127.0.0.8", **authorization)
    assert refused.json()["error"]["code"] == "address_not_allowed"
    only_out = stack.it.new_key("out", "--deny-ip", "127.0.0.7")
    for source, status in (("127.0.0.9", 200), ("127.0.0.7", 401)):
        answer = stack.get("x", "/v1/models", source=source, Authorization=f"Bearer {only_out}")
        assert answer.status_code == status


def test_user_agents_and_methods(stack: Stack) -> None:
    assert stack.get("open.test", User_Agent="a SQLmap b").status_code == 403
    assert stack.get("robots.test", User_Agent="n8n/1.2").status_code == 200
    assert stack.get("robots.test").status_code == 403
    assert stack.get("x", "/reading/x").status_code == 200
    refused = httpx.post(stack.it.url + "/reading/x")
    assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD")


def test_only_a_trusted_proxy_s_word_on_the_client_s_address_is_believed(stack: Stack) -> None:
    def seen(source: str, forwarded: str, **more: str) -> tuple[str, str]:
        answer = stack.get("open.test", source=source, X_Forwarded_For=forwarded, **more)
        if answer.status_code != 200:
            return str(answer.status_code), ""
        got = answer.json()["headers"]
        return got["x-forwarded-for"], got["x-forwarded-proto"]

    assert seen(CLIENT, "198.51.100.1", X_Forwarded_Proto="https") == (CLIENT, "http")
    assert seen(PROXY, "198.51.100.1", X_Forwarded_Proto="https") == ("198.51.100.1", "https")
    # What the client wrote before the proxy added its address does not count.
    assert seen(PROXY, "10.0.0.1, 198.51.100.1")[0] == "198.51.100.1"
    assert seen(PROXY, f"198.51.100.1, {PROXY}")[0] == "198.51.100.1"
    assert seen(PROXY, "203.0.113.9")[0] == "403"
    assert seen(PROXY, "nonsense")[0] == PROXY
    logged = [(each["status"], each["ip"]) for each in stack.it.log()]
    assert (403, "203.0.113.9") in logged


def test_one_address_gets_so_many_requests_and_another_its_own(stack: Stack) -> None:
    statuses = [stack.get("slow.test").status_code for _ in range(5)]
    assert statuses == [200, 200, 200, 429, 429]
    assert stack.get("slow.test", source="127.0.0.4").status_code == 200
    refused = stack.get("slow.test").json()
    assert refused["error"]["type"] == "rate_limit_error"


def test_one_address_gets_so_many_at_the_same_time(stack: Stack) -> None:
    with ThreadPoolExecutor(3) as pool:
        waiting = pool.submit(stack.get, "few.test", "/wait?s=3")
        until(lambda: any(each["path"] == "/wait?s=3" for each in stack.web.seen))
        assert stack.get("few.test").status_code == 429
        assert stack.get("few.test", source="127.0.0.4").status_code == 200
        assert waiting.result().status_code == 200
    # nginx sends the answer before it counts the request as ended.
    until(lambda: stack.get("few.test").status_code == 200)


def test_a_head_that_is_too_long_is_refused(stack: Stack) -> None:
    assert stack.get("open.test", X_Long="x" * 3000).status_code == 200
    refused = stack.get("open.test", X_Long="x" * 5000)
    assert (refused.status_code, refused.json()["error"]["type"]) == (431, "invalid_request_error")
    refused = stack.get("open.test", "/" + "x" * 5000)
    assert (refused.status_code, "too long" in refused.json()["error"]["message"]) == (414, True)


def test_slow_clients_are_hung_up_on_and_others_never_notice(stack: Stack) -> None:
    """Heads and bodies that drip: they end by the clock, however many bytes come."""
    begun = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n"
    body = begun + f"Authorization: Bearer {stack.it.key}\r\nContent-Length: 100000\r\n".encode()
    slow = []
    for start in (begun, body + b"\r\n") * 150:
        connection = socket.create_connection(("127.0.0.1", stack.it.port))
        connection.sendall(start)
        slow.append(connection)
    stop = threading.Event()

    def drip() -> None:
        while not stop.wait(0.5):
            for connection in slow[::2]:
                with contextlib.suppress(OSError):
                    connection.sendall(b"X-Drip: x\r\n")

    dripping = threading.Thread(target=drip)
    dripping.start()
    try:
        for _ in range(5):
            assert stack.it.chat().status_code == 200
        for connection in slow:
            connection.settimeout(20)
            try:
                answer = connection.recv(4096)
            except ConnectionResetError:
                answer = b""
            assert answer == b"" or status_of(answer) == 408
    finally:
        stop.set()
        dripping.join()
        for connection in slow:
            connection.close()


def test_a_browser_gets_a_page_and_a_program_json(stack: Stack) -> None:
    page = stack.get("closed.test", Accept="text/html,application/xhtml+xml,*/*;q=0.8")
    assert page.status_code == 403
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert page.headers["x-infergate-request-id"] in page.text
    assert "<h1>Not allowed</h1>" in page.text
    assert "nginx" not in page.text
    program = stack.get("closed.test", Accept="*/*")
    assert program.headers["content-type"] == "application/json"
    assert program.json()["error"]["type"] == "invalid_request_error"
    anthropic = httpx.post(stack.it.url + "/v1/messages", json={})
    assert anthropic.json()["type"] == "error"
    ollama = httpx.post(stack.it.url + "/api/chat", json={})
    assert isinstance(ollama.json()["error"], str)
    in_browser = stack.get("x", "/nowhere", Accept="text/html")
    assert (in_browser.status_code, "<h1>Not found</h1>" in in_browser.text) == (404, True)


@pytest.mark.long
def write_by_hand(enabled: Path, available: Path, port: int, url: str) -> None:
    """A site of the operator's own, and a location of the API's."""
    (enabled / "api.d").mkdir(parents=True)
    available.mkdir()
    (available / "mine.conf").write_text(
        f"server {{\n    listen 127.0.0.1:{port};\n    server_tokens on;\n"
        f"    location / {{ proxy_pass {url}; }}  # infergate: past-keys\n}}\n"
    )
    (enabled / "mine.conf").symlink_to(available / "mine.conf")
    (enabled / "api.d" / "hello.conf").write_text(
        'location = /hello {\n    return 200 "hello";\n}\n'
    )


def a_port_that_is_taken_is_told(it: Gateway, by_hand: Path) -> None:
    with socket.socket() as somebody:
        somebody.bind(("127.0.0.1", 0))
        somebody.listen()
        taken = somebody.getsockname()[1]
        more = by_hand / "more.conf"
        more.write_text(f"server {{\n    listen 127.0.0.1:{taken};\n}}\n")
        refused = it.run("apply", check=False)
        more.unlink()
    assert f"{more}:2: port {taken} is used by another program" in refused.stderr


@pytest.mark.long
def test_hosts_of_nobody_a_page_of_one_s_own_and_files_by_hand(engine: str) -> None:
    """All at one gateway, behind a proxy that speaks the PROXY protocol."""
    with (
        scripted() as backend,
        web_service() as web,
        gateway(engine, "backends: { a: http://x }", start=False) as it,
    ):
        own = it.folder / "own.html"
        own.write_text("<p>{{status}} {{message}} {{request_id}}{{unknown}}</p>")
        port = free_port()
        it.write(
            f"listen: {{ http: 127.0.0.1:{it.port}, hosts: [api.test], proxy_protocol: true }}\n"
            f"access: {{ trusted_proxies: [127.0.0.1] }}\n"
            f"errors: {{ page: own.html }}\n"
            f"backends: {{ a: {backend.url} }}\n"
            f"services: {{ open: {{ url: {web.url}, host: open.test, auth: none }} }}\n"
        )
        by_hand, available = it.home / "sites-enabled", it.home / "sites-available"
        write_by_hand(by_hand, available, port, backend.url)
        said = it.run("up", "--detach").stderr
        assert f"{by_hand}/mine.conf:3: tells nginx's version" in said
        assert "mine.conf:4: leads to the backend 'a' past keys" in said
        assert "mine.conf:1: `access` of infergate.yaml does not hold here" in said
        assert "hello.conf" not in said

        line = "PROXY TCP4 198.51.100.7 192.0.2.1 50000 80\r\n"

        def get(host: str, path: str, proxy: str = line) -> bytes:
            head = f"GET {path} HTTP/1.1\r\nHost: {host}\r\nAccept: text/html\r\n"
            return raw(it.port, proxy + head + "Connection: close\r\n\r\n")

        assert b"198.51.100.7" in get("open.test", "/x")
        assert status_of(get("open.test", "/x", proxy="")) != 200
        unknown = get("evil.test", "/x")
        assert status_of(unknown) == 421
        assert b"<p>421 There is nothing under this host name here. " in unknown
        assert b"{{unknown}}</p>" in unknown
        assert status_of(get("evil.test", "/healthz")) == 200
        assert status_of(get("api.test", "/v1/models")) == 401
        assert get("api.test", "/hello").endswith(b"hello")
        assert httpx.get(f"http://127.0.0.1:{port}/metrics").status_code == 200

        written = (available / "mine.conf").read_text()
        (available / "mine.conf").write_text(written.replace("# infergate: past-keys", ""))
        refused = it.run("apply", check=False)
        assert refused.returncode == 1
        assert f"{by_hand}/mine.conf:4: leads to the backend 'a' past keys" in refused.stderr
        (available / "mine.conf").write_text(written)
        a_port_that_is_taken_is_told(it, by_hand)
        assert httpx.get(f"http://127.0.0.1:{port}/metrics").status_code == 200

        # A mistake is told with the operator's own file and line, and changes nothing.
        (available / "mine.conf").write_text("server {\n    lisssten 1;\n}\n")
        refused = it.run("reload", check=False)
        assert refused.returncode == 1
        assert "mine.conf:2" in refused.stderr
        assert httpx.get(f"http://127.0.0.1:{port}/metrics").status_code == 200
        (by_hand / "mine.conf").unlink()
        it.run("reload")
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"http://127.0.0.1:{port}/metrics")
