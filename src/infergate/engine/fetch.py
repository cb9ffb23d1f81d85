"""Fetches Debian's engine before the embedded one would have to do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from infergate.engine.debian import install_debian_engine
from infergate.engine.find import find_debian, find_system
from infergate.errors import EngineError


def fetch_if_missing(
    setting: str, home: Path, report: Callable[[str], None], *, waf: bool = False
) -> None:
    """Have an engine of a distribution on this machine, where the configuration wants one.

    setting: `engine:` of the configuration. home: Infergate's own folder. waf: with ModSecurity.
    report: called with one line per step. Nothing is said where there is one already.
    With `engine: auto`, a machine that cannot fetch it goes on, and report says why; the half
    minute that takes at most is apt's silence (debian_apt.SILENT_S).
    Raises EngineError with `engine: debian` if it cannot be fetched.
    """
    if setting not in ("auto", "debian"):
        return
    there = [*(find_system() if setting == "auto" else []), *find_debian(home)]
    if any(engine.usable for engine in there):
        return
    report(
        "No nginx here that qualifies: fetching Debian's, about 22 MB (`engine: embedded`: not)."
    )
    try:
        install_debian_engine(home, report, waf=waf)
    except EngineError as problem:
        if setting == "debian":
            raise
        report(f"Debian's nginx could not be fetched, so the embedded one has to do: {problem}")
