"""`infergate engine upgrade`: a newer nginx, proved like a change of the configuration."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from infergate.changes.trial import trial
from infergate.changes.watch import Watch
from infergate.config.load import LoadedConfig
from infergate.engine.choose import Engine, choose_engine
from infergate.engine.debian import install_debian_engine
from infergate.engine.find import set_aside
from infergate.errors import ApplyError, EngineError
from infergate.files import locked
from infergate.live.apply import apply_lock, change_lock, look_up, stage
from infergate.live.revisions import Revision, current, forget, forget_old, mark_failed
from infergate.nginx.waf import wanted as wants_waf
from infergate.paths import Home
from infergate.supervise.engine_change import EngineWanted, change_engine
from infergate.supervise.instance import nginx_master


@dataclass(frozen=True)
class Upgraded:
    """engine: the one that nginx runs on now. before: the one until now, which may be the same."""

    engine: Engine
    before: Engine


def upgrade(
    loaded: LoadedConfig, home: Home, window_s: float, said: Callable[[str], None]
) -> Upgraded:
    """Have nginx run on the newest engine that `engine:` allows; no stream is cut.

    loaded: what is active (live/revisions.py). window_s: how long the new one is watched.
    said: called with one line per step.
    Fetches Debian's where the engine is Debian's; the system's is what the machine has by now. It
    is started alongside, then takes the sockets over, and is watched.
    Raises EngineError if there is none, ApplyError if it does not prove itself: the one before
    runs then, and a newer one of Debian is set aside.
    """
    with locked(change_lock(home)):
        setting = loaded.config.engine
        before = choose_engine(setting, home.root).engine
        if before.origin != "system" and setting in ("auto", "debian"):
            waf = wants_waf(loaded.config)
            install_debian_engine(home.root, said, force=True, waf=waf)
        engine = choose_engine(setting, home.root, anew=True).engine
        if engine.argv == before.argv and not _is_replaced(home, before):
            return Upgraded(engine, before)
        try:
            _prove(loaded, home, engine, before, window_s, said)
        except (ApplyError, EngineError):
            if engine.origin == "debian" and engine.argv != before.argv:
                said(f"Set aside as {set_aside(engine)}")
            raise
        return Upgraded(engine, before)


def _is_replaced(home: Home, engine: Engine) -> bool:
    """Whether the file that runs was replaced by another one: by apt upgrade, for the system's."""
    master = nginx_master(home)
    if master is None:
        return False
    try:
        runs = Path(f"/proc/{master}/exe").stat().st_ino
        return runs != Path(engine.argv[0]).stat().st_ino
    except OSError:
        return False


def _prove(
    loaded: LoadedConfig,
    home: Home,
    engine: Engine,
    before: Engine,
    window_s: float,
    said: Callable[[str], None],
) -> None:
    """Raises ApplyError; the engine before runs then."""
    addresses = look_up(loaded, home)
    said(f"Starting alongside: {engine}")
    for warning in trial(loaded, home, engine, addresses):
        said(warning)
    with locked(apply_lock(home)):
        previous = current(home)
        revision = stage(loaded, home, engine, addresses)
        watch = Watch(home, loaded.config)
        said("Switching; open streams finish on the one before")
        try:
            change_engine(home, _wanted(home, engine, revision))
        except ApplyError:
            forget(revision)
            raise
        said(f"Watching for {window_s:.0f} s")
        watch.start()
        problem = watch.until(loaded.config, window_s)
        if problem is None:
            forget_old(home)
            return
        mark_failed(revision, problem)
        if previous is not None:
            change_engine(home, _wanted(home, before, previous))
    raise ApplyError(f"{problem}\n{before} runs again.", where=str(home.logs / "error.log"))


def _wanted(home: Home, engine: Engine, revision: Revision) -> EngineWanted:
    return EngineWanted(engine.argv, str(revision.path.relative_to(home.root)))
