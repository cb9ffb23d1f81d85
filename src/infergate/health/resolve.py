"""Whether a host name resolves, without letting one slow name delay the others.

The event loop resolves in a small shared pool of threads. A name server that does not answer
holds such a thread for many seconds, longer than a probe may take, and with a few such names
backends that are fine would look down. So names are asked here first, one lookup per name at a
time, each in a daemon thread of its own (it must not hold up the end of the process either);
only a name that has just resolved reaches the shared pool.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading

from infergate.config.addresses import is_ip

_under_way: dict[tuple[int, str], asyncio.Future[bool]] = {}


async def resolves(host: str) -> bool:
    """Whether a name has an address. An address resolves to itself.

    Takes as long as the resolver does; the caller sets the limit, and the lookup goes on for the
    next caller.
    """
    if is_ip(host):
        return True
    loop = asyncio.get_running_loop()
    key = (id(loop), host)
    lookup = _under_way.get(key)
    if lookup is None:
        lookup = _under_way[key] = loop.create_future()
        lookup.add_done_callback(lambda _: _under_way.pop(key, None))
        threading.Thread(
            target=_look_up, args=(host, loop, lookup), name=f"resolve {host}", daemon=True
        ).start()
    return await asyncio.shield(lookup)


def _look_up(host: str, loop: asyncio.AbstractEventLoop, lookup: asyncio.Future[bool]) -> None:
    try:
        found = bool(socket.getaddrinfo(host, None, type=socket.SOCK_STREAM))
    except (OSError, UnicodeError):
        found = False
    with contextlib.suppress(RuntimeError):  # the loop was closed while we waited
        loop.call_soon_threadsafe(_settle, lookup, found)


def _settle(lookup: asyncio.Future[bool], found: bool) -> None:
    if not lookup.done():
        lookup.set_result(found)
