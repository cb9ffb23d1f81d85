"""The wire backend as a process of its own, and the suite's hold on it."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.conformance.client import Target, exchange
from tests.conformance.wire_script import Script

_ROOT = Path(__file__).parents[2]
_START_S = 10


@dataclass(frozen=True)
class Backends:
    """The running backends: one process, one or two ports."""

    ports: tuple[int, ...]
    control_port: int

    async def play(self, *scripts: Script) -> None:
        """What the next POSTs get: the first script that fits each."""
        await self._tell("/scripts", {"scripts": [script.to_json() for script in scripts]})

    async def reset(self) -> None:
        await self._tell("/reset", {})

    async def release(self, count: int = 1) -> None:
        await self._tell("/release", {"count": count})

    async def refuse(self, port: int) -> None:
        await self._tell("/refuse", {"port": port})

    async def drop_idle(self) -> int:
        """Close the kept connections that carry no request; how many there were."""
        return int((await self._tell("/drop", {}))["dropped"])

    async def attempts(self) -> list[dict[str, Any]]:
        """A record of every POST that came, in order; see wire_http.record_of."""
        found = await self._tell("/requests")
        assert isinstance(found, list)
        return found

    async def max_open(self) -> int:
        return int((await self._tell("/stats"))["max_open"])

    async def _tell(self, path: str, body: dict[str, Any] | None = None) -> Any:
        target = Target("127.0.0.1", self.control_port, "")
        method = "GET" if body is None else "POST"
        async with exchange(target, method, path, {}, json.dumps(body).encode()) as asked:
            return (await asked.rest()).json


@contextmanager
def running(ports: Sequence[int]) -> Iterator[Backends]:
    """Start the backends on these ports; stopped at the end."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        control_port = int(probe.getsockname()[1])
    command = [sys.executable, "-m", "tests.conformance.wire"]
    command += ["--control-port", str(control_port)]
    for port in ports:
        command += ["--port", str(port)]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            command,
            cwd=_ROOT,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            _wait(process, control_port)
            yield Backends(tuple(ports), control_port)
        except BaseException:
            log.seek(0)
            sys.stderr.write(log.read()[-2000:].decode(errors="replace"))
            raise
        finally:
            process.terminate()
            process.wait()


def _wait(process: subprocess.Popen[bytes], control_port: int) -> None:
    deadline = time.monotonic() + _START_S
    while True:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{control_port}/stats", timeout=2).close()
            return
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("the wire backend did not start") from None
            time.sleep(0.05)
