"""Activate what operators changed and what discovery found in the gateway that runs."""

from __future__ import annotations

from infergate.config.load import LoadedConfig
from infergate.errors import StateError
from infergate.files import locked
from infergate.live.shared_memory import NginxNotThere, read
from infergate.nginx.known import missing
from infergate.paths import Home
from infergate.state.in_force import bring_into_force, note_changes
from infergate.store.database import Database


def follow(declared: LoadedConfig, home: Home, database: Database | None = None) -> LoadedConfig:
    """The active configuration now; nginx has its backends when this returns, and was reloaded
    only if it did not have them before. What is routed where is the caller's to publish.

    declared: as the file has it. database: None where only discovery may have news.
    Raises StateError if the database cannot be read, ApplyError or EngineError if nginx does not
    take a backend: requests then go on as before, without it.
    """
    with locked(home.run / "follow.lock"):
        if database is not None:
            note_changes(home, database)
        loaded = bring_into_force(declared, home)
        if missing(loaded.config, home) and _runs(home):
            from infergate.engine.choose import choose_engine
            from infergate.live.apply import apply_again  # the renderer takes long to load

            apply_again(loaded, home, choose_engine(loaded.config.engine, home.root).engine)
    return loaded


def _runs(home: Home) -> bool:
    try:
        read(home.socket)
    except NginxNotThere:
        return False
    except StateError:
        return True
    return True
