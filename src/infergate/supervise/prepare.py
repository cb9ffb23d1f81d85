"""All that has to be right before nginx answers its first request.

It is done by a process of its own, which then goes on as the control plane: what both need takes
most of a second and 70 MB to load. The supervisor, which only watches, loads none of it.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from infergate.config.load import LoadedConfig, load_config
from infergate.control.groups import look_once
from infergate.control.process import run
from infergate.engine.choose import Engine, choose_engine
from infergate.errors import StateError, StoreLost
from infergate.live.apply import apply, stage
from infergate.live.revisions import forget_old, switch
from infergate.live.unfinished import finish
from infergate.log import log
from infergate.nginx.folders import prepare_home
from infergate.nginx.hand_written import by_hand
from infergate.nginx.worker_user import worker_user
from infergate.operate.backend_list import in_words
from infergate.operate.backends import GatewayParts, end_lapsed
from infergate.paths import Home
from infergate.state.in_force import bring_into_force
from infergate.state.publish import publish_keys
from infergate.state_folder import home_for
from infergate.store.audit import newest
from infergate.store.database import database_for
from infergate.store.revisions import note_revision
from infergate.supervise.handed_on import take_over
from infergate.supervise.ports import bound, check_ports
from infergate.supervise.prepared import Prepared


def prepare_and_go_on(path: Path, *, adopt: bool) -> None:
    """Say in one line of JSON on standard output that all is ready (prepared.py); be the control
    plane once a line on standard input says that nginx answers.

    adopt: an nginx of this state folder runs already.
    Raises InfergateError as `prepare` does.
    """
    told = os.dup(1)
    os.dup2(2, 1)  # whatever else is printed is none of that one line
    prepared = prepare(path, home_for(path), adopt=adopt)
    with os.fdopen(told, "w") as supervisor:
        supervisor.write(prepared.as_json() + "\n")
    if sys.stdin.readline():  # else the supervisor has given up
        run(path)


def prepare(path: Path, home: Home, *, adopt: bool) -> Prepared:
    """Have `current` and the snapshots say what the file says.

    Raises InfergateError for what is wrong with the configuration, the engine or the machine; what
    was active before is active then.
    """
    take_over(home)
    declared = load_config(path)
    prepare_home(home, worker_user(declared.config, home))
    _refuse_lost_database(declared, home)
    engine = choose_engine(declared.config.engine, home.root).engine
    loaded = _in_force(declared, home)
    listen = declared.config.admin.listen
    if listen is not None:
        bound("admin.listen", listen).close()
    if adopt:
        number = apply(loaded, home, engine).number
    else:
        check_ports(loaded.config, by_hand(home))
        number = _stage(loaded, home, engine)
    finish(home)  # what an earlier process began: this is what is active now
    # Before the first request: no valid key is ever refused.
    _publish_keys(loaded, home, number)
    return Prepared(engine.argv, listen)


def _refuse_lost_database(declared: LoadedConfig, home: Home) -> None:
    """Raises StoreLost: without it every key would be gone. One that is only away is waited for."""
    try:
        newest(database_for(declared.config, home))
    except StoreLost:
        raise
    except StateError:
        return  # whoever needs it says so


def _stage(loaded: LoadedConfig, home: Home, engine: Engine) -> int:
    revision = stage(loaded, home, engine)
    switch(home, revision)
    forget_old(home)
    return revision.number


def _in_force(declared: LoadedConfig, home: Home) -> LoadedConfig:
    """The configuration with what discovery finds and operators changed. Without the database or
    DNS, it is as they said last."""
    asyncio.run(look_once(declared, home))
    gateway = GatewayParts(declared, home, database_for(declared.config, home))
    try:
        for change in end_lapsed(gateway):
            log.info("a change by hand ended: the file says something new", what=in_words(change))
    except StateError as problem:
        log.error("backends are as they were changed last", why=str(problem))
    return bring_into_force(declared, home)


def _publish_keys(loaded: LoadedConfig, home: Home, revision: int) -> None:
    """Without the database, nginx starts with the keys that were valid last."""
    database = database_for(loaded.config, home)
    try:
        publish_keys(home, loaded, database)
        note_revision(database, revision, loaded)
    except StateError as problem:
        if not home.keys_snapshot.exists():
            raise
        log.error("the database cannot be used; the keys are those of last time", why=str(problem))
