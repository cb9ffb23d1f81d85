"""Whether the nginx has known problems.

The table is from nginx.org's security advisories, for what Infergate's configurations use: not for
the mail, mp4, WebDAV or stream modules. A distribution keeps the version and patches it, so there
the package's version counts.
"""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass

from infergate.hardening.check import Check, Severity, bad, good, unknown
from infergate.nginx.engine import Engine
from infergate.nginx.engine_facts import Version, dotted

_OF_NGINX_ORG = re.compile(r"[\d.]+-\d+~\w+")
"""1.30.4-1~trixie: the nginx project's own packages, which are its releases."""

STALE_S = 30 * 86400
"""Unpacked packages get no updates by themselves; Debian's nginx had eleven in its first year."""


@dataclass(frozen=True)
class Advisory:
    """fixed: the first good version of each branch, oldest first; newer branches are good.

    debian: the revision of Debian 13's 1.26.3-3+deb13uN that has the fix; None where not known.
    """

    name: str
    what: str
    severity: Severity
    since: Version
    fixed: tuple[Version, ...]
    debian: int | None = None


ADVISORIES = (
    Advisory(
        "CVE-2026-42945",
        "a request can overflow a buffer where rewrite rules have captures",
        "high",
        (0, 6, 27),
        ((1, 30, 1), (1, 31, 0)),
        5,
    ),
    Advisory(
        "CVE-2026-9256",
        "a request can overflow a buffer where captures overlap",
        "high",
        (0, 6, 27),
        ((1, 30, 2), (1, 31, 1)),
    ),
    Advisory(
        "CVE-2026-1642",
        "somebody between nginx and an https backend can put text into its answers",
        "medium",
        (1, 3, 0),
        ((1, 28, 2), (1, 29, 5)),
    ),
    Advisory(
        "CVE-2025-23419",
        "TLS sessions go around client certificates of another host",
        "medium",
        (1, 11, 4),
        ((1, 26, 3), (1, 27, 4)),
    ),
)


def is_affected(advisory: Advisory, version: Version) -> bool:
    """Whether nginx's own release of this version has the problem."""
    if version < advisory.since:
        return False
    branch = next((fixed for fixed in advisory.fixed if fixed[:2] == version[:2]), None)
    return version < (branch or advisory.fixed[-1])


def check_engine(engine: Engine) -> Iterator[Check]:
    """Its origin, its version, and how old it is."""
    if engine.origin == "embedded":
        yield bad(
            "engine.origin",
            "medium",
            "the embedded nginx is a beta from a small publisher, without promised updates",
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
    found = [each for each in ADVISORIES if is_affected(each, engine.nginx_version)]
    for each in found:
        yield bad(
            f"engine.{each.name}",
            each.severity,
            f"nginx {dotted(engine.nginx_version)}: {each.what}",
            f"Update nginx to {dotted(each.fixed[0])} or newer.",
        )
    if not found:
        yield good(
            "engine.version", "high", f"nginx {dotted(engine.nginx_version)} has no known problem"
        )


def _packaged(engine: Engine, package: str) -> Iterator[Check]:
    revision = re.fullmatch(r"1\.26\.3-3\+deb13u(\d+)", package)
    if revision is None:
        yield unknown(
            "engine.version",
            f"nginx is the package {package}, which its distribution patches",
            "Keep it up to date: apt upgrade, dnf upgrade.",
        )
        return
    missing = [
        each
        for each in ADVISORIES
        if is_affected(each, engine.nginx_version)
        and each.debian is not None
        and int(revision[1]) < each.debian
    ]
    for each in missing:
        yield bad(f"engine.{each.name}", each.severity, f"nginx {package}: {each.what}", _UPDATE)
    if not missing:
        yield good("engine.version", "high", f"nginx {package} has Debian's fixes")


_UPDATE = "apt upgrade, or `infergate engine install --force`; then restart the gateway."


def _freshness(engine: Engine) -> Check:
    manifest = engine.binary.parents[2] / "packages.txt"
    age_s = time.time() - manifest.stat().st_mtime if manifest.exists() else 0.0
    days = f"{age_s / 86400:.0f} days"
    if age_s > STALE_S:
        return bad("engine.age", "medium", f"Debian's nginx here was fetched {days} ago", _UPDATE)
    return good("engine.age", "medium", f"Debian's nginx here was fetched {days} ago")


def _package_version(engine: Engine) -> str | None:
    """The distribution's version of it; None where no package has it."""
    if engine.origin == "debian":
        return engine.binary.parents[2].name.removeprefix("debian-")
    if engine.origin != "system":
        return None
    return _asked(["dpkg-query", "-S", str(engine.binary)], r"^([\w.+-]+)[:,]") or None


def _asked(command: list[str], pattern: str) -> str:
    found = re.search(pattern, _output(command))
    return _output(["dpkg-query", "-W", "-f", "${Version}", found[1]]) if found else ""


def _output(command: list[str]) -> str:
    try:
        ran = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except OSError:  # no dpkg here
        return ""
    return ran.stdout.strip() if ran.returncode == 0 else ""
