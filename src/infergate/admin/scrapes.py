"""/metrics for nginx's workers, who ask for it where `metrics: networks:` lets somebody. It is all
that is served on their socket: who got hold of a worker learns these numbers, and can do nothing.
"""

from __future__ import annotations

from collections.abc import Callable

from starlette.concurrency import run_in_threadpool
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from infergate.admin.gateway import Gateway
from infergate.admin.metrics import text
from infergate.admin.problems import response_to
from infergate.errors import InfergateError
from infergate.metrics.exposition import MEDIA_TYPE


class Scrapes:
    """GET /metrics, without a token."""

    def __init__(self, gateway: Callable[[], Gateway]) -> None:
        self._gateway = gateway

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await (await self._answer(scope))(scope, receive, send)

    async def _answer(self, scope: Scope) -> Response:
        if scope["path"] != "/metrics":
            return PlainTextResponse("there is only /metrics here\n", 404)
        if scope["method"] not in ("GET", "HEAD"):
            return PlainTextResponse("only GET\n", 405, {"Allow": "GET, HEAD"})
        try:
            found = await run_in_threadpool(text, self._gateway())
        except InfergateError as problem:
            return response_to(problem)
        return Response(found, media_type=MEDIA_TYPE)
