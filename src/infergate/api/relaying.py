"""Requests that are asked for as they came, and answers that go back so."""

from __future__ import annotations

from starlette.types import Scope, Send

from infergate.api import answering
from infergate.api.caller import passed_back
from infergate.api.connection import Answer


def target_of(scope: Scope) -> str:
    """The path and the query of a request, as they were written."""
    query = scope["query_string"].decode("latin-1")
    path: str = scope["raw_path"].decode("latin-1")
    return path + (f"?{query}" if query else "")


async def relayed(answer: Answer, send: Send) -> None:
    """Raises Unanswered where it breaks off."""
    await answering.start(send, answer.status, passed_back(answer.headers))
    while part := await answer.part():
        await answering.part(send, part)
    await answering.end(send)
