"""The admin API: its sockets are held here, its process runs from the first request on.

So a gateway whose admin API nobody uses does not pay for it; and while a process that died is
started again, callers wait in the sockets' queues instead of being refused.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Mapping
from pathlib import Path

from infergate.errors import EngineError
from infergate.nginx.folders import own_folder
from infergate.paths import Home
from infergate.supervise.child import Child
from infergate.supervise.ports import bound

_BACKLOG = 100


class AdminApi:
    """The admin API of one gateway."""

    def __init__(
        self, config: Path, listen: str | None, home: Home, environ: Mapping[str, str]
    ) -> None:
        """config: the configuration's file; listen: the TCP address that it gives, if any.

        Raises EngineError if it cannot listen there.
        """
        self._paths = (home.admin_socket, home.metrics_socket)
        own_folder(home.admin_socket.parent)
        self._sockets = [
            unix_socket(home.admin_socket, 0o177),
            unix_socket(home.metrics_socket, 0o111),
        ]
        if listen is not None:
            try:
                self._sockets.append(bound("admin.listen", listen))
            except EngineError:
                self.close()
                raise
        for each in self._sockets:
            each.listen(_BACKLOG)
        numbers = [each.fileno() for each in self._sockets]
        command = ["-m", "infergate.admin", str(config), *map(str, numbers)]
        self._child = Child("the admin API", command, home, environ, inherited=numbers)

    async def keep_running(self) -> None:
        """Start it when it is first asked, and again whenever it ends, until cancelled."""
        await self._asked()
        await self._child.keep_running()

    async def _asked(self) -> None:
        loop, asked = asyncio.get_running_loop(), asyncio.Event()
        for each in self._sockets:
            loop.add_reader(each, asked.set)
        try:
            await asked.wait()
        finally:
            for each in self._sockets:
                loop.remove_reader(each)

    def close(self) -> None:
        """Listen no more."""
        for each in self._sockets:
            each.close()
        for path in self._paths:
            path.unlink(missing_ok=True)


def unix_socket(path: Path, umask: int) -> socket.socket:
    """A socket for whom the mask lets, of those who can enter its folder.

    Raises EngineError if it cannot be there.
    """
    path.unlink(missing_ok=True)
    found = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(umask)
    try:
        found.bind(str(path))
    except OSError as problem:
        found.close()
        raise EngineError(f"cannot be listened on: {problem.strerror}", where=str(path)) from None
    finally:
        os.umask(before)
    return found
