"""A page of the documentation as somebody who does what it says reads it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from tests import pages

_DONE = ("sh", "nginx")
_FILE = re.compile(r"`((?:nginx|/etc)/[a-z_/]+\.(?:conf|yaml|json))`:$")


@dataclass(frozen=True)
class Block:
    """What is typed, or what a file is made to say. section: the heading above it."""

    section: str
    file: str | None
    text: str


def blocks(page: str) -> Iterator[Block]:
    """Those of a page, in order, below its headings of the second rank."""
    for each in pages.blocks(pages.DOCS / page):
        file = _FILE.search(each.before.rstrip())
        if each.section is not None and (each.kind in _DONE or file):
            yield Block(each.section, file[1] if file else None, may_be_unwell(each.text))


def may_be_unwell(script: str) -> str:
    """That something is down is what `infergate status` says, and no failure of who asks it."""
    return re.sub(r"(?m)^(.*infergate status(?: --json)?)$", r"\1 || [ $? -eq 3 ]", script)
