"""Whether the nginx has known problems, where it comes from, and how old it is.

A distribution keeps the version and patches it, so there the package's own changelog counts.
"""

from __future__ import annotations

import datetime
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from infergate.engine.choose import Engine
from infergate.engine.facts import dotted
from infergate.engine.find import STALE_S, fetched_at, version_of
from infergate.hardening.advisories import Changelog, holes, is_newer, known, read_changelog
from infergate.hardening.check import Check, bad, good, unknown
from infergate.nginx.embedded_limits import FOR_TRYING

_OF_NGINX_ORG = re.compile(r"[\d.]+-\d+~\w+")
"""1.30.4-1~trixie: the nginx project's own packages, which are its releases."""

TOLD_FOR = datetime.timedelta(days=60)
"""The table is no proof for longer: nginx had advisories every month of 2026."""


def check_engine(engine: Engine) -> Iterator[Check]:
    """Its origin, its version, and how old it is."""
    if engine.origin == "embedded":
        yield bad(
            "engine.origin",
            "medium",
            f"the embedded nginx is {FOR_TRYING}",
            "Use your distribution's nginx, or `infergate engine install`.",
        )
    else:
        yield good("engine.origin", "medium", f"nginx is of a distribution, or your own: {engine}")
    package = _package_version(engine)
    if engine.origin == "system" and package is None:
        yield unknown(
            "engine.version",
            f"nginx {dotted(engine.nginx_version)} is of a distribution, which may have patched it",
            "Keep it up to date.",
        )
    elif package is None or _OF_NGINX_ORG.fullmatch(package):
        yield from _released(engine)
    else:
        yield from _packaged(engine, package)
    if engine.origin == "debian":
        yield _freshness(engine)


def _released(engine: Engine) -> Iterator[Check]:
    version = engine.nginx_version
    found = holes(version)
    for each in found:
        newer = ", ".join(map(dotted, each.fixed))
        yield bad(
            f"engine.{each.name}",
            each.severity,
            f"nginx {dotted(version)}: {each.what}",
            f"Update nginx to {newer} or newer.",
        )
    if not found:
        yield _no_hole(f"nginx {dotted(version)}", newer=is_newer(version))


def _packaged(engine: Engine, package: str) -> Iterator[Check]:
    changelog = _changelog(engine)
    if changelog is None:
        yield unknown(
            "engine.version",
            f"nginx is the package {package}; its changelog, which names its fixes, is not here",
            "Keep it up to date: apt upgrade, dnf upgrade.",
        )
        return
    missing = holes(engine.nginx_version, changelog.fixes)
    for each in missing:
        yield bad(f"engine.{each.name}", each.severity, f"nginx {package}: {each.what}", _UPDATE)
    if not missing:
        yield _no_hole(f"nginx {package}", newer=changelog.until > known().as_of)


def _no_hole(what: str, *, newer: bool) -> Check:
    """Of an nginx that has all fixes in the table: good only for as long as that says something."""
    as_of = known().as_of
    if newer or datetime.date.today() - as_of > TOLD_FOR:
        return unknown(
            "engine.version",
            f"{what}: not known since {as_of}; what was known by then is mended in it",
            "Update Infergate, and look at your distribution's or nginx.org's advisories.",
        )
    return good("engine.version", "high", f"{what} has no problem that was known on {as_of}")


_UPDATE = "`infergate engine upgrade` where Infergate fetched it, else apt upgrade and a restart."


def _freshness(engine: Engine) -> Check:
    fetched = fetched_at(engine.argv)
    age_s = time.time() - fetched if fetched else 0.0
    days = f"{age_s / 86400:.0f} days"
    if age_s > STALE_S:
        return bad("engine.age", "medium", f"Debian's nginx here was fetched {days} ago", _UPDATE)
    return good("engine.age", "medium", f"Debian's nginx here was fetched {days} ago")


def _changelog(engine: Engine) -> Changelog | None:
    """Of its package; minimal images leave it out."""
    root, names = Path("/"), ["nginx"]
    if engine.origin == "debian":
        root = engine.binary.parents[2]
    else:
        names.insert(0, _package(engine))
    files = (root / f"usr/share/doc/{name}/changelog.Debian.gz" for name in names if name)
    return next((found for found in map(read_changelog, files) if found), None)


def _package_version(engine: Engine) -> str | None:
    """The distribution's version of it; None where no package has it."""
    if engine.origin == "debian":
        return version_of(engine.binary.parents[2])
    if engine.origin != "system":
        return None
    package = _package(engine)
    return _output(["dpkg-query", "-W", "-f", "${Version}", package]) or None if package else None


def _package(engine: Engine) -> str:
    """The name of the package that has it; "" where none has."""
    found = re.search(r"^([\w.+-]+)[:,]", _output(["dpkg-query", "-S", str(engine.binary)]))
    return found[1] if found else ""


def _output(command: list[str]) -> str:
    try:
        ran = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):  # no dpkg here, or one that waits
        return ""
    return ran.stdout.strip() if ran.returncode == 0 else ""
