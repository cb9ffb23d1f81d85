"""Files and batches as one application, and what goes on beside it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from infergate.api.batches.calls import Callers
from infergate.api.batches.routes import BatchRoutes
from infergate.api.batches.run import Around
from infergate.api.batches.runner import Runner
from infergate.api.files.folder import Folder
from infergate.api.files.routes import Files
from infergate.api.refusal import Refused
from infergate.api.threads import to_its_end
from infergate.api.turns import Turns
from infergate.config.batches import Batches
from infergate.errors import InfergateError
from infergate.ledger.retention import Clock
from infergate.log import log
from infergate.loops import Loops
from infergate.store.batches import forget_old_batches
from infergate.store.database import Database
from infergate.store.files import forget_old_files, known_files

_LOOK_S = 2.0
"""How soon an operator's cancel counts."""
_TIDY_S = 600.0


class BatchesApp:
    """app: the ASGI application; its batches go on within `running`."""

    def __init__(
        self,
        database: Database,
        node: str,
        folder: Folder,
        settings: Callable[[], Batches],
        callers: Callers,
    ) -> None:
        self._database, self._node, self._folder = database, node, folder
        self._settings = settings
        around = Around(database, folder, settings, Turns(lambda: settings().concurrent))
        self.runner = Runner(around, node, callers)
        self.app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
        self.app.include_router(Files(database, node, folder, settings).router)
        self.app.include_router(BatchRoutes(database, node, self.runner, settings).router)
        self.app.add_exception_handler(Refused, _refused)
        self.app.add_exception_handler(HTTPException, _not_found)
        self.app.add_exception_handler(InfergateError, _failed)
        self.app.add_exception_handler(Exception, _broken)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Open batches go on, and what is old is removed. Nobody else may do so meanwhile."""
        known = partial(known_files, self._database, self._node)
        await to_its_end(self._folder.remove_unknown, known)
        try:
            async with Loops().running({"batches": self._look, "old files": self._tidy}):
                yield
        finally:
            await self.runner.stop()

    async def _look(self) -> None:
        while True:
            await self.runner.take_up()
            await asyncio.sleep(_LOOK_S)

    async def _tidy(self) -> None:
        clock = Clock(at_first=True)
        while True:
            if clock.is_trusted():  # else all files could seem old
                await self.tidy()
            await asyncio.sleep(_TIDY_S)

    async def tidy(self) -> None:
        """Remove what is older than `retention` says, or than its client wanted."""
        before = int(time.time() - self._settings().retention)
        gone = await to_its_end(forget_old_files, self._database, self._node, before=before)
        await to_its_end(self._folder.remove, *gone)
        await to_its_end(forget_old_batches, self._database, self._node, before=before)


async def _refused(_request: Request, refusal: Exception) -> Response:
    assert isinstance(refusal, Refused)  # noqa: S101 - Starlette chose it by its class
    return JSONResponse(dict(refusal.document), refusal.status)


async def _not_found(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101
    message = f"{request.method} {request.url.path[:200]}: {error.detail}"
    refusal = Refused(message, status=error.status_code, code="unknown_endpoint")
    return JSONResponse(dict(refusal.document), error.status_code, dict(error.headers or {}))


async def _failed(_request: Request, error: Exception) -> Response:
    """The store, or the disk: for a client only that it is so."""
    log.error("a request for files or batches failed", problem=str(error))
    refusal = Refused("Files and batches cannot be had now.", status=503, code="unavailable")
    return JSONResponse(dict(refusal.document), 503, {"Retry-After": "5"})


async def _broken(_request: Request, _error: Exception) -> Response:
    refusal = Refused("A fault of the gateway.", status=500, code="server_error")
    return JSONResponse(dict(refusal.document), 500)
