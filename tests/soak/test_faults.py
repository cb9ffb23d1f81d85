"""Random faults of three backends: every client gets a whole answer or a well-formed error.

INFERGATE_FAULTS: how many faults at least (a quarter of the requests has one); 200,000 by default.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import subprocess
import sys
from collections import Counter
from contextlib import ExitStack

from infergate.live.shared_memory import read
from infergate.paths import Home
from tests.backends.servers import free_port
from tests.gateway import Gateway, gateway, until

FAULTS = int(os.environ.get("INFERGATE_FAULTS", "200000"))
CLIENTS = 64

CONFIG = """
backends:
  a: {{ url: http://127.0.0.1:{0}, engine: vllm, max_in_flight: 32 }}
  b: {{ url: http://127.0.0.1:{1}, engine: vllm, max_in_flight: 32 }}
  c: {{ url: http://127.0.0.1:{2}, engine: vllm }}
models:
  m: {{ backends: [a, b, c], timeouts: {{ first_byte: 1s, idle: 1s }} }}
  quick: {{ backends: [a, b, c], upstream_name: m }}
  bounded: {{ backends: [a, b], upstream_name: m }}
timeouts: {{ first_byte: 2s, idle: 2s }}
breaker: {{ failures: 50, error_rate: 0.9, cooldown: 200ms, max_cooldown: 400ms }}
"""


def _wrong(status: int, stream: bool, body: bytes, complete: bool) -> str | None:
    """What is wrong with an answer; None if it is whole, or a well-formed error."""
    if status != 200:
        error = json.loads(body)["error"]
        return None if error["message"] and complete else "an error without words"
    if not stream:
        if not complete:
            return None  # Content-Length says that it is cut
        return None if json.loads(body)["usage"] else "no usage"
    events = [line[6:] for line in body.decode().splitlines() if line.startswith("data: ")]
    if events and events[-1] == "[DONE]":
        if any('"usage"' in event for event in events):
            return "usage that was not asked for"
        texts = [e for e in events if e != "[DONE]" and "content" in e]
        return None if complete and len(texts) == 5 else "a whole stream with pieces missing"
    last = json.loads(events[-1]) if events else {}
    return None if "error" in last else "a stream that ends without a word"


async def _one(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, it: Gateway, chance: random.Random
) -> tuple[str, bool]:
    """One request. What came of it, and whether the connection can be used again."""
    stream = chance.random() < 0.5
    model = chance.choice(("m", "quick", "bounded"))
    body = json.dumps({"model": model, "stream": stream, "messages": []}).encode()
    writer.write(
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n"
        b"Content-Length: %d\r\n\r\n%s" % (it.key.encode(), len(body), body)
    )
    if chance.random() < 0.02:
        await asyncio.sleep(chance.random() * 0.005)
        return "left", False
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
    status, got, complete = int(head.split(" ", 2)[1]), b"", True
    try:
        if "transfer-encoding: chunked" in head:
            while size := int(await reader.readline(), 16):
                got += (await reader.readexactly(size + 2))[:-2]
            await reader.readexactly(2)
        else:
            length = int(head.partition("content-length:")[2].split("\r\n")[0])
            got = await reader.readexactly(length)
    except (asyncio.IncompleteReadError, ConnectionError, ValueError):
        complete = False
    wrong = _wrong(status, stream, got, complete)
    assert wrong is None, (wrong, status, stream, complete, head, got[-600:])
    kind = "whole" if status == 200 and complete else f"{status}{'' if complete else ' cut'}"
    return kind, complete and "connection: close" not in head


async def _client(it: Gateway, number: int, requests: int, seen: Counter[str]) -> None:
    chance = random.Random(number)
    done = 0
    while done < requests:
        reader, writer = await asyncio.open_connection("127.0.0.1", it.port)
        again = True
        while again and done < requests:
            kind, again = await asyncio.wait_for(_one(reader, writer, it, chance), 30)
            seen[kind] += 1
            done += 1
        writer.close()


def test_every_client_gets_a_whole_answer_or_a_well_formed_error(engine: str) -> None:
    ports = [free_port() for _ in range(3)]
    with ExitStack() as stack:
        for seed, port in enumerate(ports):
            command = [sys.executable, "-m", "tests.soak.fault_backend", str(port), str(seed)]
            stack.callback(subprocess.Popen(command).kill)
        it = stack.enter_context(gateway(engine, CONFIG.format(*ports)))
        seen: Counter[str] = Counter()

        async def campaign() -> None:
            async with asyncio.TaskGroup() as group:
                for number in range(CLIENTS):
                    group.create_task(_client(it, number, FAULTS * 4 // CLIENTS, seen))

        asyncio.run(campaign())
        print(engine, dict(seen))

        def at_rest() -> bool:
            live = read(Home(it.home).socket)
            return live.waiting == 0 and not any(live.in_flight.values())

        until(at_rest)
        log = (it.home / "logs" / "error.log").read_text().splitlines()
        assert [line for line in log if "js exception" in line or "short way failed" in line] == []
        assert seen["whole"] > FAULTS
