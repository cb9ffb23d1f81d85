"""Asking the admin API in this process, in somebody's name, as if they had asked it themselves."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_OF_A_SESSION = (b"cookie", b"authorization", b"x-infergate-csrf")


def in_the_name_of(token: str, scope: Scope, path: str) -> Scope:
    """The same request at another path, with the token instead of the cookie. Whoever is at the
    other end of the unix socket is nobody special here."""
    headers = [(name, value) for name, value in scope["headers"] if name not in _OF_A_SESSION]
    headers.append((b"authorization", f"Bearer {token}".encode()))
    state: dict[str, Any] = {}
    return {**scope, "path": path, "raw_path": path.encode(), "headers": headers, "state": state}


@dataclass(frozen=True)
class PageAnswer:
    """What came. body: as it is."""

    status: int
    body: bytes

    def json(self) -> Any:
        """What it says. Raises ValueError."""
        return json.loads(self.body)


async def get(api: ASGIApp, token: str, scope: Scope, path: str, query: str = "") -> PageAnswer:
    """What the admin API answers to a GET, in the name of whoever sent the request of `scope`."""
    asked = in_the_name_of(token, scope, path)
    bodiless = (b"content-length", b"content-type", b"transfer-encoding")
    headers = [each for each in asked["headers"] if each[0] not in bodiless]
    asked = {**asked, "method": "GET", "query_string": query.encode(), "headers": headers}
    status, parts = 500, list[bytes]()

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        nonlocal status
        if message["type"] == "http.response.start":
            status = message["status"]
        elif message["type"] == "http.response.body":
            parts.append(message.get("body", b""))

    await api(asked, receive, send)
    return PageAnswer(status, b"".join(parts))


async def body_of(receive: Receive, most_bytes: int) -> bytes | None:
    """A request's body; None if it is longer than this, or its sender left."""
    found = b""
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        part: bytes = message.get("body", b"")
        found += part
        if len(found) > most_bytes:
            return None
        if not message.get("more_body", False):
            return found


async def relay(
    api: ASGIApp, token: str, scope: Scope, path: str, receive: Receive, send: Send
) -> int:
    """Let the admin API answer this request, and return the status."""
    status = 500

    async def noted(message: Message) -> None:
        nonlocal status
        if message["type"] == "http.response.start":
            status = message["status"]
        await send(message)

    await api(in_the_name_of(token, scope, path), receive, noted)
    return status
