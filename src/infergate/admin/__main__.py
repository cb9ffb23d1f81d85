"""`python -m infergate.admin CONFIG FD…`: what the supervisor starts, with sockets to serve."""

from __future__ import annotations

import asyncio
import socket
import sys
from pathlib import Path

from infergate.admin.serve import serve


def main() -> None:
    sockets = [socket.socket(fileno=int(number)) for number in sys.argv[2:]]
    asyncio.run(serve(Path(sys.argv[1]), sockets))


main()
