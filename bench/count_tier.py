"""Instructions that the API tier executes for a translated request (a part of `make count`).

Its process alone runs under callgrind. What nginx is to it, on both sides, is here: a client that
sends what nginx hands over, and the lockstep backend on a socket in place of nginx's own.
"""

from __future__ import annotations

import json
import os
import platform
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from bench import callgrind
from bench.callgrind import Callgrind
from bench.lockstep import ANSWER_WITHIN_S, Client, Mock
from infergate.contract.tier import Handed, Token

NAME = "tier"
"""Of `--engine`."""

MOST = 1.1
"""Times the baseline: how often it polls, and collects garbage, depends on the machine a little."""

_REQUESTS = 20
_WARM = 10
_FEWER = 5


@dataclass(frozen=True)
class TierRow:
    """chunks: of a stream; None for an answer in one piece. more: what one more chunk costs."""

    name: str
    chunks: int | None
    more: bool = False


ROWS = (
    TierRow("translated, whole", None),
    TierRow("translated, stream of 5", _FEWER),
    TierRow("translated, chunk", 55, more=True),
)


def title() -> str:
    """What a baseline holds for."""
    python = ".".join(platform.python_version_tuple()[:2])
    return f"API tier, Python {python}, uvicorn {version('uvicorn')}"


def count(folder: Path, rows: Sequence[TierRow]) -> Iterator[tuple[str, int]]:
    """Row → instructions of one request, or of one chunk."""
    with _running(folder) as (tier, client):

        def executed(chunks: int | None) -> int:
            request = _request(chunks)
            for _ in range(_WARM):
                client.ask(request)
            tier.executed()
            for _ in range(_REQUESTS):
                client.ask(request)
            return round(tier.executed() / _REQUESTS)

        for row in rows:
            found = executed(row.chunks)
            if row.more and row.chunks is not None:
                found = (found - executed(_FEWER)) // (row.chunks - _FEWER)
            yield row.name, found


@contextmanager
def _running(folder: Path) -> Iterator[tuple[Callgrind, Client]]:
    out = folder / "tier"
    out.mkdir()
    inner, outer = _listener(out / "inner"), _listener(out / "outer")
    backend = Mock(inner)
    settings = {"inner_socket": str(out / "inner"), "max_body": 10**6}
    python = [sys.executable, "-m", "infergate.api", str(outer.fileno()), json.dumps(settings)]
    command = [*callgrind.options(out), *python]
    process = subprocess.Popen(
        command, pass_fds=[outer.fileno()], env={**os.environ, "PYTHONHASHSEED": "0"}
    )
    try:
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(ANSWER_WITHIN_S)
        connection.connect(str(out / "outer"))
        client = Client(connection, backend.taken)
        yield Callgrind(process.pid, out), client
        client.close()
    finally:
        process.terminate()
        process.wait()
        backend.close()


def _listener(path: Path) -> socket.socket:
    found = socket.socket(socket.AF_UNIX)
    found.bind(str(path))
    found.listen()
    return found


def _request(chunks: int | None) -> bytes:
    """As nginx hands it over (nginx/templates/snippets/tier.conf.j2)."""
    body = {
        "model": "bench",
        "max_tokens": chunks or 1,
        "stream": chunks is not None,
        "messages": [{"role": "user", "content": "x" * 120}],
    }
    data = json.dumps(body).encode()
    head = (
        "POST /v1/messages HTTP/1.1\r\nHost: gateway\r\nX-Request-Id: 0123456789abcdef\r\n"
        f"x-infergate-token: {Token.PREFIX}{'0' * 64}\r\nx-infergate-parent: 0123456789abcdef\r\n"
        f"x-infergate-client: 127.0.0.1\r\nx-infergate-handed: {Handed.DIALECT}\r\n"
        "anthropic-version: 2023-06-01\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(data)}\r\n\r\n"
    )
    return head.encode() + data
