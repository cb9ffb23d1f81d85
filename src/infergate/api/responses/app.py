"""Responses that are kept, as an ASGI application: FastAPI would have nothing to do here."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from infergate.api import answering
from infergate.api.answering import BodyTooLarge, Left, Noting
from infergate.api.asker import asker_of
from infergate.api.refusal import Refused
from infergate.api.responses.around import ResponsesAround
from infergate.api.responses.ask import PATH
from infergate.api.responses.create import Create
from infergate.api.responses.looks import Looks
from infergate.api.responses.runs import Runs
from infergate.api.threads import to_its_end
from infergate.errors import InfergateError
from infergate.ledger.retention import Clock
from infergate.log import log
from infergate.loops import Loops
from infergate.store.responses import forget_old_responses

_ONE = re.compile(rf"{PATH}(?:/([^/]+)(/input_items|/cancel)?/*)?")
_TAKES = {"": ("GET", "DELETE"), "/input_items": ("GET",), "/cancel": ("POST",)}
_LOOK_S = 2.0
"""How soon a cancel at another gateway counts."""
_TIDY_S = 60.0


class ResponsesApp:
    """The application; what is made in the background goes on within `running`."""

    def __init__(self, around: ResponsesAround) -> None:
        self._around = around
        self._runs = Runs(around)
        self._create = Create(around, self._runs)
        self._looks = Looks(around, self._runs)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        answer = Noting(send)
        try:
            await self._answer(scope, receive, answer)
        except Left:
            return
        except BodyTooLarge:
            await _refuse(send, Refused("The request body is too large.", status=413))
        except Refused as refused:
            await _refuse(send, refused)
        except InfergateError as problem:
            log.error("a request for responses failed", problem=str(problem))
            if answer.begun:
                raise  # it is cut off
            message = "Responses cannot be had now."
            await _refuse(send, Refused(message, status=503, code="unavailable"))
        except Exception:
            if not answer.begun:
                message = "The gateway failed; its log says why."
                await _refuse(send, Refused(message, status=500, code="server_error"))
            raise  # to the log

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Raises Refused."""
        method, path = scope["method"], scope["path"]
        asker = asker_of(Request(scope))
        named = _ONE.fullmatch(path)
        if named is None:
            raise Refused(f"There is no {path[:200]}.", status=404, code="unknown_endpoint")
        id_, what = named[1], named[2] or ""
        takes = ("POST",) if id_ is None else _TAKES[what]
        if method not in takes:
            message = f"This endpoint takes {' and '.join(takes)}, not {method}."
            raise Refused(message, status=405, code="method_not_allowed")
        if id_ is None:
            await self._create.answer(asker, scope, receive, send)
        else:
            await self._looks.answer(asker, method + what, id_, scope, receive, send)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """What was begun is taken up, what is old is removed. Nobody else may do so meanwhile."""
        await self._runs.take_up()
        loops = {"cancelled responses": self._look, "old responses": self._tidy}
        try:
            async with Loops().running(loops):
                yield
        finally:
            await self._runs.stop()

    async def _look(self) -> None:
        while True:
            await self._runs.look()
            await asyncio.sleep(_LOOK_S)

    async def _tidy(self) -> None:
        clock = Clock(at_first=True)
        while True:
            await self.tidy(old=clock.is_trusted())  # else all could seem old
            await asyncio.sleep(_TIDY_S)

    async def tidy(self, *, old: bool = True) -> None:
        """Remove what belonged to revoked keys, and what is older than `retention` says.

        old: whether that is removed, too.
        """
        before = int(time.time() - self._around.settings().retention) if old else 0
        await to_its_end(forget_old_responses, self._around.database, before=before)
        await self._runs.fail_forgotten()


async def _refuse(send: Send, refused: Refused) -> None:
    retry = [(b"retry-after", b"5")] if refused.status == 503 else []
    await answering.answer_json(send, refused.status, refused.document, retry)
