"""Everything that the doctor looks at, one thing after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from infergate.config.load import LoadedConfig, load_config
from infergate.config.problems import ConfigError
from infergate.doctor.backends import check_backends
from infergate.doctor.database import check_database
from infergate.doctor.listeners import check_listeners
from infergate.doctor.machine import check_clock, check_disk, check_limits
from infergate.doctor.names import check_names
from infergate.doctor.processes import check_processes, check_sockets
from infergate.doctor.state import check_certificates, check_ledger, check_state, check_zones
from infergate.engine.choose import choose_engine
from infergate.errors import EngineError, InfergateError, of_machine
from infergate.hardening.check import Check, bad, good, unknown
from infergate.hardening.files import check_files
from infergate.live.revisions import load_applied
from infergate.nginx.embedded_limits import FOR_TRYING
from infergate.paths import Home
from infergate.state.in_force import bring_into_force
from infergate.state_folder import DEFAULT_NAME


def examine(path: Path | None, home: Home, *, offline: bool = False) -> Iterator[Check]:
    """path: the configuration; None if there is none. offline: ask no backend and no DNS.

    Each cure is one line."""
    for each in _looked(path, home, offline=offline):
        yield replace(each, mend=" ".join(each.mend.split()))


def _looked(path: Path | None, home: Home, *, offline: bool) -> Iterator[Check]:
    declared, checks = _configuration(path)
    yield from checks
    if declared is None and path is not None:
        declared = _in_force(path, home)
    yield from _safely("disk", lambda: check_disk(home))
    yield from _safely("processes", lambda: check_processes(home))
    yield from _safely("sockets", lambda: check_sockets(home))
    yield from _safely("limits", lambda: check_limits(home))
    yield from _safely("clock", lambda: check_clock(home))
    yield from _safely("zones", lambda: check_zones(home))
    yield from _safely("ledger", lambda: check_ledger(home))
    yield from _safely("engine", lambda: _engine(declared, home))
    if declared is None:
        return
    known = declared
    loaded = _with_found(declared, home)
    yield from _safely("ports", lambda: check_listeners(loaded.config, home))
    yield from _safely("files", lambda: check_files(loaded, home))
    yield from _safely("state", lambda: check_state(known, home))
    yield from _safely("database", lambda: check_database(known.config, home))
    yield from _safely("certificate", lambda: check_certificates(loaded, home))
    if not offline:
        yield from _safely("names", lambda: check_names(loaded.config))
        yield from _safely("backends", lambda: check_backends(loaded.config))


def is_well(checks: list[Check]) -> bool:
    """Whether nothing was found that matters: what is low is only good to know."""
    return not any(each.outcome == "bad" and each.severity != "low" for each in checks)


def _configuration(path: Path | None) -> tuple[LoadedConfig | None, list[Check]]:
    if path is None:
        return None, [
            unknown(
                "config",
                f"there is no {DEFAULT_NAME} in this folder",
                "Name one with -c FILE, or run `infergate up` to start without one.",
            )
        ]
    try:
        loaded = load_config(path)
    except ConfigError as error:
        mend = "Mend the file; `infergate check` says whether it is good."
        return None, [bad("config", "high", str(each), mend) for each in error.problems]
    except InfergateError as problem:
        return None, [bad("config", "high", str(problem), problem.hint or "Name another with -c.")]
    return loaded, [
        good("config", "high", f"{path.name} can be understood"),
        *(bad("config", "low", str(each), "Change the file.") for each in loaded.warnings),
    ]


def _in_force(path: Path, home: Home) -> LoadedConfig | None:
    """What was last active, while the file is broken."""
    try:
        return load_applied(home, path)
    except InfergateError:
        return None


def _with_found(declared: LoadedConfig, home: Home) -> LoadedConfig:
    """With the backends of groups and of operators, where they can be known."""
    try:
        return bring_into_force(declared, home)
    except InfergateError:
        return declared


def _engine(loaded: LoadedConfig | None, home: Home) -> Iterator[Check]:
    setting = loaded.config.engine if loaded else "auto"
    try:
        choice = choose_engine(setting, home.root)
    except EngineError as problem:
        yield bad("engine", "high", problem.what.splitlines()[0], problem.hint or "")
        return
    yield good("engine", "high", f"nginx can be used: {choice.engine}")
    if choice.engine.origin == "embedded":
        yield bad(
            "engine.embedded",
            "low",
            f"the embedded engine is {FOR_TRYING}",
            "For production use your distribution's nginx, or `infergate engine install`.",
        )


def _safely(name: str, look: Callable[[], Iterator[Check]]) -> Iterator[Check]:
    """What was found until it could not go on, and why: one thing that cannot be looked at hides no
    other."""
    try:
        yield from look()
    except InfergateError as problem:
        what = f"{problem.where}: {problem.what}" if problem.where else problem.what
        yield unknown(name, what, problem.hint or "")
    except OSError as refused:
        said = of_machine(refused)
        yield unknown(name, f"{said.where or name}: {said.what}", said.hint or "")
