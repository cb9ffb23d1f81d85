"""Whether the ports can be had, or answer where the gateway runs."""

from __future__ import annotations

import socket
from collections.abc import Iterator

from infergate.config.root import Config
from infergate.errors import EngineError
from infergate.hardening.check import Check, bad, good
from infergate.hardening.live import reachable
from infergate.nginx.hand_written import by_hand
from infergate.paths import Home
from infergate.supervise.instance import nginx_master
from infergate.supervise.ports import check_ports

_TIMEOUT_S = 3.0


def check_listeners(config: Config, home: Home) -> Iterator[Check]:
    """Each address that the configuration listens on."""
    if nginx_master(home) is None:
        yield from _free(config, home)
        return
    wanted = {
        "listen.http": config.listen.http,
        "listen.https": config.listen.https,
        "admin.listen": config.admin.listen,
    }
    for where, address in wanted.items():
        if address is None:
            continue
        try:
            socket.create_connection(reachable(address), _TIMEOUT_S).close()
        except OSError as problem:
            yield bad(
                f"ports.{where}",
                "high",
                f"nobody answers at {address}: {problem.strerror or 'no answer in time'}",
                "`infergate apply` activates the file; logs/error.log says what nginx met.",
            )
        else:
            yield good(f"ports.{where}", "high", f"{address} answers")


def _free(config: Config, home: Home) -> Iterator[Check]:
    try:
        check_ports(config, by_hand(home))
    except EngineError as problem:
        what = f"{problem.where}: {problem.what}"
        yield bad("ports", "high", what, problem.hint or f"Choose another {problem.where}.")
    else:
        yield good("ports", "high", "the ports are free")
