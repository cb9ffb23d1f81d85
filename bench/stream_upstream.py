"""A mock backend that streams: each chunk in a write of its own, as a model makes them, one after
the other and not as fast as they can be sent. Only a POST is answered so.

python -m bench.stream_upstream PORT CHUNKS CHUNKS_PER_SECOND
"""

from __future__ import annotations

import asyncio
import json
import sys


def _event(value: object) -> bytes:
    data = b"data: %s\n\n" % json.dumps(value).encode()
    return b"%x\r\n%s\r\n" % (len(data), data)


async def main() -> None:
    port, chunks, rate = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    base = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "bench"}
    piece = _event(
        {
            **base,
            "choices": [
                {
                    "index": 0,
                    "delta": {"content": " token"},
                    "logprobs": None,
                    "finish_reason": None,
                }
            ],
        }
    )
    usage = {"prompt_tokens": 10, "completion_tokens": chunks, "total_tokens": chunks + 10}
    last = _event({**base, "choices": [], "usage": usage}) + b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n"
    head = (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    models = json.dumps({"object": "list", "data": [{"id": "bench", "owned_by": "vllm"}]}).encode()
    listing = (
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        % len(models)
    )

    async def connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                asked = await reader.readuntil(b"\r\n\r\n")
                length = asked.lower().partition(b"\r\ncontent-length:")[2].split(b"\r\n")[0]
                await reader.readexactly(int(length or 0))
                if not asked.startswith(b"POST "):
                    writer.write(listing if asked.startswith(b"HEAD ") else listing + models)
                    continue
                writer.write(head)
                for _ in range(chunks):
                    writer.write(piece)
                    await asyncio.sleep(1 / rate)
                writer.write(last)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(connection, "127.0.0.1", port)
    await server.serve_forever()


asyncio.run(main())
