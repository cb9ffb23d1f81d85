"""Finds the Debian mirror that this machine's own apt uses, so that no host is named here.

Only a guess at what to ask is made: whether the answer is Debian's is decided by apt, with the
signatures of Debian's archive keys. A foreign repository taken by mistake is refused there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

SUITE = "trixie"
"""Debian 13, the first with an nginx and an njs that are new enough."""

# Debian's names for its releases; nothing else (Ubuntu, vendors) names suites like these,
# but for "stable", which is why the component and the address are looked at as well.
_DEBIAN_SUITES = re.compile(
    r"(buster|bullseye|bookworm|trixie|forky|duke|sid|(old){0,2}stable|testing|unstable)"
    r"(?P<part>$|[-/].*)"
)


@dataclass(frozen=True)
class AptSource:
    """One entry of apt's configuration; signed_by is "" where it names no keyring."""

    uris: tuple[str, ...]
    suites: tuple[str, ...]
    components: tuple[str, ...]
    signed_by: str = ""


@dataclass(frozen=True)
class Mirrors:
    """Where Debian's packages come from; `security` is None where the machine has none."""

    archive: str
    security: str | None


def machine_mirrors(apt_folder: Path = Path("/etc/apt")) -> Mirrors | None:
    """The Debian mirrors in this machine's configuration; None when there is no Debian one."""
    sources: list[AptSource] = []
    parts = apt_folder / "sources.list.d"
    for file in (apt_folder / "sources.list", *sorted(parts.glob("*"))):
        if file.suffix not in {".list", ".sources"} or not file.is_file():
            continue
        text = file.read_text(encoding="utf-8", errors="replace")
        sources += parse_deb822(text) if file.suffix == ".sources" else parse_one_line(text)
    return choose_mirrors(sources)


def choose_mirrors(sources: Iterable[AptSource]) -> Mirrors | None:
    """Debian's own among all sources. Those that name Debian's keyring come before the others."""
    debian = [source for source in sources if _looks_like_debian(source)]
    debian.sort(key=lambda source: "debian-archive" not in source.signed_by)
    archive: list[str] = []
    security: list[str] = []
    for source in debian:
        for suite in source.suites:
            if found := _DEBIAN_SUITES.fullmatch(suite):
                is_security = found["part"] in {"-security", "/updates"}
                (security if is_security else archive).extend(_usable(source.uris))
    if not archive:
        return None
    return Mirrors(archive[0], security[0] if security else None)


def _looks_like_debian(source: AptSource) -> bool:
    if "main" not in source.components:
        return False
    if source.signed_by:  # another keyring is another publisher
        return "debian-archive" in source.signed_by
    return any("debian" in uri.lower() for uri in source.uris)


def _usable(uris: Iterable[str]) -> list[str]:
    return [uri for uri in uris if not uri.startswith("cdrom:")]


def parse_one_line(text: str) -> list[AptSource]:
    """The `deb [options] uri suite components…` style of sources.list(5)."""
    sources = []
    for line in text.splitlines():
        entry = line.partition("#")[0]
        found = re.match(r"\s*deb\s+(?:\[([^]]*)]\s+)?(\S+)\s+(\S+)\s*(.*)", entry)
        if found:
            options, uri, suite, components = found.groups()
            signed_by = re.search(r"signed-by=(\S+)", options or "", re.IGNORECASE)
            sources.append(
                AptSource(
                    uris=(uri,),
                    suites=(suite,),
                    components=tuple(components.split()),
                    signed_by=signed_by[1] if signed_by else "",
                )
            )
    return sources


def parse_deb822(text: str) -> list[AptSource]:
    """The stanzas of a `.sources` file, without those that are switched off or source-only."""
    sources = []
    for stanza in re.split(r"\n[ \t]*\n", text):
        fields: dict[str, str] = {}
        name = ""
        for line in stanza.splitlines():
            if line.startswith("#"):
                continue
            if line[:1].isspace():
                fields[name] = f"{fields.get(name, '')} {line.strip()}"
            elif ":" in line:
                name, _, value = line.partition(":")
                name = name.strip().lower()
                fields[name] = value.strip()
        enabled = fields.get("enabled", "yes").lower() not in {"no", "false", "off", "0"}
        if enabled and "deb" in fields.get("types", "").split():
            sources.append(
                AptSource(
                    uris=tuple(fields.get("uris", "").split()),
                    suites=tuple(fields.get("suites", "").split()),
                    components=tuple(fields.get("components", "").split()),
                    signed_by=fields.get("signed-by", "").strip(),
                )
            )
    return sources
