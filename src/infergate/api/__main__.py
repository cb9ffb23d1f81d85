"""`python -m infergate.api FD SETTINGS`: what the supervisor starts, with a socket to serve."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from pathlib import Path

from infergate.api.guard.guarded import Guards
from infergate.api.inner import Inner
from infergate.api.serve import serve
from infergate.api.tier import Tier

_FINISH_S = 600
"""As long as nginx's own workers may take for open streams (supervise/instance.py)."""


async def main() -> None:
    listener, told = socket.socket(fileno=int(sys.argv[1])), json.loads(sys.argv[2])
    inner = Inner(Path(told["inner_socket"]))
    # A revision that an earlier version wrote may be active again, and says nothing of them.
    guards = Guards(inner, told.get("guardrails", {}))
    tier = Tier(inner, told["max_body"], guards)
    await serve(tier, listener, finish_s=_FINISH_S)


asyncio.run(main())
