"""Compression, and connections that are used again on both sides."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import httpx
import pytest

from tests.backends.servers import Scripted, free_port, scripted
from tests.gateway import Gateway, gateway

CONFIG = """
gzip: {gzip}
backends:
  a: {{ url: {a}, engine: vllm }}
  b: {{ url: "http://127.0.0.1:{b}", engine: vllm, max_in_flight: 9 }}
health: {{ interval: 60s, timeout: 10s }}
models:
  m: [a]
  quick: {{ backends: [b], timeouts: {{ first_byte: 299s }}, upstream_name: m }}
  kept: {{ backends: [a], upstream_name: m, cache: {{ completions: true }} }}
"""
LONG = {"messages": [{"role": "user", "content": "a long text " * 500}], "temperature": 0}


class Counter:
    """A server that counts its connections, and the requests on them."""

    def __init__(self) -> None:
        self.connections = self.requests = 0


@contextmanager
def counting(port: int) -> Iterator[Counter]:
    counter = Counter()
    server = socket.create_server(("127.0.0.1", port))
    answer = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"

    def connection(client: socket.socket) -> None:
        with client, client.makefile("rb") as file:
            counted = False
            while first := file.readline():
                length = 0
                while (line := file.readline().lower()) not in (b"\r\n", b""):
                    name, _, value = line.partition(b":")
                    length = int(value) if name == b"content-length" else length
                file.read(length)
                if first.startswith(b"POST"):  # probes have connections of their own
                    counter.requests += 1
                    counter.connections += not counted
                    counted = True
                client.sendall(answer)

    def accept() -> None:
        while True:
            try:
                client, _ = server.accept()
            except OSError:
                return
            threading.Thread(target=connection, args=(client,), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield counter
    finally:
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join(5)


Running = tuple[Gateway, Scripted, Counter]


@pytest.fixture(scope="module")
def running(engine: str) -> Iterator[Running]:
    with ExitStack() as stack:
        port = free_port()
        counter = stack.enter_context(counting(port))
        a = stack.enter_context(scripted(name="a" * 2000))
        config = CONFIG.format(gzip="all", a=a.url, b=port)
        yield stack.enter_context(gateway(engine, config)), a, counter


def accepting(it: Gateway, body: dict[str, object]) -> httpx.Response:
    headers = {"Accept-Encoding": "gzip"}
    return it.post("/v1/chat/completions", {"model": "m", **LONG, **body}, headers=headers)


def test_answers_are_compressed_for_those_who_accept_it_but_never_a_stream(
    running: Running,
) -> None:
    it, a, _ = running
    for model in ("m", "kept", "kept"):
        whole = accepting(it, {"model": model})
        assert whole.headers["content-encoding"] == "gzip"
        assert "Accept-Encoding" in whole.headers["vary"]
        assert whole.json()["choices"][0]["message"]["content"] == "a" * 2000
        stream = accepting(it, {"model": model, "stream": True})
        assert "content-encoding" not in stream.headers
        assert stream.text.endswith("data: [DONE]\n\n")
        assert "aaaa" in stream.text
    plain = it.post(
        "/v1/chat/completions", {"model": "kept", **LONG}, headers={"Accept-Encoding": ""}
    )
    assert plain.headers["x-infergate-cache"] == "HIT"
    assert "content-encoding" not in plain.headers
    # Nothing of it is the backend's: that one is asked for plain text.
    assert all("accept-encoding" not in each["headers"] for each in a.requests())


@pytest.mark.long
def test_by_default_answers_of_models_are_not_compressed_but_lists_are(running: Running) -> None:
    it, _, _ = running
    before = it.file.read_text()
    aliases = ", ".join(f"another-name-{n}" for n in range(40))
    it.file.write_text(
        before.replace("gzip: all\n", "").replace(
            "m: [a]", f"m: {{ backends: [a], aliases: [{aliases}] }}"
        )
    )
    it.run("reload")
    try:
        assert "content-encoding" not in accepting(it, {}).headers
        listed = httpx.get(
            it.url + "/v1/models", headers={**it.headers(), "Accept-Encoding": "gzip"}
        )
        assert listed.headers["content-encoding"] == "gzip"
        assert len(listed.json()["data"]) == 43
    finally:
        it.file.write_text(before)
        it.run("reload")


@pytest.mark.parametrize("model", ["quick", "m"])
def test_connections_are_used_again_on_both_sides(running: Running, model: str) -> None:
    it, _, counter = running
    before = counter.connections, counter.requests
    with httpx.Client(headers=it.headers()) as client:
        ports = set()
        for _ in range(20):
            with client.stream(
                "POST",
                it.url + "/v1/chat/completions",
                content=json.dumps({"model": model, **LONG}),
            ) as answer:
                ports.add(answer.extensions["network_stream"].get_extra_info("client_addr")[1])
                answer.read()
                assert answer.status_code == 200
    assert len(ports) == 1
    if model == "quick":  # by way of relay.js: its timeouts are its own
        assert counter.requests - before[1] == 20
        assert counter.connections - before[0] <= 2  # one for each worker of nginx
