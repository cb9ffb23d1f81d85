"""What is known of nginx's holes, with the date of that: advisories.json beside this file.

From nginx.org's security advisories, for what our configurations use: not for the mail, mp4,
WebDAV, SSI, slice, charset, gRPC or stream modules, nor HTTP/3. To bring it up to date, add what is
new and set `as_of` and `newest`.
"""

from __future__ import annotations

import datetime
import email.utils
import functools
import gzip
import json
import re
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from infergate.engine.facts import Version, parse_version
from infergate.hardening.check import Severity

_TABLE = Path(__file__).parent / "advisories.json"


@dataclass(frozen=True)
class Advisory:
    """fixed: the first good version of each branch, oldest first; newer branches are good."""

    name: str
    what: str
    severity: Severity
    since: Version
    fixed: tuple[Version, ...]


@dataclass(frozen=True)
class Known:
    """as_of: the day up to which all is known. newest: the releases that were the newest then."""

    as_of: datetime.date
    newest: tuple[Version, ...]
    advisories: tuple[Advisory, ...]


@dataclass(frozen=True)
class Changelog:
    """Of a distribution's package. fixes: the CVE names in it. until: the day of its last entry."""

    fixes: frozenset[str]
    until: datetime.date


@functools.cache
def known() -> Known:
    table = json.loads(_TABLE.read_text(encoding="utf-8"))
    return Known(
        datetime.date.fromisoformat(table["as_of"]),
        tuple(map(parse_version, table["newest"])),
        tuple(
            Advisory(
                each["name"],
                each["what"],
                each["severity"],
                parse_version(each["since"]),
                tuple(map(parse_version, each["fixed"])),
            )
            for each in table["advisories"]
        ),
    )


def is_affected(advisory: Advisory, version: Version) -> bool:
    """Whether nginx's own release of this version has the problem."""
    if version < advisory.since:
        return False
    branch = next((fixed for fixed in advisory.fixed if fixed[:2] == version[:2]), None)
    return version < (branch or advisory.fixed[-1])


def holes(version: Version, fixes: Iterable[str] = ()) -> list[Advisory]:
    """The advisories that hold for it. fixes: those mended without a new version."""
    mended = frozenset(fixes)
    return [
        each
        for each in known().advisories
        if each.name not in mended and is_affected(each, version)
    ]


def is_newer(version: Version) -> bool:
    """Whether it was released after the day up to which all is known."""
    branch = [each for each in known().newest if each[:2] == version[:2]]
    return version > max(branch or known().newest)


def read_changelog(path: Path) -> Changelog | None:
    """A Debian package's changelog, gzip'd or not; None if it cannot be read.

    An entry ends with a line ` -- NAME <ADDRESS>  DATE` (deb-changelog(5)); the newest comes first.
    """
    try:
        data = path.read_bytes()
        text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode(errors="replace")
        last = re.search(r"^ -- .*?>  (.+)$", text, re.MULTILINE)
        until = email.utils.parsedate_to_datetime(last[1]).date() if last else None
    except (OSError, EOFError, ValueError, zlib.error):
        return None
    if until is None:
        return None
    return Changelog(_mended(text), until)


def _mended(text: str) -> frozenset[str]:
    """The CVE names in a changelog, without those whose newest item says that the fix was taken out
    again, as after a regression. An item begins with an asterisk, a part of it with a dash."""
    newest: dict[str, bool] = {}
    for item in re.split(r"^ +[*+-] ", text, flags=re.MULTILINE):
        for name in re.findall(r"CVE-\d{4}-\d{4,}", item):
            newest.setdefault(name, not re.search(r"\brevert", item, re.IGNORECASE))
    return frozenset(name for name, is_mended in newest.items() if is_mended)
