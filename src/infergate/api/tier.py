"""What nginx hands over (njs/tier.js), as an ASGI application of its own: FastAPI in between would
cost each request a millisecond, and there is nothing here for it to do."""

from __future__ import annotations

from starlette.concurrency import run_in_threadpool
from starlette.types import Receive, Scope, Send

from infergate.api import answering
from infergate.api.answering import BodyTooLarge, Left, Noting, body_of, while_there
from infergate.api.caller import Caller, caller_of, passed_on
from infergate.api.connection import Unanswered
from infergate.api.continued import Continued
from infergate.api.dialects import table
from infergate.api.guard.guarded import Guards
from infergate.api.inner import Inner
from infergate.api.relaying import relayed, target_of
from infergate.api.translate import translated
from infergate.api.unpack import Packed, unpacked
from infergate.contract.tier import Handed

_SMALL = 64 * 1024
"""Bytes of a compressed body that are unpacked at once; more takes a thread, while others go on."""


class Tier:
    """The application."""

    def __init__(self, inner: Inner, largest_body: int, guards: Guards) -> None:
        """largest_body: `limits.max_body`; what is unpacked may be no larger either."""
        self._inner, self._largest, self._guards = inner, largest_body, guards

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        path = scope["path"]
        caller = caller_of(scope["headers"])
        try:
            body = await body_of(receive, self._largest)
        except Left:
            return
        except BodyTooLarge:
            await _refused(send, path, 413, "The request body is larger than this gateway accepts.")
            return
        answer = Noting(send)
        if caller.handed == Handed.GUARD:
            told = dict(scope["headers"]).get(b"x-infergate-guards", b"").decode("latin-1")
            work = self._guards.answer(caller, told.split(), scope, body, answer)
        elif caller.handed == Handed.BODY:
            work = self._unpacked(caller, scope, body, answer)
        elif caller.handed == Handed.CONTINUE:
            work = self._continued(caller, scope, body, answer)
        else:
            work = translated(self._inner, caller, scope, body, answer)
        try:
            await while_there(receive, work)
        except Exception:
            if not answer.begun:  # else it is cut off
                await _refused(send, path, 500, "The gateway failed; its log says why.")
            raise  # to the log

    async def _unpacked(self, caller: Caller, scope: Scope, body: bytes, send: Send) -> None:
        """Ask for the same with the body as it is meant; all else is decided by what comes out."""
        coding = dict(scope["headers"]).get(b"content-encoding", b"").decode("latin-1").lower()
        try:
            if len(body) <= _SMALL:
                plain = unpacked(body, coding, self._largest)
            else:
                plain = await run_in_threadpool(unpacked, body, coding, self._largest)
        except Packed as problem:
            await _refused(send, scope["path"], problem.status, problem.message)
            return
        begun = False
        try:
            on = passed_on(scope["headers"])
            asked = self._inner.ask(caller, scope["method"], target_of(scope), plain, on)
            async with asked as answer:
                begun = True
                await relayed(answer, send)
        except Unanswered:
            if begun:
                return  # cut off by uvicorn: what came is not all
            await _refused(send, scope["path"], 502, "The gateway does not answer itself.")

    async def _continued(self, caller: Caller, scope: Scope, body: bytes, send: Send) -> None:
        try:
            await Continued(self._inner, caller, scope, body, send).answer(self._largest)
        except Unanswered:
            await _refused(send, scope["path"], 502, "The gateway does not answer itself.")


async def _refused(send: Send, path: str, status: int, message: str) -> None:
    kind = "invalid_request_error" if status < 500 else "server_error"
    error = {"message": message, "type": kind, "param": None, "code": "invalid_request"}
    status, document = table.error(path, status, error)
    await answering.answer_json(send, status, document)
