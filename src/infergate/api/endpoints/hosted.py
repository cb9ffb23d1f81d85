"""One file of endpoints and its process, from the manager's side."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from infergate.api.endpoints.declare import ALIVE, LOAD_S

_GIVEN_UP_S = LOAD_S + 10
"""The process itself gives up earlier (host.py), if it still can."""
_ALIVE_S = 5.0
_LONGEST_REPORT = 4 * 1024**2
_BACKLOG = 256


@dataclass(frozen=True)
class EndpointProblem(Exception):
    """Why a file has no endpoints now. line: of the file; 0 where nobody knows."""

    message: str
    line: int = 0


@dataclass(eq=False)
class Process:
    """One that is loaded. endpoints: as declare.py has them. openapi: its document."""

    process: asyncio.subprocess.Process
    client: httpx.AsyncClient
    folder: tempfile.TemporaryDirectory[str]
    endpoints: list[dict[str, Any]]
    openapi: dict[str, Any]
    in_flight: int = 0
    retired: bool = False
    _ended: bool = field(default=False, repr=False)

    async def is_alive(self) -> bool:
        """Whether its loop still moves."""
        with contextlib.suppress(httpx.HTTPError, TimeoutError):
            async with asyncio.timeout(_ALIVE_S):
                return (await self.client.get(ALIVE)).status_code == 200
        return False

    async def end(self) -> None:
        """At once."""
        if self._ended:
            return
        self._ended = True
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        await self.process.wait()
        await self.client.aclose()
        self.folder.cleanup()

    async def retire(self, within_s: float) -> None:
        """When it has answered what it has, or this time is over."""
        self.retired = True
        deadline = asyncio.get_running_loop().time() + within_s
        while self.in_flight and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.1)
        await self.end()


async def started(file: Path, told: Mapping[str, Any]) -> Process:
    """The process of a file, when it has told what it has. Raises Problem."""
    folder = tempfile.TemporaryDirectory(prefix="infergate-endpoint-")
    path = Path(folder.name) / "socket"
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            listener.bind(str(path))
            listener.listen(_BACKLOG)
            process, report = await _run(file, told, listener.fileno())
    except OSError as problem:
        folder.cleanup()
        raise EndpointProblem(f"its process cannot be started: {problem.strerror}") from None
    try:
        said = await _report(report, process)
    except EndpointProblem:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        folder.cleanup()
        raise
    client = httpx.AsyncClient(
        transport=httpx.AsyncHTTPTransport(uds=str(path)),
        base_url="http://endpoint",
        timeout=None,  # noqa: S113 - each endpoint has its own
        trust_env=False,
    )
    return Process(process, client, folder, said["endpoints"], said["openapi"])


async def _run(
    file: Path, told: Mapping[str, Any], listener: int
) -> tuple[asyncio.subprocess.Process, int]:
    reading, writing = os.pipe()
    try:
        settings = json.dumps({**told, "file": str(file)})
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "infergate.api.endpoints.host", str(listener), str(writing), settings),
            pass_fds=(listener, writing),
            stdin=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError:
        os.close(reading)
        raise
    finally:
        os.close(writing)
    return process, reading


async def _report(pipe: int, process: asyncio.subprocess.Process) -> dict[str, Any]:
    """What it tells. Whatever comes is of the file's process: looked at before it is believed."""
    reader = asyncio.StreamReader(limit=_LONGEST_REPORT)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(pipe, "rb", 0)
    )
    try:
        async with asyncio.timeout(_GIVEN_UP_S):
            line = await reader.readline()
        said = json.loads(line)
        if "error" in said:
            raise EndpointProblem(str(said["error"]), int(said["line"]))
        if all(_is_sound(each) for each in said["endpoints"]) and isinstance(said["openapi"], dict):
            return dict(said)
    except TimeoutError:
        raise EndpointProblem("it was not loaded in time") from None
    except (ValueError, TypeError, KeyError):
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1):
                await process.wait()
        raise EndpointProblem(
            f"its process ended while it was loaded ({process.returncode})"
        ) from None
    finally:
        transport.close()
    raise EndpointProblem("its process tells nothing that can be understood")


def _is_sound(said: Any) -> bool:
    kinds = {
        "method": str,
        "path": str,
        "timeout_s": int | float,
        "at_once": int,
        "anyone": bool,
        "keys": list,
    }
    return isinstance(said, dict) and all(isinstance(said.get(n), k) for n, k in kinds.items())
