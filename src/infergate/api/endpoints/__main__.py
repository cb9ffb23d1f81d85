"""`python -m infergate.api.endpoints FD SETTINGS`: what the supervisor starts (api_tier.py)."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from pathlib import Path

from infergate.api.endpoints.folder import EndpointFolder
from infergate.api.endpoints.manager import Manager
from infergate.api.serve import serve

_FINISH_S = 600


async def main() -> None:
    listener, told = socket.socket(fileno=int(sys.argv[1])), json.loads(sys.argv[2])
    folder = EndpointFolder(Path(told["endpoints"]), told)
    following = asyncio.create_task(folder.follow())
    try:
        await serve(Manager(folder, told["max_body"]), listener, finish_s=_FINISH_S)
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)


asyncio.run(main())
