"""An application of the API tier on a socket that the supervisor holds."""

from __future__ import annotations

import socket

import uvicorn
from starlette.types import ASGIApp

from infergate.serving import SocketServer, serve_all

_IDLE_S = 75
"""nginx closes a kept connection after 60 s: who closes is never the one who is asked."""


async def serve(app: ASGIApp, listener: socket.socket, *, finish_s: int) -> None:
    """Until SIGTERM, and then for finish_s more at most; or until who started us is gone."""
    server = SocketServer(
        uvicorn.Config(
            app,
            http="httptools",
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
    await serve_all([(server, listener)])
