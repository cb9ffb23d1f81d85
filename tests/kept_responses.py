"""Responses that are kept, without nginx: the application, the official client at it, and a double
of what is asked of models."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from openai import AsyncOpenAI
from openai.types.responses import Response
from sqlalchemy import insert

from infergate.api.caller import Caller
from infergate.api.responses.app import ResponsesApp
from infergate.api.responses.around import ResponsesAround
from infergate.api.turns import Turns
from infergate.config.responses import KeptResponses
from infergate.store.responses import OPEN, StoredResponse
from infergate.store.tables import keys, secrets
from tests import dialects
from tests.batches import GIVES_UP_S, database_in

NODE = "here"
MINE, YOURS = "m" * 64, "y" * 64
"""Entries of two keys."""


class InnerDouble:
    """Not nginx: answers as it is told, and remembers what it was asked.

    says: for each request one, the last of them from then on: a whole answer, the chunks of a
    stream, or a status and an error. holds: whether an answer waits for `go`.
    """

    def __init__(self, *says: Any, holds: bool = False) -> None:
        self.says = list(says) or [dialects.answer(content="hi")]
        self.asked: list[dict[str, Any]] = []
        self.callers: list[Caller] = []
        self.go = asyncio.Event()
        self.cancelled = 0
        if not holds:
            self.go.set()

    @asynccontextmanager
    async def ask(
        self, caller: Caller, method: str, path: str, body: bytes, headers: Any = ()
    ) -> AsyncIterator[AnswerDouble]:
        self.asked.append(json.loads(body))
        self.callers.append(caller)
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        says = self.says.pop(0) if len(self.says) > 1 else self.says[0]
        status, kind = 200, "application/json"
        if isinstance(says, list):
            kind = "text/event-stream"
            pieces = [b"data: %s\n\n" % json.dumps(each).encode() for each in says]
        elif isinstance(says, tuple):
            status, error = says
            pieces = [json.dumps({"error": error}).encode()]
        else:
            pieces = [json.dumps(says).encode()]

        yield AnswerDouble(status, kind, pieces)


class AnswerDouble:
    """Of api/connection.py, as far as it is read."""

    def __init__(self, status: int, kind: str, pieces: list[bytes]) -> None:
        self.status, self._pieces = status, [*pieces, b""]
        self.headers = [(b"content-type", kind.encode()), (b"retry-after", b"0")]

    def header(self, name: bytes) -> str:
        return dict(self.headers).get(name, b"").decode()

    async def part(self) -> bytes:
        return self._pieces.pop(0)


class GrantDouble:
    """Not nginx's memory. is_valid: whether the key is."""

    is_valid = True

    async def token(self, refused: str | None = None) -> str | None:
        return "igt-1" if self.is_valid and refused is None else None

    async def end(self) -> None:
        pass


class Served:
    """The application over a folder, as one process has it."""

    def __init__(self, folder: Path, inner: InnerDouble, **settings: Any) -> None:
        self.database = database_in(folder)
        self.settings = KeptResponses(**settings)
        self.grant, self.inner, self.largest = GrantDouble(), inner, 1024**2

        def grant(_: StoredResponse) -> GrantDouble:
            return self.grant

        turns = Turns(lambda: self.settings.concurrent)
        self.around = ResponsesAround(
            self.database,
            NODE,
            lambda: self.settings,
            lambda: self.largest,
            inner,  # type: ignore[arg-type]
            grant,
            turns,
        )
        self.app = ResponsesApp(self.around)

    def http(self, entry: str = MINE) -> httpx.AsyncClient:
        """A client of a key: its headers are those that nginx sets."""
        told = {"tenant": "k one", "key": "one", "entry": entry, "client": "127.0.0.1"}
        return httpx.AsyncClient(
            transport=httpx.ASGITransport(self.app),
            timeout=GIVES_UP_S,
            base_url="http://gateway",
            headers={f"x-infergate-{name}": each for name, each in told.items()},
        )

    def client(self, entry: str = MINE) -> AsyncOpenAI:
        return AsyncOpenAI(
            api_key="none",
            base_url="http://gateway/v1",
            http_client=self.http(entry),
            max_retries=0,
            _strict_response_validation=True,
        )

    def add_key(self, id_: str, *entries: str, revoked_at: int | None = None) -> None:
        """To the store."""
        with self.database.write() as connection:
            values = {"id": id_, "name": id_, "allowed": "{}", "created_at": 1}
            connection.execute(insert(keys).values(**values, revoked_at=revoked_at))
            for each in entries:
                row = {"hash": each, "key": id_, "prefix": "ig-", "created_at": 1}
                connection.execute(insert(secrets).values(**row))


@asynccontextmanager
async def served(
    folder: Path, inner: InnerDouble | None = None, **settings: Any
) -> AsyncIterator[Served]:
    it = Served(folder, inner or InnerDouble(), **settings)
    try:
        async with it.app.running():
            yield it
    finally:
        it.database.close()


async def ended(client: AsyncOpenAI, id_: str) -> Response:
    """A response when it has."""
    async with asyncio.timeout(GIVES_UP_S):
        while (found := await client.responses.retrieve(id_)).status in OPEN:
            await asyncio.sleep(0.005)
    return found


def walk(
    folder: Path,
    steps: Callable[[Served], Awaitable[None]],
    *says: Any,
    holds: bool = False,
    **settings: Any,
) -> None:
    """What clients do at one process."""

    async def all_of_it() -> None:
        async with served(folder, InnerDouble(*says, holds=holds), **settings) as it:
            await steps(it)

    asyncio.run(all_of_it())
