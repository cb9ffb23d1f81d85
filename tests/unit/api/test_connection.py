"""What the tier asks nginx on: kept connections, closed where nobody waits any more."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from infergate.api.caller import Caller
from infergate.api.connection import NobodyThere, Unanswered
from infergate.api.inner import Inner, whole

CALLER = Caller("igt-1", "parent", "127.0.0.1", "")
HEAD = b"HTTP/1.1 200 OK\r\nX-One: a\r\nTransfer-Encoding: chunked\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Nginx:
    """In its place: asked has the heads of requests, closed is how many connections ended."""

    def __init__(self, path: Path, serve: Serve) -> None:
        self.path, self._serve = path, serve
        self.opened = 0
        self.closed = asyncio.Event()

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.opened += 1
        try:
            await self._serve(reader, writer)
            while await reader.read(65536):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.closed.set()
            writer.close()


@asynccontextmanager
async def nginx(serve: Serve) -> AsyncIterator[tuple[Nginx, Inner]]:
    with tempfile.TemporaryDirectory() as folder:
        it = Nginx(Path(folder) / "n.sock", serve)
        server = await asyncio.start_unix_server(it.connected, it.path)
        try:
            yield it, Inner(it.path)
        finally:
            server.close()


async def request(reader: asyncio.StreamReader) -> bytes:
    """The head of one; its body is `{}`."""
    head = await reader.readuntil(b"\r\n\r\n")
    await reader.readexactly(2)
    return head


async def asked(inner: Inner) -> bytes:
    async with inner.ask(CALLER, "POST", "/v1/x", b"{}") as answer:
        return await whole(answer, 10**6)


def test_what_is_sent_and_what_comes() -> None:
    heads = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await request(reader))
        writer.write(
            b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + HEAD + b"2\r\nhi\r\n0\r\n\r\n"
        )

    async def run() -> None:
        async with nginx(serve) as (_, inner):
            more = [(b"x-more", b"1"), (b"content-length", b"9")]
            async with inner.ask(CALLER, "POST", "/v1/x?a=b", b"{}", more) as answer:
                assert (answer.status, answer.header(b"x-one")) == (200, "a")
                assert answer.header(b"link") == ""
                assert await whole(answer, 10) == b"hi"

    asyncio.run(run())
    lines = heads[0].decode().split("\r\n")
    assert lines[0] == "POST /v1/x?a=b HTTP/1.1"
    assert set(lines[1:-2]) == {
        "host: infergate",
        "authorization: Bearer igt-1",
        "x-infergate-client: 127.0.0.1",
        "content-type: application/json",
        "accept-encoding: identity",
        "content-length: 2",
        "x-more: 1",
    }


def test_a_connection_is_kept_also_of_a_stream_that_was_left_at_its_last_event() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await request(reader)
            writer.write(HEAD + b"2\r\nhi\r\n")
            await writer.drain()
            await asyncio.sleep(0)
            writer.write(b"0\r\n\r\n")

    async def run() -> None:
        async with nginx(serve) as (it, inner):
            for _ in range(5):
                async with inner.ask(CALLER, "POST", "/v1/x", b"{}") as answer:
                    assert await answer.part() == b"hi"
                for _ in range(10):
                    await asyncio.sleep(0)
                while not inner.kept:
                    await asyncio.sleep(0)
            assert it.opened == 1

    asyncio.run(run())


def test_one_whose_stream_goes_on_behind_its_last_event_is_closed() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request(reader)
        writer.write(HEAD)
        while not writer.is_closing():
            writer.write(b"3e8\r\n" + b"x" * 1000 + b"\r\n")
            await writer.drain()
            await asyncio.sleep(0)

    async def run() -> None:
        async with nginx(serve) as (it, inner):
            async with inner.ask(CALLER, "POST", "/v1/x", b"{}") as answer:
                await answer.part()
            await asyncio.wait_for(it.closed.wait(), 60)
            assert inner.kept == 0

    asyncio.run(run())


def test_whoever_leaves_closes_the_connection() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request(reader)
        writer.write(HEAD + b"2\r\nhi\r\n")

    async def run() -> None:
        async with nginx(serve) as (it, inner):
            there = asyncio.Event()

            async def ask() -> None:
                async with inner.ask(CALLER, "POST", "/v1/x", b"{}") as answer:
                    await answer.part()
                    there.set()
                    await answer.part()

            task = asyncio.create_task(ask())
            await there.wait()
            task.cancel()
            await asyncio.wait_for(it.closed.wait(), 60)
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(run())


def test_a_kept_connection_that_nginx_closed_unread_is_no_fault() -> None:
    """nginx ends idle ones at a reload: a request may just be on its way."""
    turns = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        turns.append(1)
        await request(reader)
        writer.write(ANSWER)
        if len(turns) == 1:
            writer.transport.pause_reading()  # type: ignore[attr-defined]
            await asked_again.wait()
            writer.transport.abort()  # type: ignore[attr-defined]

    asked_again = asyncio.Event()

    async def run() -> None:
        async with nginx(serve) as (it, inner):
            assert await asked(inner) == b"hi"
            task = asyncio.create_task(asked(inner))
            for _ in range(3):
                await asyncio.sleep(0)
            asked_again.set()
            assert await task == b"hi"
            assert it.opened == 2

    asyncio.run(run())


def test_a_request_that_was_read_is_not_sent_twice() -> None:
    heads = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await request(reader))
        writer.write(ANSWER)
        heads.append(await request(reader))
        writer.transport.abort()  # type: ignore[attr-defined]

    async def run() -> None:
        async with nginx(serve) as (_, inner):
            assert await asked(inner) == b"hi"
            with pytest.raises(Unanswered):
                await asked(inner)

    asyncio.run(run())
    assert len(heads) == 2


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhi",
        HEAD + b"2\r\nhi\r\n",
        HEAD + b"zz\r\n",
        b"not HTTP at all\r\n\r\n",
    ],
)
def test_what_breaks_off_says_so(answer: bytes) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request(reader)
        writer.write(answer)
        await writer.drain()
        writer.close()

    async def run() -> None:
        async with nginx(serve) as (_, inner):
            with pytest.raises(Unanswered):
                await asked(inner)
            assert inner.kept == 0

    asyncio.run(run())


def test_nobody_there() -> None:
    async def run() -> None:
        with pytest.raises(NobodyThere):
            await asked(Inner(Path("/nonexistent/n.sock")))

    asyncio.run(run())


def test_an_answer_that_nobody_reads_waits_at_nginx() -> None:
    sent = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 50000000\r\n\r\n")
        for _ in range(500):
            writer.write(b"x" * 100_000)
            await writer.drain()
            sent += 100_000

    async def run() -> None:
        async with (
            nginx(serve) as (_, inner),
            inner.ask(CALLER, "POST", "/v1/x", b"{}") as answer,
        ):
            size = len(await answer.part())
            before = -1
            while before != (before := sent):
                await asyncio.sleep(0.05)
            assert sent < 5_000_000
            while part := await answer.part():
                size += len(part)
            assert size == 50_000_000

    asyncio.run(run())


@pytest.mark.parametrize("header", [b"a\r\nx-infergate-client: 10.0.0.1", b"a\nb", b"a\rb"])
def test_a_header_does_not_become_two(header: bytes) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request(reader)
        writer.write(ANSWER)

    async def run() -> None:
        async with nginx(serve) as (_, inner):
            with pytest.raises(ValueError):
                async with inner.ask(CALLER, "POST", "/v1/x", b"{}", [(b"x-a", header)]):
                    pass
            with pytest.raises(ValueError):
                async with inner.ask(CALLER, "POST", "/v1/x HTTP/1.1\r\nX: y", b"{}"):
                    pass

    asyncio.run(run())
