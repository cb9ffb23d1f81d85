"""A page of the documentation as somebody who does what it says reads it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"
_BLOCK = re.compile(r"(?ms)^```(?P<kind>\w*)\n(?P<text>.*?)^```$")
_DONE = ("sh", "nginx")
_FILE = re.compile(r"`((?:nginx|/etc)/[a-z_/]+\.(?:conf|yaml|json))`:$")


@dataclass(frozen=True)
class Block:
    """What is typed, or what a file is made to say. section: the heading above it."""

    section: str
    file: str | None
    text: str


def blocks(page: str) -> Iterator[Block]:
    """Those of a page, in order."""
    for section in re.split(r"(?m)^## ", (DOCS / page).read_text())[1:]:
        heading, _, text = section.partition("\n")
        for found in _BLOCK.finditer(text):
            before = text[: found.start()].rstrip()
            file = _FILE.search(before)
            if found["kind"] in _DONE or file:
                yield Block(heading, file[1] if file else None, found["text"])
