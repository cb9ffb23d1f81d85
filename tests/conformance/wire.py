"""The backend the gateway under test points at: a TCP server that plays scripts byte for byte.

    python -m tests.conformance.wire --port P [--port Q] --control-port C

It stands in for vLLM: /health, /version and /v1/models answer as vLLM's do. Every POST gets the
first script that fits, or a good answer. All ports are one process, so that "whichever backend is
asked first fails" can be said. It is told what to do on a port of its own, which no gateway sees:

    POST /scripts    a list of wire_script.Script; replaces the ones before
    POST /reset      no scripts, no records, all ports open, all gates released
    POST /release    {"count": n}: that many gates open
    POST /refuse     {"port": P}: connections to P are refused until the next reset
    POST /drop       close the kept connections that carry no request; {"dropped": n}
    GET  /requests   a record of every POST
    GET  /stats      {"open": n, "max_open": n}: POSTs being answered
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from contextlib import suppress
from typing import Any

from tests.conformance import answers
from tests.conformance.wire_http import Reader, Request, raise_file_limit, read_request, record_of
from tests.conformance.wire_script import Script


class Wire:
    """The scripts, the ports, and what came in."""

    def __init__(self) -> None:
        self.scripts: list[Script] = []
        self.left: list[int | None] = []  # how often each script may still be played
        self.records: list[dict[str, Any]] = []
        self.gate = asyncio.Semaphore(0)
        self.open = self.max_open = self.connections = 0
        self.listeners: dict[int, asyncio.Server] = {}
        self.refusing: set[int] = set()
        self.idle: dict[asyncio.StreamWriter, int] = {}

    def set_scripts(self, scripts: list[Script]) -> None:
        self.scripts, self.left = scripts, [script.times for script in scripts]

    def script_for(self, port: int, reused: bool) -> int | None:
        """The number of the script a request gets, used up by one; None is a good answer."""
        for number, script in enumerate(self.scripts):
            fits = script.port in (None, port) and (reused or not script.reused_only)
            remaining = self.left[number]
            if fits and remaining != 0:
                if remaining is not None:
                    self.left[number] = remaining - 1
                return number
        return None

    async def listen(self, port: int) -> None:
        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            assert isinstance(reader, Reader)
            with suppress(ConnectionError, asyncio.IncompleteReadError, ValueError):
                await self._serve(reader, writer, port)
            self.idle.pop(writer, None)
            writer.close()

        self.listeners[port] = await asyncio.get_running_loop().create_server(
            lambda: asyncio.StreamReaderProtocol(Reader(), connected),
            "127.0.0.1",
            port,
            backlog=4096,
        )

    def refuse(self, port: int) -> None:
        """Stop listening, and drop kept connections: the process is gone."""
        self.listeners.pop(port).close()
        self.refusing.add(port)
        for writer in [each for each, at in self.idle.items() if at == port]:
            writer.transport.abort()

    def drop(self) -> int:
        """Close kept connections, as a server does when its keep-alive time is over."""
        waiting = list(self.idle)
        for writer in waiting:
            writer.close()
        return len(waiting)

    async def _serve(self, reader: Reader, writer: asyncio.StreamWriter, port: int) -> None:
        self.connections += 1
        connection, count = self.connections, 0
        while True:
            self.idle[writer] = port
            request = await read_request(reader, writer)
            del self.idle[writer]
            count += 1
            if request.method != "POST":
                writer.write(_listing(request.path))
                await writer.drain()
                continue
            number = self.script_for(port, count > 1)
            script = self.scripts[number] if number is not None else _good(request)
            record = record_of(request, port, connection, count, number)
            self.records.append(record)
            self.open += 1
            self.max_open = max(self.max_open, self.open)
            try:
                played = await self._until_played_or_left(script, request, reader, writer)
                record["aborted"] = not played
            finally:
                record["ended_s"] = time.time()
                self.open -= 1
            if record["aborted"] or script.end != "keep":
                return

    async def _until_played_or_left(
        self, script: Script, request: Request, reader: Reader, writer: asyncio.StreamWriter
    ) -> bool:
        """Whether the script was played to its end before the other side left."""
        playing = asyncio.ensure_future(self._play(script, request, writer))
        leaving = asyncio.ensure_future(reader.left.wait())
        await asyncio.wait([playing, leaving], return_when=asyncio.FIRST_COMPLETED)
        played = playing.done() and playing.exception() is None
        playing.cancel()
        leaving.cancel()
        await asyncio.gather(playing, leaving, return_exceptions=True)
        return played

    async def _play(self, script: Script, request: Request, writer: asyncio.StreamWriter) -> None:
        for step in script.steps:
            if step.with_usage and not request.wants_usage:
                continue
            if step.gate:
                await self._pass_gate(step.ping_s, writer)
            for data in step.writes():
                writer.write(data)
                await writer.drain()
                if step.pause_s:
                    await asyncio.sleep(step.pause_s)
        if script.end == "hang":
            await asyncio.Event().wait()
        elif script.end == "reset":
            writer.transport.abort()
        elif script.end == "close":
            writer.close()

    async def _pass_gate(self, ping_s: float, writer: asyncio.StreamWriter) -> None:
        while True:
            try:
                await asyncio.wait_for(self.gate.acquire(), ping_s or None)
                return
            except TimeoutError:
                writer.write(answers.chunk(answers.PING))
                await writer.drain()

    async def control(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One order per connection."""
        assert isinstance(reader, Reader)
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            request = await read_request(reader, writer)
            body = json.dumps(await self._obey(request.path, request.json)).encode()
            writer.write(answers.head(content_length=str(len(body)), connection="close") + body)
            await writer.drain()
        writer.close()

    async def _obey(self, path: str, given: Any) -> Any:
        if path == "/requests":
            return self.records
        if path == "/scripts":
            self.set_scripts([Script.from_json(each) for each in given["scripts"]])
        elif path == "/reset":
            self.set_scripts([])
            self.records = []
            waiting, self.gate = self.gate, asyncio.Semaphore(0)
            for _ in range(self.open * 100):
                waiting.release()
            self.max_open = self.open
            while self.refusing:
                await self.listen(self.refusing.pop())
        elif path == "/release":
            for _ in range(given["count"]):
                self.gate.release()
        elif path == "/refuse":
            self.refuse(given["port"])
        elif path == "/drop":
            return {"dropped": self.drop()}
        return {"open": self.open, "max_open": self.max_open}


def _good(request: Request) -> Script:
    return answers.stream() if request.json.get("stream") else answers.whole()


def _listing(path: str) -> bytes:
    """vLLM's answers to the probes of gateways."""
    card = {"id": "m", "object": "model", "created": 0, "owned_by": "vllm", "root": "m"}
    known: dict[str, object] = {
        "/health": {},
        "/version": {"version": "0.10.0"},
        "/v1/models": {"object": "list", "data": [card]},
        "/v1/models/m": card,
    }
    found = known.get(path.partition("?")[0])
    status = 404 if found is None else 200
    body = json.dumps({"detail": "Not Found"} if found is None else found).encode()
    fields = {"content_type": "application/json", "content_length": str(len(body))}
    return answers.head(status, **fields) + body


async def _serve(ports: list[int], control_port: int) -> None:
    wire = Wire()
    for port in ports:
        await wire.listen(port)
    server = await asyncio.get_running_loop().create_server(
        lambda: asyncio.StreamReaderProtocol(Reader(), wire.control), "127.0.0.1", control_port
    )
    await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, action="append", required=True)
    parser.add_argument("--control-port", type=int, required=True)
    options = parser.parse_args()
    raise_file_limit()
    asyncio.run(_serve(options.port, options.control_port))


if __name__ == "__main__":
    main()
