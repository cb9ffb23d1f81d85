"""A web service as a double: it says back what it got, speaks WebSocket, and can decide logins.

It runs in a thread of the test. Paths: /ws echoes frames, /redirect and /cookie answer with what
the path in front of the service has to be put before, /headers with what must not get out,
/wait?s=1 is a long poll, /static/x?Name=value has these headers and says the number of the request,
/login/check lets cookies with session=NAME in; anything else is told back as JSON.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.server
import json
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

_WEBSOCKET_MARK = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, 1.3


def accept_websocket(handler: http.server.BaseHTTPRequestHandler) -> None:
    """Say yes to a handshake (RFC 6455, 4.2.2); what follows is the caller's."""
    key = handler.headers["Sec-WebSocket-Key"].encode()
    accept = base64.b64encode(hashlib.sha1(key + _WEBSOCKET_MARK).digest()).decode()
    handler.send_response(101)
    handler.send_header("Upgrade", "websocket")
    handler.send_header("Connection", "Upgrade")
    handler.send_header("Sec-WebSocket-Accept", accept)
    handler.end_headers()
    handler.close_connection = True


class WebService:
    """One running service. seen: the requests, oldest first."""

    def __init__(self, server: http.server.ThreadingHTTPServer, scheme: str) -> None:
        self.port = int(server.server_address[1])
        self.url = f"{scheme}://127.0.0.1:{self.port}"
        self.seen: list[dict[str, Any]] = []

    def last(self) -> dict[str, Any]:
        """The last request that was not a look whether anybody is there."""
        asked = (each for each in reversed(self.seen) if not _is_probe(each))
        return next(asked)


def _is_probe(entry: dict[str, Any]) -> bool:
    return bool(entry["headers"].get("user-agent", "").startswith("infergate-"))


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    service: WebService

    def handle_one_request(self) -> None:
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            super().handle_one_request()

    def _answer(self) -> None:
        path, _, query = self.path.partition("?")
        headers = {name.lower(): value for name, value in self.headers.items()}
        entry = {"method": self.command, "path": self.path, "headers": headers, "bytes": 0}
        self.service.seen.append(entry)
        if headers.get("upgrade", "").lower() == "websocket":
            self._echo_frames()
            return
        entry["bytes"] = self._read_body(headers)
        if path == "/wait":
            time.sleep(float(query.removeprefix("s=")))
        if "/static/" in path:
            self._send(200, str(len(self.service.seen)).encode(), **dict(parse_qsl(query)))
        elif path == "/login/check":
            self._decide(headers.get("cookie", ""))
        elif path == "/redirect":
            self._send(302, Location=f"{self.service.url}/app/")
        elif path == "/cookie":
            self._send(302, Location="/app/", **{"Set-Cookie": "a=b; Path=/"})
        elif path == "/headers":
            told = {
                "X-Accel-Redirect": "/v1/models",
                "X-Powered-By": "PHP/5",
                "Trailer": "x",
                "Via": "1.1 x",
            }
            self._send(200, **told, **{"Proxy-Authenticate": "Basic", "X-Own": "kept"})
        else:
            self._send(200, json.dumps(entry).encode())

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_OPTIONS = _answer

    def _decide(self, cookie: str) -> None:
        name = cookie.partition("session=")[2]
        if name == "mallory":
            self._send(403)
        elif name:
            self._send(202, **{"Remote-User": name, "Set-Cookie": f"session={name}"})
        else:
            self._send(401)

    def _send(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _read_body(self, headers: dict[str, str]) -> int:
        if headers.get("transfer-encoding") != "chunked":
            left = count = int(headers.get("content-length", 0))
            while left > 0:
                left -= len(self.rfile.read(min(left, 65536)))
            return count
        count = 0
        while size := int(self.rfile.readline(), 16):
            count += len(self.rfile.read(size + 2)) - 2
        self.rfile.readline()
        return count

    def _echo_frames(self) -> None:
        """Short frames only: a byte of length, four of the mask."""
        accept_websocket(self)
        while len(head := self.rfile.read(2)) == 2 and head[0] & 15 != 8:
            mask, payload = self.rfile.read(4), self.rfile.read(head[1] & 127)
            clear = bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))
            self.wfile.write(bytes([head[0], len(clear)]) + clear)

    def log_message(self, format: str, *arguments: object) -> None:
        """Nothing on the test's terminal."""


@contextlib.contextmanager
def web_service(certificate: Path | None = None, key: Path | None = None) -> Iterator[WebService]:
    """A service on a free loopback port; https where it has a certificate."""
    handler = type("Handler", (_Handler,), {})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    service = WebService(server, "http" if certificate is None else "https")
    handler.service = service  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield service
    finally:
        server.shutdown()
        server.server_close()
