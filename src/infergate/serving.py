"""Applications on sockets that the supervisor holds, for as long as it lives."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Callable, Iterator, Sequence

import uvicorn

_LOOK_S = 0.5


class SocketServer(uvicorn.Server):
    """Without signals of its own: there may be several in a process."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve_all(
    servers: Sequence[tuple[SocketServer, socket.socket]],
    look: Callable[[], None] = lambda: None,
) -> None:
    """Until SIGTERM, or until who started us is gone; then what is open may end.

    look: what is to be done twice a second. Raises what a server ended by, so that the process is
    started again.
    """
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    tasks = [asyncio.create_task(server.serve(sockets=[each])) for server, each in servers]
    parent = os.getppid()
    while not stop.is_set() and os.getppid() == parent and not any(map(asyncio.Task.done, tasks)):
        look()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), _LOOK_S)
    for server, _ in servers:
        server.should_exit = True
    await asyncio.gather(*tasks)
