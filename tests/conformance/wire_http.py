"""Requests as the wire backend reads and records them."""

from __future__ import annotations

import asyncio
import hashlib
import json
import resource
import time
from dataclasses import dataclass
from functools import cached_property
from typing import Any

_BODY_KEPT_BYTES = 2**16


class Reader(asyncio.StreamReader):
    """A reader that says when the other side has left, also while nobody reads."""

    def __init__(self) -> None:
        super().__init__(limit=2**20)
        self.left = asyncio.Event()

    def feed_eof(self) -> None:
        super().feed_eof()
        self.left.set()

    def set_exception(self, exception: BaseException) -> None:
        super().set_exception(exception)  # type: ignore[arg-type]
        self.left.set()


@dataclass(frozen=True)
class Request:
    """One request. headers: names in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @cached_property
    def json(self) -> dict[str, Any]:
        """The body's object; empty if it is none."""
        try:
            found = json.loads(self.body)
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    @property
    def wants_usage(self) -> bool:
        options = self.json.get("stream_options")
        return isinstance(options, dict) and options.get("include_usage") is True


async def read_request(reader: Reader, writer: asyncio.StreamWriter) -> Request:
    """The next request. IncompleteReadError when the connection ends before it."""
    lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, path, _ = lines[0].split(" ", 2)
    headers: dict[str, str] = {}
    for line in lines[1:]:
        name, _, value = line.partition(":")
        if name:
            headers[name.lower()] = value.strip()
    if headers.get("expect", "").lower() == "100-continue":
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    if headers.get("transfer-encoding", "").lower() != "chunked":
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        return Request(method, path, headers, body)
    pieces = []
    while size := int(await reader.readline(), 16):
        pieces.append((await reader.readexactly(size + 2))[:-2])
    await reader.readline()
    return Request(method, path, headers, b"".join(pieces))


def record_of(
    request: Request, port: int, connection: int, count: int, script: int | None
) -> dict[str, Any]:
    """What the suite may want to know of a request.

    script: which of the played ones it got, counted from 0; None is a good answer.
    connection, on_connection: which TCP connection, and the how-manieth request on it.
    content_sha256: of the first message's text, which also survives a gateway that writes the
        JSON anew.
    """
    messages = request.json.get("messages") or [{}]
    content = str(messages[0].get("content", "")) if isinstance(messages[0], dict) else ""
    return {
        "port": port,
        "path": request.path,
        "headers": request.headers,
        "bytes": len(request.body),
        "body": request.body[:_BODY_KEPT_BYTES].decode("latin-1"),
        "sha256": hashlib.sha256(request.body).hexdigest(),
        "content_sha256": hashlib.sha256(content.encode()).hexdigest(),
        "script": script,
        "connection": connection,
        "on_connection": count,
        "at_s": time.time(),
        "ended_s": None,
        "aborted": False,
    }


def raise_file_limit() -> int:
    """As many open files as this process may have; thousands of streams need them."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return most
