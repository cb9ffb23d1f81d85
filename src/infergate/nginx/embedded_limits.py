"""What the embedded engine is not used for unless it is asked for by name."""

from __future__ import annotations

from pathlib import Path

from infergate.config.addresses import is_loopback
from infergate.config.root import Config
from infergate.engine.facts import Engine
from infergate.errors import EngineError
from infergate.nginx.lint import is_beyond_loopback, parse

FOR_TRYING = "a beta without security updates, for trying on this machine"
"""What the embedded engine is, for `up`, `doctor` and `audit`."""


def refuse_beyond_loopback(config: Config, engine: Engine) -> None:
    """Raises EngineError where others could reach the embedded engine and nobody asked for it."""
    if not _is_limited(config, engine):
        return
    listen = {
        "listen.http": config.listen.http,
        "listen.https": config.listen.https,
        "admin.listen": config.admin.listen,
    }
    for where, address in listen.items():
        if address is not None and not is_loopback(address):
            raise _refused(address, where, f"127.0.0.1:{address.rpartition(':')[2]}")


def refuse_servers_beyond_loopback(folder: Path, config: Config, engine: Engine) -> None:
    """The same for the servers that an operator wrote, which only nginx's files tell of.

    folder: of the revision. Raises LintError if its files cannot be read, too.
    """
    if not _is_limited(config, engine):
        return
    for server in parse(folder).all("server"):
        if server.around("upstream") is None and is_beyond_loopback(server):
            where = f"{server.file}:{server.line}"
            raise _refused("this server", where, "127.0.0.1 or a unix socket")


def _is_limited(config: Config, engine: Engine) -> bool:
    return engine.origin == "embedded" and config.engine != "embedded"


def _refused(what: str, where: str, instead: str) -> EngineError:
    return EngineError(
        f"{what} can be reached from other machines, and the only nginx here is the"
        f" embedded one: {FOR_TRYING}",
        where=where,
        hint="`infergate engine install` fetches Debian's, or install your distribution's."
        f" To try on this machine,\n  listen on {instead}; to take the risk, write"
        " `engine: embedded`.",
    )
