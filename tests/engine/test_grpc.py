"""gRPC services, such as Qdrant's port 6334: relayed by the message, refused as gRPC says it."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import httpx
import pytest

from tests.backends.grpc_server import GrpcServer, grpc_server
from tests.backends.servers import free_port, scripted
from tests.cache import SUITE, TRIXIE
from tests.gateway import Gateway, Ran, gateway, run_here, until
from tests.wire import GrpcCall

CONFIG = """
listen: {{ https: "127.0.0.1:{https}", hosts: [api.test] }}
tls: {{ self_signed: true, http2: true }}
backends: {{ a: {backend} }}
limits: {{ max_body: 64k }}
services:
  qdrant: {{ url: "{url}", host: qdrant.test, api_key: sesame }}
  open: {{ url: "{url}", host: open.test, auth: none }}
  dead: {{ url: "grpc://127.0.0.1:{dead}", host: dead.test }}
"""

UNAUTHENTICATED, PERMISSION_DENIED, RESOURCE_EXHAUSTED, UNAVAILABLE = "16", "7", "8", "14"


@dataclass
class Stack:
    it: Gateway
    server: GrpcServer
    port: int

    def call(
        self, host: str = "qdrant.test", path: str = "/test.Echo/Say", **metadata: str
    ) -> GrpcCall:
        context = ssl.create_default_context(cafile=str(self.it.home / "public" / "ca.crt"))
        more = [(name.replace("_", "-"), value) for name, value in metadata.items()]
        return GrpcCall(self.port, host, path, more, context)

    def refused(self, host: str = "qdrant.test", **metadata: str) -> dict[str, str]:
        call = self.call(host, **metadata)
        call.send(b"hello", last=True)
        return call.end()


@pytest.fixture(scope="module")
def stack(engine: str) -> Iterator[Stack]:
    with ExitStack() as opened:
        server, backend = opened.enter_context(grpc_server()), opened.enter_context(scripted())
        https = free_port()
        config = CONFIG.format(https=https, backend=backend.url, url=server.url, dead=free_port())
        it = opened.enter_context(gateway(engine, config))
        yield Stack(it, server, https)


def test_both_sides_send_while_the_call_is_open(stack: Stack) -> None:
    call = stack.call(authorization=f"Bearer {stack.it.key}")
    for count in (1, 2, 3):
        call.send(b"hello")
        assert call.until_bytes(10 * count).endswith(b"hello")
    call.send(b"last", last=True)
    said = call.end()
    assert (said[":status"], said["grpc-status"]) == ("200", "0")
    assert call.messages.endswith(b"last")


def test_the_callers_key_stays_here_and_the_services_own_goes_on(stack: Stack) -> None:
    call = stack.call(api_key=stack.it.key, x_forwarded_for="6.6.6.6", x_user="root", own="kept")
    call.send(b"a", last=True)
    assert call.end()["grpc-status"] == "0"
    got = stack.server.calls[-1]
    assert got["api-key"] == "sesame"
    assert got["own"] == "kept"
    assert got["te"] == "trailers"
    assert got.get(":authority", got.get("host")) == "qdrant.test"  # RFC 9113, 8.3.1: either
    assert got["x-forwarded-for"] == "127.0.0.1"
    assert "authorization" not in got
    assert "x-user" not in got
    assert stack.it.key not in str(got)


def test_an_error_of_the_services_own_passes(stack: Stack) -> None:
    call = stack.call("open.test", "/test.Echo/Fails")
    call.send(b"a", last=True)
    said = call.end()
    assert (said[":status"], said["grpc-status"], said["grpc-message"]) == ("200", "5", "gone")


def test_refusals_are_a_status_of_grpc(stack: Stack) -> None:
    before = len(stack.server.calls)
    wrong = stack.refused(api_key="wrong")
    assert (wrong[":status"], wrong["grpc-status"]) == ("200", UNAUTHENTICATED)
    assert wrong["content-type"] == "application/grpc"
    assert "Incorrect%20API%20key" in wrong["grpc-message"]
    assert stack.refused()["grpc-status"] == UNAUTHENTICATED
    other = stack.it.new_key("other", "--services", "open")
    assert stack.refused(api_key=other)["grpc-status"] == PERMISSION_DENIED
    seldom = stack.it.new_key("seldom", "--rpm", "1")
    assert stack.refused(api_key=seldom)["grpc-status"] == "0"
    assert stack.refused(api_key=seldom)["grpc-status"] == RESOURCE_EXHAUSTED
    assert stack.refused("dead.test", api_key=stack.it.key)["grpc-status"] == UNAVAILABLE
    assert len(stack.server.calls) == before + 1
    lines = [line for line in stack.it.log() if line.get("service") in ("qdrant", "dead")]
    assert {line["status"] for line in lines} >= {200, 401, 403, 429, 502}


def test_a_message_beyond_max_body_is_refused(stack: Stack) -> None:
    call = stack.call(api_key=stack.it.key)
    call.send(b"a" * 10_000)
    call.until_bytes(10_000)
    for _ in range(6):
        call.send(b"a" * 10_000)
    call.end()
    assert call.trailers.get("grpc-status") != "0"


def test_who_speaks_no_grpc_gets_json(stack: Stack) -> None:
    ca = ssl.create_default_context(cafile=str(stack.it.home / "public" / "ca.crt"))
    with httpx.Client(verify=ca, timeout=60) as client:
        url = f"https://127.0.0.1:{stack.port}/"
        asked = client.build_request("GET", url, headers={"Host": "qdrant.test"})
        asked.extensions["sni_hostname"] = "qdrant.test"
        answer = client.send(asked)
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "missing_api_key"


def test_status_knows_whether_it_is_there(stack: Stack) -> None:
    def states() -> dict[str, str]:
        return {each["name"]: each["state"] for each in stack.it.status()["services"]}

    until(lambda: states() == {"qdrant": "up", "open": "up", "dead": "down"})


@pytest.mark.long
def test_without_tls_it_is_http2_in_clear_text(engine: str) -> None:
    if engine == "embedded":
        pytest.skip("has HTTP/2 only where it is written, and tls: is where")
    with grpc_server() as server, scripted() as backend:
        services = f'services: {{ q: {{ url: "{server.url}", host: q.test }} }}\n'
        with gateway(engine, f"backends: {{ a: {backend.url} }}\n{services}") as it:
            call = GrpcCall(it.port, "q.test", "/test.Echo/Say", [("api-key", it.key)])
            call.send(b"a", last=True)
            assert call.end()["grpc-status"] == "0"
            assert it.get("/v1/models").status_code == 200


def _check(folder: Gateway, service: str) -> Ran:
    folder.write(f"backends: {{ a: http://127.0.0.1:1 }}\nservices: {{ q: {service} }}\n")
    return run_here(["check", "-c", str(folder.file)], {"INFERGATE_HOME": str(folder.home)})


def test_what_grpc_has_not_is_refused_with_a_reason(engine: str) -> None:
    it = Gateway(engine, "")
    try:
        for service, reason in (
            ("{ url: 'grpc://a:1', path: /q/ }", "needs a host"),
            ("{ url: 'grpc://a:1/x', host: q.test }", "has no path"),
            ("{ url: 'grpc://a:1', host: q.test, health: /x }", "health: tcp"),
            ("{ url: 'grpc://a:1', host: q.test, cors: { origins: ['*'] } }", "cors is nothing"),
        ):
            assert reason in _check(it, service).stderr, service
        if engine == "embedded" and SUITE == TRIXIE:
            said = _check(it, "{ url: 'grpc://127.0.0.1:1', host: q.test }").stderr
            assert "gRPC needs HTTP/2" in said
    finally:
        it.remove()
