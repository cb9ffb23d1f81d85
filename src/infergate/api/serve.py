"""An application on a socket that the supervisor holds, for as long as that lives."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Iterator

import uvicorn
from starlette.types import ASGIApp

_LOOK_S = 0.5
_IDLE_S = 75
"""nginx closes a kept connection after 60 s: who closes is never the one who is asked."""


class _Server(uvicorn.Server):
    """Without signals of its own."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve(app: ASGIApp, listener: socket.socket, *, finish_s: int) -> None:
    """Until SIGTERM, and then for finish_s more at most; or until who started us is gone."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    server = _Server(
        uvicorn.Config(
            app,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,
            proxy_headers=False,
            timeout_keep_alive=_IDLE_S,
            timeout_graceful_shutdown=finish_s,
        )
    )
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    parent = os.getppid()
    while not stop.is_set() and os.getppid() == parent and not serving.done():
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), _LOOK_S)
    server.should_exit = True
    await serving
