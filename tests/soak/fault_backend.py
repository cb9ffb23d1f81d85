"""A backend that does something wrong with every fourth request.

python -m tests.soak.fault_backend PORT SEED
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
import sys

USAGE = {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}
FAULTS = (
    "close",
    "reset",
    "truncate",
    "garbage",
    "half-status",
    "error-event",
    "503",
    "429",
    "500",
    "slow",
)


def _head(status: str, content_type: str, more: str) -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\n{more}\r\n\r\n".encode()


def _whole(value: object, status: str = "200 OK") -> bytes:
    body = json.dumps(value).encode()
    return _head(status, "application/json", f"Content-Length: {len(body)}") + body


def _events(wants_usage: bool) -> list[bytes]:
    events: list[object] = [
        {"choices": [{"index": 0, "delta": {"content": f"{n} "}, "finish_reason": None}]}
        for n in range(5)
    ]
    events.append({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    if wants_usage:
        events.append({"choices": [], "usage": USAGE})
    return [*(f"data: {json.dumps(e)}\n\n".encode() for e in events), b"data: [DONE]\n\n"]


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


async def _answer(writer: asyncio.StreamWriter, body: bytes, fault: str | None) -> bool:
    """Answer one request; whether the connection stays."""
    asked = json.loads(body)
    if fault == "hang":
        await asyncio.sleep(30)
        return False
    if fault == "close":
        return False
    if fault == "reset":
        writer.transport.abort()
        return False
    if fault in ("garbage", "half-status"):
        writer.write(b"\x00\x01\x02 nonsense\r\n\r\n" if fault == "garbage" else b"HTTP/1.1 2")
        return False
    if fault is not None and fault.isdigit():
        writer.write(_whole({"error": {"message": "on purpose"}}, f"{fault} Fault"))
        return True
    if not asked.get("stream"):
        whole = _whole(
            {"choices": [{"message": {"role": "assistant", "content": "x" * 300}}], "usage": USAGE}
        )
        cut = len(whole) // 2 if fault == "truncate" else len(whole)
        writer.write(whole[:cut])
        await asyncio.sleep(0.05 if fault == "slow" else 0)
        return fault != "truncate"
    events = _events(bool((asked.get("stream_options") or {}).get("include_usage")))
    if fault == "error-event":
        events[2:] = [b'data: {"error": {"message": "engine died", "code": 500}}\n\n']
    writer.write(_head("200 OK", "text/event-stream", "Transfer-Encoding: chunked"))
    for number, event in enumerate(events):
        if fault == "truncate" and number == 3:
            writer.write(_chunk(event)[:20])
            return False
        writer.write(_chunk(event))
        if fault == "slow":
            await writer.drain()
            await asyncio.sleep(0.01)
    writer.write(b"0\r\n\r\n")
    return True


async def main(port: int, seed: int) -> None:
    chance = random.Random(seed)

    async def connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                if head.startswith("GET"):
                    writer.write(_whole({"data": [{"id": "m", "owned_by": "vllm"}]}))
                    continue
                length = int(head.lower().partition("content-length:")[2].split("\r\n")[0])
                body = await reader.readexactly(length)
                draw = chance.random()
                fault = "hang" if draw < 0.0005 else chance.choice(FAULTS) if draw < 0.25 else None
                stays = await _answer(writer, body, fault)
                await writer.drain()
                if not stays:
                    break
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(connection, "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)  # clients leave; that is the point
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
