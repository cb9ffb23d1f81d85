"""A load generator in a process of its own: requests over kept connections, each answer checked.

python -m bench.load HOST PORT CONNECTIONS REQUESTS RATE PROMPT_BYTES TEXT KEY STREAM [HEADERS]

RATE: requests a second over all connections, 0 for as many as are answered. TEXT: "x", or "base64"
for what a picture in a prompt looks like. HEADERS: more, a JSON object.
"""

from __future__ import annotations

import asyncio
import base64
import json
import random
import sys
import time

EXPECTED = b'"usage"'
"""Stands in every good answer, streamed or not; one without it ends the run."""


def prompt(length: int, text: str) -> str:
    """So many characters, the same ones in each run."""
    if text == "base64":
        return base64.b64encode(random.Random(1).randbytes(length))[:length].decode()
    return "x" * length


def request_bytes(
    host: str, content: str, key: str, headers: dict[str, str], *, stream: bool
) -> bytes:
    """One chat request as it goes over the wire."""
    asked: dict[str, object] = {
        "model": "bench",
        "messages": [{"role": "user", "content": content}],
        "max_tokens": 100,
        "temperature": 0.7,
    }
    if stream:
        asked.update(stream=True, stream_options={"include_usage": True})
    body = json.dumps(asked).encode()
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {key}\r\n"
        + "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        + f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def _answer(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(f"not 200: {head!r}")
    lower = head.lower()
    if b"transfer-encoding: chunked" in lower:
        body = b""
        while size := int(await reader.readline(), 16):
            body += await reader.readexactly(size + 2)
        await reader.readexactly(2)
        return body
    length = int(lower.partition(b"\r\ncontent-length:")[2].split(b"\r\n")[0])
    return await reader.readexactly(length)


async def _client(
    host: str,
    port: int,
    request: bytes,
    count: int,
    first_s: float,
    every_s: float,
    latencies_s: list[float],
) -> None:
    reader, writer = await asyncio.open_connection(host, port, limit=2**22)
    due = time.perf_counter() + first_s
    for _ in range(count):
        if (early := due - time.perf_counter()) > 0:
            await asyncio.sleep(early)
        began = time.perf_counter()
        due = max(due, began) + every_s
        writer.write(request)
        body = await _answer(reader)
        latencies_s.append(time.perf_counter() - began)
        if EXPECTED not in body:
            raise RuntimeError(f"a wrong answer: {body[:200]!r}")
    writer.close()


async def run(
    host: str,
    port: int,
    connections: int,
    requests: int,
    rate: float,
    content: str,
    key: str,
    headers: dict[str, str],
    *,
    stream: bool,
) -> list[float]:
    """The latency of each request in seconds."""
    request = request_bytes(host, content, key, headers, stream=stream)
    latencies_s: list[float] = []
    share = max(1, requests // connections)
    apart_s = 1 / rate if rate else 0.0
    await asyncio.gather(
        *(
            _client(host, port, request, share, i * apart_s, connections * apart_s, latencies_s)
            for i in range(connections)
        )
    )
    return latencies_s


def main() -> None:
    host, port, connections, requests, rate, prompt_bytes, text, key, stream = sys.argv[1:10]
    headers = json.loads(sys.argv[10]) if len(sys.argv) > 10 else {}
    latencies_s = asyncio.run(
        run(
            host,
            int(port),
            int(connections),
            int(requests),
            float(rate),
            prompt(int(prompt_bytes), text),
            key,
            headers,
            stream=stream == "yes",
        )
    )
    latencies_s.sort()
    print(
        json.dumps(
            {
                "requests": len(latencies_s),
                "p50_us": latencies_s[len(latencies_s) // 2] * 1e6,
                "p99_us": latencies_s[int(len(latencies_s) * 0.99)] * 1e6,
            }
        )
    )


if __name__ == "__main__":
    main()
