"""gRPC's own client, and Qdrant's over it, through the gateway to gRPC's own server."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent import futures
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
from qdrant_client import QdrantClient
from qdrant_client.grpc import collections_pb2, collections_service_pb2_grpc

from tests.backends.servers import free_port, scripted
from tests.gateway import Gateway, gateway

CONFIG = """
listen: {{ https: "127.0.0.1:{https}", hosts: [api.test] }}
tls: {{ self_signed: true, http2: true }}
backends: {{ a: {backend} }}
services: {{ qdrant: {{ url: "grpc://127.0.0.1:{port}", host: localhost, api_key: sesame }} }}
"""


class _Collections(collections_service_pb2_grpc.CollectionsServicer):
    def List(self, request: Any, context: grpc.ServicerContext) -> Any:
        if dict(context.invocation_metadata()).get("api-key") != "sesame":
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "Must provide an API key")
        named = collections_pb2.CollectionDescription(name="docs")
        return collections_pb2.ListCollectionsResponse(collections=[named])


@dataclass
class Real:
    port: int
    left: threading.Event
    """Set when a client has left a call that would not have ended."""


@pytest.fixture(scope="module")
def real() -> Iterator[Real]:
    left = threading.Event()

    def each(request: Iterator[bytes], _context: grpc.ServicerContext) -> Iterator[bytes]:
        for message in request:
            yield message.upper()

    def never(_request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        context.add_callback(left.set)
        yield b"first"
        left.wait(120)

    server = grpc.server(futures.ThreadPoolExecutor(8))
    calls = {
        "Each": grpc.stream_stream_rpc_method_handler(each),
        "Never": grpc.unary_stream_rpc_method_handler(never),
    }
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("test.Echo", calls)])
    collections_service_pb2_grpc.add_CollectionsServicer_to_server(_Collections(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield Real(port, left)
    server.stop(0)


@pytest.fixture(scope="module")
def front(engine: str, real: Real) -> Iterator[tuple[Gateway, grpc.Channel]]:
    with ExitStack() as stack:
        https, backend = free_port(), stack.enter_context(scripted())
        config = CONFIG.format(https=https, backend=backend.url, port=real.port)
        it = stack.enter_context(gateway(engine, config))
        trusted = grpc.ssl_channel_credentials((it.home / "public" / "ca.crt").read_bytes())
        channel = grpc.secure_channel(f"localhost:{https}", trusted)
        yield it, stack.enter_context(channel)


def _key(it: Gateway) -> list[tuple[str, str]]:
    return [("authorization", f"Bearer {it.key}")]


def test_messages_go_both_ways(front: tuple[Gateway, grpc.Channel]) -> None:
    it, channel = front
    sent = (f"message {at}".encode() * 1000 for at in range(50))
    got = channel.stream_stream("/test.Echo/Each")(sent, metadata=_key(it), timeout=120)
    assert [len(message) for message in got] == [len(f"message {at}") * 1000 for at in range(50)]


def test_a_refusal_has_the_status_that_clients_know(front: tuple[Gateway, grpc.Channel]) -> None:
    _it, channel = front
    call = channel.unary_stream("/test.Echo/Never")
    with pytest.raises(grpc.RpcError) as refused:
        list(call(b"", metadata=[("authorization", "Bearer wrong")], timeout=60))
    assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
    assert "Incorrect API key" in refused.value.details()


def test_a_client_that_leaves_ends_the_call(
    front: tuple[Gateway, grpc.Channel], real: Real
) -> None:
    it, channel = front
    real.left.clear()
    call = channel.unary_stream("/test.Echo/Never")(b"", metadata=_key(it), timeout=120)
    assert next(call) == b"first"
    call.cancel()
    assert real.left.wait(60)


def test_qdrants_own_client(engine: str, real: Real) -> None:
    if engine == "embedded":
        pytest.skip("has no HTTP/2 without TLS, and this client takes its CAs from the machine")
    with scripted() as backend:
        services = f'services: {{ q: {{ url: "grpc://127.0.0.1:{real.port}", host: localhost,'
        config = f"backends: {{ a: {backend.url} }}\n{services} api_key: sesame }} }}\n"
        with gateway(engine, config) as it:
            client = QdrantClient(
                host="localhost",
                port=it.port,
                grpc_port=it.port,
                prefer_grpc=True,
                https=False,
                api_key=it.key,
                check_compatibility=False,
                timeout=60,
            )
            assert [each.name for each in client.get_collections().collections] == ["docs"]
            client.close()
