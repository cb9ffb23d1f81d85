"""Requests written byte by byte, for what an HTTP library would not send."""

from __future__ import annotations

import base64
import os
import re
import socket
import ssl

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
)

answered: dict[int, str] = {}
"""By port: the id of the gateway's last answer. Its line of the access log comes a little later."""

_ID = re.compile(rb"^x-infergate-request-id: *(\S+)\r$", re.IGNORECASE | re.MULTILINE)


def raw(port: int, request: str | bytes, *, source: str = "127.0.0.1") -> bytes:
    """All that comes back until the server closes, or is silent for 5 s."""
    data = request if isinstance(request, bytes) else request.encode("latin-1")
    with socket.create_connection(("127.0.0.1", port), 5, (source, 0)) as connection:
        connection.sendall(data)
        answer = b""
        try:
            while piece := connection.recv(65536):
                answer += piece
        except (TimeoutError, ConnectionResetError):
            pass
    first = _ID.search(answer)
    if first and b"/healthz " not in data.split(b"\n", 1)[0]:  # which is not in the log
        answered[port] = first[1].decode()
    return answer


def status_of(answer: bytes) -> int:
    """The status of the first response; 0 where the connection was just closed."""
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/1.") else 0


def websocket_says(port: int, path: str, host: str, text: str, headers: str = "") -> str:
    """What a WebSocket echoes, or the status of the refusal."""
    key = base64.b64encode(os.urandom(16)).decode()
    with socket.create_connection(("127.0.0.1", port), 5) as connection:
        connection.sendall(
            f"GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n{headers}\r\n".encode()
        )
        file = connection.makefile("rb")
        status = file.readline().split()[1].decode()
        if status != "101":
            return status
        while file.readline() != b"\r\n":
            pass
        payload, mask = text.encode(), os.urandom(4)
        masked = bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))
        connection.sendall(bytes([0x81, 0x80 | len(payload)]) + mask + masked)
        return file.read(2 + len(payload))[2:].decode()


def http2_status(
    port: int, context: ssl.SSLContext, server_name: str, headers: list[tuple[str, str]]
) -> int:
    """The status of a request in HTTP/2 with header fields that may be forbidden there.

    0 if its stream or the connection was reset.
    """
    config = H2Configuration(validate_outbound_headers=False, normalize_outbound_headers=False)
    h2 = H2Connection(config)
    context.set_alpn_protocols(["h2"])
    with (
        socket.create_connection(("127.0.0.1", port), 5) as plain,
        context.wrap_socket(plain, server_hostname=server_name) as connection,
    ):
        h2.initiate_connection()
        h2.send_headers(1, headers, end_stream=True)
        connection.sendall(h2.data_to_send())
        while piece := connection.recv(65536):
            for event in h2.receive_data(piece):
                if isinstance(event, ResponseReceived):
                    return int(dict(event.headers)[b":status"])
                if isinstance(event, StreamReset | ConnectionTerminated):
                    return 0
            connection.sendall(h2.data_to_send())
        return 0


class GrpcCall:
    """A gRPC call over a connection of its own, message by message.

    context: None for HTTP/2 without TLS. headers, trailers: what came so far.
    """

    def __init__(
        self,
        port: int,
        host: str,
        path: str,
        metadata: list[tuple[str, str]],
        context: ssl.SSLContext | None = None,
    ) -> None:
        self.headers: dict[str, str] = {}
        self.trailers: dict[str, str] = {}
        self.messages = b""
        self.ended = False
        plain = socket.create_connection(("127.0.0.1", port), 60)
        if context is not None:
            context.set_alpn_protocols(["h2"])
            self._socket = context.wrap_socket(plain, server_hostname=host)
        else:
            self._socket = plain
        self._h2 = H2Connection(H2Configuration(header_encoding="utf-8"))
        self._h2.initiate_connection()
        fixed = [
            (":method", "POST"),
            (":scheme", "http" if context is None else "https"),
            (":authority", host),
            (":path", path),
            ("te", "trailers"),
            ("content-type", "application/grpc"),
        ]
        self._h2.send_headers(1, [*fixed, *metadata])
        self._flush()

    def send(self, message: bytes, *, last: bool = False) -> None:
        self._h2.send_data(1, b"\0" + len(message).to_bytes(4, "big") + message, end_stream=last)
        self._flush()

    def until_bytes(self, count: int) -> bytes:
        """What the messages have, once that much has come or the call has ended."""
        while len(self.messages) < count and not self.ended:
            self._read()
        return self.messages

    def end(self) -> dict[str, str]:
        """The headers and trailers, once it has ended."""
        while not self.ended:
            self._read()
        self._socket.close()
        return {**self.headers, **self.trailers}

    def _flush(self) -> None:
        self._socket.sendall(self._h2.data_to_send())

    def _read(self) -> None:
        piece = self._socket.recv(65536)
        self.ended = self.ended or not piece
        for event in self._h2.receive_data(piece) if piece else ():
            if isinstance(event, ResponseReceived):
                self.headers = dict(event.headers)
            elif isinstance(event, TrailersReceived):
                self.trailers = dict(event.headers)
            elif isinstance(event, DataReceived):
                self.messages += event.data
                self._h2.acknowledge_received_data(event.flow_controlled_length, 1)
            elif isinstance(event, StreamEnded | StreamReset | ConnectionTerminated):
                self.ended = True
        self._flush()
