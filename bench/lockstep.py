"""A mock backend and a client that take turns: nginx never has two things to do at once, and does
the same work for a request however slow it is and whatever else the machine does.

Each chunk of a stream waits for the client to have the one before; `max_tokens` says how many.
"""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO

from bench.systems import ANSWER

ANSWER_WITHIN_S = 120.0
"""A megabyte through an nginx under callgrind takes a second or two."""

_MODELS = json.dumps({"data": [{"id": "bench", "owned_by": "vllm"}]}).encode()
_EMBEDDING = json.dumps(
    {
        "object": "list",
        "model": "bench",
        "data": [{"object": "embedding", "index": 0, "embedding": [0.125] * 384}],
        "usage": {"prompt_tokens": 10, "total_tokens": 10},
    }
).encode()
_STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
)


def _event(value: object) -> bytes:
    data = b"data: %s\n\n" % json.dumps(value).encode()
    return b"%x\r\n%s\r\n" % (len(data), data)


_BASE = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "bench"}
_PIECE = _event(
    {**_BASE, "choices": [{"index": 0, "delta": {"content": " token"}, "finish_reason": None}]}
)
_LAST = (
    _event({**_BASE, "choices": [], "usage": {"prompt_tokens": 10, "completion_tokens": 9}})
    + b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n"
)


class Mock:
    """The backend: a thread for each connection that nginx opens."""

    def __init__(self, listener: socket.socket | None = None) -> None:
        """listener: where it is asked; a port of its own, if not said."""
        self._listener = listener or socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = 0 if listener else int(self._listener.getsockname()[1])
        self.taken = threading.Semaphore(0)
        """Released by the client for each chunk that it has."""
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                if self.port:
                    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with suppress(OSError, EOFError), connection, connection.makefile("rb") as reader:
            while True:
                head = _head(reader)
                asked = head.split(b" ")[1]
                content = reader.read(_length(head))
                if b'"stream"' in content and (wanted := json.loads(content))["stream"]:
                    self._stream(connection, wanted["max_tokens"])
                    continue
                body = _EMBEDDING if b"/embeddings" in asked else ANSWER.encode()
                if asked.endswith(b"/models"):
                    body = _MODELS
                connection.sendall(
                    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                    b"Content-Length: %d\r\n\r\n"
                    % len(body)
                    + (b"" if head.startswith(b"HEAD ") else body)
                )

    def _stream(self, connection: socket.socket, chunks: int) -> None:
        connection.sendall(_STREAM_HEAD)
        for _ in range(chunks):
            connection.sendall(_PIECE)
            if not self.taken.acquire(timeout=ANSWER_WITHIN_S):
                return
        connection.sendall(_LAST)


@contextmanager
def mock() -> Iterator[Mock]:
    it = Mock()
    try:
        yield it
    finally:
        it.close()


class Client:
    """One kept connection; each answer is read to its end before the next request."""

    def __init__(self, connection: socket.socket, taken: threading.Semaphore) -> None:
        self._socket = connection
        self._reader = self._socket.makefile("rb")
        self._taken = taken

    def ask(self, request: bytes) -> None:
        """Raises RuntimeError if the answer is not 200."""
        self._socket.sendall(request)
        head = _head(self._reader)
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(f"not 200: {head!r} {self._reader.read(_length(head))!r}")
        if b"\r\ntransfer-encoding: chunked" not in head.lower():
            self._reader.read(_length(head))
            return
        while size := int(self._reader.readline(), 16):
            if b'" token"' in self._reader.read(size + 2):
                self._taken.release()
        self._reader.readline()

    def close(self) -> None:
        self._socket.close()


def to_port(port: int) -> socket.socket:
    """For a client of nginx."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=ANSWER_WITHIN_S)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def _head(reader: BinaryIO) -> bytes:
    lines = []
    while (line := reader.readline()) != b"\r\n":
        if not line:
            raise EOFError
        lines.append(line)
    return b"".join(lines)


def _length(head: bytes) -> int:
    return int(head.lower().partition(b"\r\ncontent-length:")[2].split(b"\r\n")[0] or 0)
