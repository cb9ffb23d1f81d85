"""A gRPC server in HTTP/2 without TLS, written by hand: what it is sent, and what it says of it.

Each message is sent back, and `grpc-status: 0` after it; `/test.Echo/Fails` fails with status 5.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, RequestReceived, StreamEnded

HEADERS = [(":status", "200"), ("content-type", "application/grpc")]


@dataclass
class GrpcServer:
    port: int
    calls: list[dict[str, str]] = field(default_factory=list)
    """The headers of each."""

    @property
    def url(self) -> str:
        return f"grpc://127.0.0.1:{self.port}"


def _serve(connection: socket.socket, server: GrpcServer) -> None:
    h2 = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
    h2.initiate_connection()
    failed: set[int] = set()
    with contextlib.suppress(OSError), connection:
        connection.sendall(h2.data_to_send())
        while piece := connection.recv(65536):
            for event in h2.receive_data(piece):
                if isinstance(event, RequestReceived):
                    headers = dict(event.headers)
                    server.calls.append(headers)
                    fails = headers[":path"].endswith("/Fails")
                    failed |= {event.stream_id} if fails else set()
                    more = [("grpc-status", "5"), ("grpc-message", "gone")] if fails else []
                    h2.send_headers(event.stream_id, [*HEADERS, *more], end_stream=fails)
                elif isinstance(event, DataReceived):
                    h2.acknowledge_received_data(len(event.data), event.stream_id)
                    if event.stream_id not in failed:
                        h2.send_data(event.stream_id, event.data)
                elif isinstance(event, StreamEnded) and event.stream_id not in failed:
                    h2.send_headers(event.stream_id, [("grpc-status", "0")], end_stream=True)
            connection.sendall(h2.data_to_send())


@contextlib.contextmanager
def grpc_server() -> Iterator[GrpcServer]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = GrpcServer(listener.getsockname()[1])

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    threading.Thread(target=_serve, args=(connection, server), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield server
        listener.shutdown(socket.SHUT_RDWR)
