"""A WebSocket lasts as long as its key may use the service or the model, and no longer."""

from __future__ import annotations

import base64
import http.client
import json
import os
import socket
import struct
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from infergate.nginx import zones
from infergate.paths import Home
from tests.backends.servers import scripted
from tests.backends.web_service import WebService, web_service
from tests.engine.failing import Failing
from tests.gateway import Gateway, gateway, until


@dataclass
class Stack:
    it: Gateway
    web: WebService

    def key(self, name: str, *options: str) -> str:
        answer = self.it.run("keys", "create", name, "--json", *options)
        return str(json.loads(answer.stdout)["key"])


@pytest.fixture(scope="module")
def stack(engine: str) -> Iterator[Stack]:
    with (
        web_service() as web,
        scripted() as plain,
        gateway(
            engine,
            f"""
backends:
  a: {{ url: {web.url}, engine: vllm, websocket: true }}
  gone: {{ url: http://127.0.0.1:9, engine: vllm }}
models: {{ m: {{ backends: [a], aliases: [called] }}, nobody-s: [gone] }}
auth: {{ key_in_query: true }}
services:
  dead: {{ url: http://127.0.0.1:9, path: /dead/ }}
  below: {{ url: {web.url}, path: /below/ }}
  host: {{ url: {web.url}, host: host.test }}
  plain: {{ url: {plain.url}, path: /plain/ }}
""",
        ) as it,
    ):
        yield Stack(it, web)


class Opened:
    """One WebSocket."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection

    def says(self, text: str) -> str:
        payload, mask = text.encode(), os.urandom(4)
        masked = bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))
        self.connection.sendall(bytes([0x81, 0x80 | len(payload)]) + mask + masked)
        return self.connection.recv(2 + len(payload))[2:].decode()

    def leaves(self) -> None:
        """A frame that says so, which the service answers with its end."""
        self.connection.sendall(bytes([0x88, 0x80, 0, 0, 0, 0]))

    def is_closed(self, within_s: float) -> bool:
        self.connection.settimeout(within_s)
        try:
            return self.connection.recv(1) == b""
        except ConnectionResetError:
            return True
        except TimeoutError:
            return False


@contextmanager
def opened(it: Gateway, key: str, path: str = "/below/ws", host: str = "x") -> Iterator[Opened]:
    nonce = base64.b64encode(os.urandom(16)).decode()
    with socket.create_connection(("127.0.0.1", it.port), 10) as connection:
        connection.sendall(
            f"GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Authorization: Bearer {key}\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {nonce}\r\n\r\n".encode()
        )
        head = b""
        while b"\r\n\r\n" not in head:
            piece = connection.recv(1)
            assert piece, head
            head += piece
        assert head.startswith(b"HTTP/1.1 101 "), head
        yield Opened(connection)


@pytest.mark.long
def test_a_websocket_from_before_a_reload_ends_with_its_key_too(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(stack.it, stack.key("before")) as it:
        # With zones of another size the old worker has another memory from now on.
        usual = zones._mb
        monkeypatch.setattr(zones, "_mb", lambda *sizes: 2 * usual(*sizes))
        stack.it.run("reload")
        assert "ig_keys:32m" in (stack.it.home / "current" / "nginx.conf").read_text()
        assert it.says("hello") == "hello"
        stack.it.run("keys", "revoke", "before")
        assert it.is_closed(within_s=10)


@pytest.mark.parametrize(
    "ending",
    [
        ("keys", "revoke", "{name}"),
        ("keys", "set", "{name}", "--services", "host"),
        ("keys", "set", "{name}", "--ip", "192.0.2.0/24"),
    ],
    ids=["revoked", "not for this service", "not from here"],
)
def test_a_websocket_ends_with_what_let_it_in(stack: Stack, ending: tuple[str, ...]) -> None:
    name = f"ending-{ending[1]}-{ending[-1][:3].strip('{')}"
    with opened(stack.it, stack.key(name)) as it, opened(stack.it, stack.it.key) as other:
        assert it.says("hello") == "hello"
        stack.it.run(*(part.format(name=name) for part in ending))
        assert it.is_closed(within_s=10)
        assert other.says("still here") == "still here"


@pytest.mark.parametrize("path", ["/v1/realtime?model=m", "/v1/realtime?model=called"])
def test_a_websocket_to_a_model_ends_with_its_key(stack: Stack, path: str) -> None:
    name = f"realtime-{path[-1]}"
    key = stack.key(name, "--models", path.partition("=")[2])
    with opened(stack.it, key, path) as it, opened(stack.it, stack.it.key, path) as other:
        assert it.says("hello") == "hello"
        stack.it.run("keys", "set", name, "--models", "other")
        assert it.is_closed(within_s=60)
        assert other.says("still here") == "still here"
    until(lambda: stack.it.backend("a")["in_flight"] == 0)


def test_a_websocket_to_a_model_keeps_a_key_that_came_in_its_address(stack: Stack) -> None:
    key = stack.key("address")
    with opened(stack.it, "dummy", f"/v1/realtime?key={key}&model=m") as it:
        assert it.says("hello") == "hello"
        assert not it.is_closed(within_s=2), "it was looked at several times"
        stack.it.run("keys", "revoke", "address")
        assert it.is_closed(within_s=60)


def test_a_websocket_on_responses_ends_when_its_key_is_held_to_something(stack: Stack) -> None:
    with opened(stack.it, stack.key("codex"), "/v1/responses") as it:
        assert it.says("hello") == "hello"
        stack.it.run("keys", "set", "codex", "--rpm", "9")
        assert it.is_closed(within_s=60)


@pytest.mark.parametrize("path", ["/dead/ws", "/v1/realtime?model=nobody-s"])
def test_a_websocket_that_nobody_answers_is_over_with_the_error(stack: Stack, path: str) -> None:
    """Another request may follow on the connection, and the log has both."""
    ask = (
        f"GET {path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Authorization: Bearer {stack.it.key}\r\n\r\n"
    )
    before = [each["status"] for each in stack.it.log()].count(502)
    with socket.create_connection(("127.0.0.1", stack.it.port), 60) as connection:
        answers = connection.makefile("rb")
        for _ in range(2):
            connection.sendall(ask.encode())
            status, head = answers.readline(), http.client.parse_headers(answers)
            assert status.split()[1] == b"502"
            assert b"server_error" in answers.read(int(head["Content-Length"]))
    until(lambda: [each["status"] for each in stack.it.log()].count(502) == before + 2)


def test_a_websocket_ends_when_its_key_expires(stack: Stack) -> None:
    key = stack.key("short", "--expires", "4s")
    with opened(stack.it, key, "/ws", "host.test") as it:
        assert it.says("hello") == "hello"
        assert it.is_closed(within_s=30)


def test_a_websocket_that_its_client_leaves_leaves_nothing_behind(stack: Stack) -> None:
    def inside() -> int:
        """Connections to the internal server; each worker keeps a few idle ones."""
        lines = Path("/proc/net/unix").read_text().splitlines()
        return sum(line.endswith(str(Home(stack.it.home).queue_socket)) for line in lines)

    def ended() -> int:
        return sum(each["status"] == 101 for each in stack.it.log())

    most, before = 0, ended()
    for turn, how in enumerate(("closed", "reset", "closed", "reset"), start=1):
        with ExitStack() as several:
            for _ in range(8):
                it = several.enter_context(opened(stack.it, stack.it.key))
                assert it.says("hello") == "hello"
                if how == "reset":
                    linger = struct.pack("ii", 1, 0)
                    it.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            most = most or inside()
        until(lambda turn=turn: ended() == before + 8 * turn)  # type: ignore[misc]
    assert most >= 16, "each has a request that waits, and one for its turn"
    assert inside() <= 2 * most, "those of before were ended, or are idle and taken again"


def test_a_websocket_s_address_is_the_service_s(stack: Stack) -> None:
    for path, seen in (("/below/a%20b/ws?c=d", "/a%20b/ws?c=d"), ("/below/", "/")):
        with opened(stack.it, stack.it.key, path) as it:
            assert it.says("hello") == "hello"
        assert stack.web.last()["path"] == seen
    with opened(stack.it, stack.it.key, "/x/a%2fb/%C3%A4?q", "host.test"):
        assert stack.web.last()["path"] == "/x/a%2fb/%C3%A4?q"


def test_a_service_that_speaks_no_websocket_answers_as_ever(stack: Stack) -> None:
    sent = (
        f"GET /plain/version HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
        f"Connection: Upgrade\r\nAuthorization: Bearer {stack.it.key}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", stack.it.port), 10) as connection:
        for _ in range(2):  # and the connection goes on
            connection.sendall(sent.encode())
            answer = b""
            while b"0.0.1" not in answer:
                piece = connection.recv(65536)
                assert piece
                answer += piece
            assert answer.startswith(b"HTTP/1.1 200 "), answer


@pytest.fixture(scope="module")
def failing(stack: Stack) -> Failing:
    functions = {
        "websocket.js": ["websocket_end$ended", "websocket_end$over"],
        "watch.js": ["watch$look", "watch$mayGoOn"],
        "watching.js": ["watching$untilItMayNot"],
    }
    return Failing(stack.it, functions)


@pytest.mark.parametrize("who", ["client", "service", "key"])
def test_a_websocket_whose_end_cannot_be_told_ends_and_is_logged(
    stack: Stack, failing: Failing, who: str
) -> None:
    name = f"untold-{who}"
    with failing("websocket_end$over"), opened(stack.it, stack.key(name)) as it:
        assert it.says("hello") == "hello"
        if who == "client":
            it.connection.close()
        elif who == "service":
            it.leaves()
        else:
            stack.it.run("keys", "revoke", name)
        if who != "client":
            assert it.is_closed(within_s=60)
        until(lambda: [each for each in stack.it.log() if each["key"] == name])
    (line,) = [each for each in stack.it.log() if each["key"] == name]
    assert line["status"] == 101


def test_an_open_websocket_whose_key_cannot_be_looked_at_ends(
    stack: Stack, failing: Failing
) -> None:
    with failing(""), opened(stack.it, stack.it.key) as it:
        assert it.says("hello") == "hello"
        with failing("watch$mayGoOn"):
            assert it.is_closed(within_s=60)


@pytest.mark.parametrize(
    "function",
    ["websocket_end$ended", "watch$look", "watch$mayGoOn", "watching$untilItMayNot"],
)
def test_a_websocket_that_the_gateway_fails_on_does_not_stay_open(
    stack: Stack, failing: Failing, function: str
) -> None:
    name = f"failed-{function.replace('$', '.')}"
    key, closed = stack.key(name), list[bool]()
    with failing(function), ExitStack() as opening:
        opening.enter_context(suppress(AssertionError, ConnectionResetError))
        it = opening.enter_context(opened(stack.it, key))  # or it ends before its head has come
        closed.append(it.is_closed(within_s=60))
    assert all(closed)
    until(lambda: [each for each in stack.it.log() if each["key"] == name])
