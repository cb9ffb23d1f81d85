"""Backends that hang, drip, flood, redirect or talk nonsense: down, in time, with a reason."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time

import pytest

from infergate.health.ask import OurFault, Target, make_client
from infergate.health.probe import probe

pytestmark = pytest.mark.anyio


async def test_a_backend_that_accepts_and_never_answers(box, probed) -> None:
    async def silence(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    server = await box({"/health": silence})
    result = await probed(server.url, "vllm", timeout_s=0.3)
    assert (result.ok, result.reason) == (False, "no answer within 0.3 s")


async def test_a_frozen_backend_whose_kernel_still_accepts(probed) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:  # nobody calls accept()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        result = await probed(url, "vllm", timeout_s=0.3)
    assert (result.ok, result.reason) == (False, "no answer within 0.3 s")


@pytest.mark.parametrize("part", ["head", "body"])
async def test_a_slow_drip_does_not_outlast_the_timeout(box, part, probed) -> None:
    async def drip(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if part == "body":
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")
        for byte in b"HTTP/1.1 200 OK\r\n" * 50:
            if writer.is_closing():
                return
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0.05)

    server = await box({"/health": drip})
    result = await probed(server.url, "vllm", timeout_s=0.4)
    assert not result.ok
    assert "within 0.4 s" in result.reason


async def test_a_redirect_loop_is_one_request(box, probed) -> None:
    server = await box({"/health": (302, b"", {"location": "/health"})})
    result = await probed(server.url, "vllm")
    assert result.reason == "HTTP 302 from /health, a redirect: give the URL it leads to"
    assert len(server.requests) == 1


async def test_an_endless_answer_is_not_read_to_its_end(box, probed) -> None:
    async def flood(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n\r\n")
        while True:
            writer.write(b"x" * 65536)
            await writer.drain()

    server = await box({"/health": flood})
    result = await probed(server.url, "vllm", timeout_s=10)
    assert result.reason == "an answer from /health of more than 4 MB"


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (b"", "it closed the connection without an answer"),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "its answer is not HTTP"),
        (b"\x15\x03\x01\x00\x02\x02\x46", "its answer is not HTTP"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nx", None),
        (b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 30000, None),
        (b"HTTP/1.1 999999 \xff\r\n\r\n", None),
        (b"HTTP/1.1 200 OK\r\ncontent-length: -4\r\n\r\n", None),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", None),
    ],
)
async def test_what_is_not_http_is_down(box, sent, reason, probed) -> None:
    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(sent)
        await writer.drain()

    result = await probed((await box({"/health": answer})).url, "vllm")
    assert not result.ok
    assert reason is None or result.reason == reason


async def test_a_reset_is_said_in_plain_words(box, probed) -> None:
    async def reset(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        writer.transport.abort()

    result = await probed((await box({"/health": reset})).url, "vllm")
    assert not result.ok
    assert result.reason == "the connection was reset"


async def test_a_compressed_bomb_stays_compressed(box, probed) -> None:
    server = await box({"/health": (200, b"\x1f\x8b" + b"\0" * 100, {"content-encoding": "gzip"})})
    assert (await probed(server.url, "vllm")).ok


async def test_a_timeout_that_came_late_by_our_own_fault_counts_against_nobody(
    box, silence
) -> None:
    server = await box({"/health": silence})
    client = make_client()
    asking = asyncio.create_task(probe(client, Target(server.url, "vllm", 0.3)))
    await asyncio.sleep(0.1)
    time.sleep(0.6)
    with pytest.raises(OurFault, match="late"):
        await asking


async def test_an_answer_that_is_there_when_its_time_is_over_counts() -> None:
    """On a machine under load this process may look at it a moment too late."""
    asked, answer = asyncio.Event(), threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(65536)
                loop.call_soon_threadsafe(asked.set)
                answer.wait(30)
                connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")

        loop, server = asyncio.get_running_loop(), threading.Thread(target=serve)
        server.start()
        url, began = f"http://127.0.0.1:{listening.getsockname()[1]}", time.monotonic()
        asking = asyncio.create_task(probe(make_client(), Target(url, "vllm", timeout_s=0.5)))
        await asked.wait()
        answer.set()
        server.join()
        time.sleep(max(0.0, began + 0.55 - time.monotonic()))
        with contextlib.suppress(OurFault):  # a machine that is yet slower
            assert (await asking).ok
