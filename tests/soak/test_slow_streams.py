"""A thousand slow streams at once: little memory, nothing held back."""

from __future__ import annotations

import asyncio
import resource
import time
from pathlib import Path

from tests.backends.servers import scripted
from tests.gateway import Gateway, gateway

STREAMS = 1000


def _tree(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(each for child in children for each in _tree(int(child)))]


def _pss_mb(pid: int) -> float:
    """Memory of a process and its children in MB, each shared page divided among who shares it."""
    total_kb = 0
    for each in _tree(pid):
        for line in Path(f"/proc/{each}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total_kb += int(line.split()[1])
    return total_kb / 1024


async def _stream(it: Gateway) -> tuple[float, float, bytes]:
    """Seconds to the first event and to the end, and the last bytes."""
    began = time.monotonic()
    reader, writer = await asyncio.open_connection("127.0.0.1", it.port)
    body = b'{"model":"m","stream":true}'
    writer.write(
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n"
        b"Content-Length: %d\r\n\r\n%s" % (it.key.encode(), len(body), body)
    )
    assert b" 200 " in await reader.readuntil(b"\r\n\r\n")
    await reader.readuntil(b"data: ")
    first = time.monotonic() - began
    rest = await reader.readuntil(b"0\r\n\r\n")
    writer.close()
    return first, time.monotonic() - began, rest[-40:]


def test_a_thousand_slow_streams(engine: str) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    config = "backends: {{ a: {{ url: {url}, engine: vllm }} }}\nmodels: {{ m: [a] }}\n"
    with scripted(name="a") as a, gateway(engine, config.format(url=a.url)) as it:
        a.behave(path_prefix="/v1/chat", chunk_delay_s=1, chunks=20)
        master = it.status()["processes"]["nginx"]

        async def all_of_them() -> tuple[list[tuple[float, float, bytes]], float]:
            streams = [asyncio.create_task(_stream(it)) for _ in range(STREAMS)]
            await asyncio.sleep(12)
            used_mb = await asyncio.to_thread(_pss_mb, master)
            return await asyncio.gather(*streams), used_mb

        results, used_mb = asyncio.run(all_of_them())
        print(engine, f"{used_mb:.0f} MB while {STREAMS} streams ran")
        assert used_mb <= 150
        assert all(b"[DONE]" in last for _, _, last in results)
        assert all(first < whole / 2 for first, whole, _ in results), "nothing is held back"
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
