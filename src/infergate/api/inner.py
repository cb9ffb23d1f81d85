"""What is asked of models: by way of nginx, on the listener that is for us alone, as the caller."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from infergate.api.caller import Caller

_URL = "http://infergate"
"""Of whom is asked; the socket decides where that is."""

_CONNECTIONS = 1000
_KEPT_S = 30.0
"""nginx keeps an idle connection for 75 s (keepalive_timeout)."""


class TooLarge(Exception):
    """An answer that was to be read whole is larger than this."""


class Inner:
    """Asks nginx. Timeouts, queue and retries are there: nothing here gives a request up."""

    def __init__(self, socket: Path) -> None:
        """socket: of the listener (Home.inner_socket)."""
        limits = httpx.Limits(
            max_connections=_CONNECTIONS,
            max_keepalive_connections=64,
            keepalive_expiry=_KEPT_S,
        )
        self._client = httpx.AsyncClient(
            transport=httpx.AsyncHTTPTransport(uds=str(socket), limits=limits),
            timeout=None,  # noqa: S113 - nginx has the model's
            trust_env=False,
        )

    @asynccontextmanager
    async def ask(
        self,
        caller: Caller,
        method: str,
        path: str,
        body: bytes,
        headers: Sequence[tuple[bytes, bytes]] = (),
    ) -> AsyncIterator[httpx.Response]:
        """The answer as it comes. Left before its end, its connection is closed, and with it the
        backend's. Raises httpx.HTTPError where nginx is not there or breaks off."""
        own = {**caller.headers, "content-type": "application/json", "accept-encoding": "identity"}
        mine = [(name.encode(), value.encode("latin-1")) for name, value in own.items()]
        rest = [each for each in headers if each[0].decode("latin-1") not in own]
        request = self._client.build_request(
            method, _URL + path, content=body if method == "POST" else None, headers=[*mine, *rest]
        )
        answer = await self._client.send(request, stream=True)
        try:
            yield answer
        finally:
            await answer.aclose()


async def whole(answer: httpx.Response, most_bytes: int) -> bytes:
    """The body of an answer. Raises TooLarge, and httpx.HTTPError where it breaks off."""
    found = bytearray()
    async for part in answer.aiter_raw():
        found += part
        if len(found) > most_bytes:
            raise TooLarge
    return bytes(found)
