"""Five thousand clients that drip their requests do not keep a normal one waiting."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import time

from tests.backends.servers import scripted
from tests.backends.web_service import web_service
from tests.gateway import Gateway, gateway

CLIENTS = 5000
HEADER_S = 10


async def _drip(it: Gateway, begin: asyncio.Event, number: int) -> float:
    """A head that gets a byte a second and never ends; seconds until the gateway hangs up."""
    reader, writer = await asyncio.open_connection("127.0.0.1", it.port)
    await begin.wait()
    began = time.monotonic()
    host = b"web.test" if number % 2 else b"x"
    with contextlib.suppress(ConnectionError):
        writer.write(b"GET /v1/models HTTP/1.1\r\nHost: " + host + b"\r\nX-Drip: ")
        while not reader.at_eof():
            writer.write(b"x")
            await writer.drain()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(reader.read(1000), 1)
    writer.close()
    return time.monotonic() - began


def test_slow_loris(engine: str) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with (
        scripted(name="a") as a,
        web_service() as web,
        gateway(
            engine,
            f"backends: {{ a: {a.url} }}\n"
            f"limits: {{ slow_clients: {{ header: {HEADER_S}s }} }}\n"
            f"services: {{ web: {{ url: {web.url}, host: web.test, auth: none }} }}\n",
        ) as it,
    ):

        async def campaign() -> tuple[list[float], list[float]]:
            begin = asyncio.Event()
            clients = []
            for number in range(CLIENTS):
                clients.append(asyncio.create_task(_drip(it, begin, number)))
                if number % 200 == 0:
                    await asyncio.sleep(0.02)  # a listen queue has 511 places
            begin.set()
            await asyncio.sleep(2)
            took = []
            for _ in range(50):
                began = time.monotonic()
                answer = await asyncio.to_thread(it.chat)
                assert answer.status_code == 200
                took.append(time.monotonic() - began)
            return sorted(took), sorted(await asyncio.gather(*clients))

        took, kept = asyncio.run(campaign())
        log = (it.home / "logs" / "error.log").read_text()
    print(
        f"{engine}: {CLIENTS} slow clients; a normal one took {took[25] * 1000:.0f} ms (median), "
        f"{took[-1] * 1000:.0f} ms at most; they were hung up on after {kept[0]:.0f} to "
        f"{kept[-1]:.0f} s"
    )
    assert took[25] < 1
    assert kept[-1] < HEADER_S * 3
    assert "worker_connections are not enough" not in log
