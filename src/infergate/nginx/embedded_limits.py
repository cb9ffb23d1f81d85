"""What the embedded engine is not used for unless it is asked for by name."""

from __future__ import annotations

from infergate.config.root import Config
from infergate.config.types import is_loopback
from infergate.errors import EngineError
from infergate.nginx.engine_facts import Engine

FOR_TRYING = "a beta without security updates, for trying on this machine"
"""What the embedded engine is, for `up`, `doctor` and `audit`."""


def refuse_beyond_loopback(config: Config, engine: Engine) -> None:
    """Raises EngineError where others could reach the embedded engine and nobody asked for it."""
    if engine.origin != "embedded" or config.engine == "embedded":
        return
    listen = {
        "listen.http": config.listen.http,
        "listen.https": config.listen.https,
        "admin.listen": config.admin.listen,
    }
    for where, address in listen.items():
        if address is not None and not is_loopback(address):
            raise EngineError(
                f"{address} can be reached from other machines, and the only nginx here is the"
                f" embedded one: {FOR_TRYING}",
                where=where,
                hint="`infergate engine install` fetches Debian's, or install your distribution's."
                " To try on this machine,\n  listen on"
                f" 127.0.0.1:{address.rpartition(':')[2]}; to take the risk, write"
                " `engine: embedded`.",
            )
