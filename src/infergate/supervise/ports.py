"""Whether the ports can be had, asked before nginx is: it can say what is wrong and what to do."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from infergate.errors import EngineError

if TYPE_CHECKING:
    from infergate.config.root import Config
    from infergate.nginx.hand_written import Written


def check_ports(
    config: Config,
    written: Sequence[Written] = (),
    *,
    besides: Config | None = None,
    written_besides: Sequence[Written] = (),
) -> None:
    """Raises EngineError if a listen address is taken, not ours, or needs privileges.

    written: nginx files by hand. besides, written_besides: what runs; what it listens on is ours
    already.
    """
    ours = {address for _, address in _wanted(besides, written_besides)} if besides else set()
    for where, address in _wanted(config, written):
        everywhere = f"*:{address.rpartition(':')[2]}"
        if address not in ours and (everywhere not in ours or address.startswith("[")):
            bound(where, address).close()
            ours.add(address)  # several servers may share it


def _wanted(config: Config, written: Sequence[Written]) -> Iterator[tuple[str, str]]:
    """What says so, and the address."""
    for name, address in (("http", config.listen.http), ("https", config.listen.https)):
        if address is not None:
            yield f"listen.{name}", address
    if written:
        from infergate.nginx.hand_written import listens  # the supervisor needs none of that
    for each in written:
        for address, where in listens(each):
            yield where, address


def bound(field: str, listen: str) -> socket.socket:
    """A TCP socket at this address. field: the setting that says it.

    Raises EngineError if the address is taken, not ours, or needs privileges.
    """
    host, _, port = listen.rpartition(":")
    host = "0.0.0.0" if host == "*" else host.strip("[]")  # noqa: S104 - what the file asks for
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    found = socket.socket(family, socket.SOCK_STREAM)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:  # as nginx has it, unless told otherwise
        found.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    try:
        found.bind((host, int(port)))
    except OSError as problem:
        found.close()
        raise _explained(problem, field, listen) from None
    return found


def _explained(problem: OSError, field: str, listen: str) -> EngineError:
    port = listen.rpartition(":")[2]
    if problem.errno == errno.EADDRINUSE:
        return EngineError(
            f"port {port} is used by another program",
            where=field,
            hint=f"`ss -ltnp 'sport = :{port}'` shows which; or choose another port in {field}.",
        )
    if problem.errno == errno.EACCES:
        return EngineError(
            f"port {port} is only for root (user {os.geteuid()} may not open ports below 1024)",
            where=field,
            hint=f"Choose a port above 1023 in {field}, or allow it: "
            f"sysctl net.ipv4.ip_unprivileged_port_start={port}",
        )
    return EngineError(f"{listen} cannot be listened on: {problem.strerror}", where=field)


def is_free(port: int) -> bool:
    """Whether a loopback port can be listened on now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
