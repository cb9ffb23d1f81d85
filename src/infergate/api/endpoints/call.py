"""One request to an endpoint of the operator's own: who asks, and how to ask models as they do."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import httpx
from fastapi import Depends
from starlette.requests import Request

from infergate.api.caller import Caller, caller_of

if TYPE_CHECKING:
    from openai import AsyncOpenAI

_URL = "http://infergate"


class TheCall:
    """What `call: Call` is.

    request_id: as the log has it. key: the name of the caller's key; "" for one without.
    address: the client's. services: name → URL of the web services of the configuration.
    """

    def __init__(self, caller: Caller, key: str, socket: Path, services: Mapping[str, str]) -> None:
        self.request_id, self.key, self.address = caller.parent, key, caller.client
        self.services = services
        self._caller, self._socket = caller, socket

    @functools.cached_property
    def http(self) -> httpx.AsyncClient:
        """Asks the gateway as the caller: `await call.http.post("/v1/rerank", json=…)`."""
        return httpx.AsyncClient(
            base_url=_URL,
            transport=_transport(self._socket),
            headers=self._caller.headers,
            timeout=None,  # noqa: S113 - the endpoint has one, and the models have theirs
            trust_env=False,
        )

    @functools.cached_property
    def openai(self) -> AsyncOpenAI:
        """OpenAI's own client, which asks the gateway's models as the caller."""
        import httpx2  # OpenAI's client's own
        from openai import AsyncOpenAI  # which takes most of a second

        return AsyncOpenAI(
            base_url=f"{_URL}/v1",
            api_key=self._caller.token or "none",
            default_headers=self._caller.headers,
            http_client=httpx2.AsyncClient(
                transport=httpx2.AsyncHTTPTransport(uds=str(self._socket)),
                timeout=None,
                trust_env=False,
            ),
            max_retries=0,  # the gateway has tried other backends
        )


@functools.cache
def _transport(socket: Path) -> httpx.AsyncHTTPTransport:
    """One for all, which keeps its connections: who closes a client must not close it."""
    return _StaysOpen(uds=str(socket))


class _StaysOpen(httpx.AsyncHTTPTransport):
    async def aclose(self) -> None:
        pass


def call_of(request: Request) -> TheCall:
    """For FastAPI."""
    headers, state = request.headers, request.app.state
    caller = caller_of(request.scope["headers"])
    return TheCall(caller, headers.get("x-infergate-key", ""), state.socket, state.services)


Call = Annotated[TheCall, Depends(call_of)]
