"""Files and batches without nginx: the application, the official client at it, and a double of the
caller, which stands for the gateway's models."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from openai import AsyncOpenAI
from openai.types import Batch
from sqlalchemy import URL

from infergate.api.batches.app import BatchesApp
from infergate.api.batches.calls import BatchAnswer
from infergate.api.files.folder import Folder
from infergate.config.batches import Batches
from infergate.store.batches import OPEN, StoredBatch
from infergate.store.database import Database

NODE = "here"
GIVES_UP_S = 60


Answers = Callable[[Mapping[str, Any]], Awaitable[BatchAnswer]]


class CallerDouble:
    """Not a real caller: answers as it is told, and remembers what it was asked."""

    def __init__(
        self, answer: Callable[[Mapping[str, Any]], Awaitable[BatchAnswer]] | None = None
    ) -> None:
        self.asked: list[Mapping[str, Any]] = []
        self.paths: set[str] = set()
        self.cancelled = self.open = self.most_open = self.ends = 0
        self._answer = answer or echo

    def __call__(self, _batch: StoredBatch) -> CallerDouble:
        return self

    async def end(self) -> None:
        self.ends += 1

    async def call(self, path: str, body: Mapping[str, Any]) -> BatchAnswer:
        self.asked.append(body)
        self.paths.add(path)
        self.open += 1
        self.most_open = max(self.open, self.most_open)
        try:
            return await self._answer(body)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.open -= 1


async def echo(body: Mapping[str, Any]) -> BatchAnswer:
    await asyncio.sleep(0)
    return BatchAnswer(200, {"echo": body["input"]}, "req-1")


def database_in(folder: Path) -> Database:
    return Database(URL.create("sqlite", database=str(folder / "store.db")), keep=True)


class Served:
    """The application over a folder, as one process has it."""

    def __init__(self, folder: Path, caller: CallerDouble, **settings: Any) -> None:
        self.files = folder / "files"
        self.database = database_in(folder)
        self.settings = Batches(**settings)
        self.batches = BatchesApp(
            self.database, NODE, Folder(self.files), lambda: self.settings, caller
        )

    def client(self, owner: str = "k one", key: str = "one") -> AsyncOpenAI:
        """The official client, of a key: its headers are those that nginx sets."""
        told = {"tenant": owner, "key": key, "entry": "e" * 64, "client": "127.0.0.1"}
        http = httpx.AsyncClient(
            transport=httpx.ASGITransport(self.batches.app), timeout=GIVES_UP_S
        )
        return AsyncOpenAI(
            api_key="none",
            base_url="http://gateway/v1",
            http_client=http,
            max_retries=0,
            default_headers={f"x-infergate-{name}": each for name, each in told.items()},
        )


@asynccontextmanager
async def served(folder: Path, caller: CallerDouble, **settings: Any) -> AsyncIterator[Served]:
    it = Served(folder, caller, **settings)
    try:
        async with it.batches.running():
            yield it
    finally:
        it.database.close()


def jsonl(*inputs: Any, endpoint: str = "/v1/embeddings", start: int = 1) -> bytes:
    """A request for each input, of the ids r1, r2, …"""
    return b"".join(
        json.dumps(
            {
                "custom_id": f"r{number}",
                "method": "POST",
                "url": endpoint,
                "body": {"model": "m", "input": each},
            }
        ).encode()
        + b"\n"
        for number, each in enumerate(inputs, start)
    )


async def begun(client: AsyncOpenAI, content: bytes, endpoint: str = "/v1/embeddings") -> Batch:
    file = await client.files.create(file=("in.jsonl", content), purpose="batch")
    return await client.batches.create(
        input_file_id=file.id,
        endpoint=endpoint,  # type: ignore[arg-type]
        completion_window="24h",
    )


async def ended(client: AsyncOpenAI, id_: str) -> Batch:
    """The batch when it has ended."""
    async with asyncio.timeout(GIVES_UP_S):
        while (batch := await client.batches.retrieve(id_)).status in OPEN:
            await asyncio.sleep(0.005)
    return batch


async def lines_of(client: AsyncOpenAI, id_: str | None) -> list[dict[str, Any]]:
    """What is in a file of answers; nothing where there is none."""
    if id_ is None:
        return []
    return [json.loads(each) for each in (await client.files.content(id_)).text.splitlines()]


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(GIVES_UP_S):
        while not condition():
            await asyncio.sleep(0.005)


def walk(
    folder: Path,
    steps: Callable[[Served], Awaitable[None]],
    caller: CallerDouble | None = None,
    **settings: Any,
) -> None:
    """What a client does at a process of batches, which waits for nothing long."""

    async def all_of_it() -> None:
        async with served(folder, caller or CallerDouble(), **settings) as it:
            await steps(it)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("infergate.api.batches.run._WAITS_S", (0.001,))
        asyncio.run(all_of_it())
