"""README and the pages of docs/ as data: code blocks, links, commands within the text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md"))]

_BLOCK = re.compile(r"(?ms)^ *```(?P<kind>\w*)\n(?P<text>.*?)^ *```$")
_HEADING = re.compile(r"(?m)^#+ (.+)$")
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_TYPED = re.compile(r"`((?:[A-Z_]+=\S+ )*infergate [^`]+)`")


@dataclass(frozen=True)
class Block:
    """A code block. kind: what stands behind its fence. section: the heading of the second rank
    above it, if there is one. before: the text from there to it."""

    page: str
    line: int
    section: str | None
    before: str
    kind: str
    text: str

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line}"


@cache
def text_of(page: Path) -> str:
    return page.read_text()


def blocks(page: Path) -> Iterator[Block]:
    """Those of a page, in order."""
    text = text_of(page)
    for found in _BLOCK.finditer(text):
        above = text[: found.start()]
        _, is_below, rest = above.rpartition("\n## ")
        section, _, before = rest.partition("\n") if is_below else (None, "", above)
        line = above.count("\n") + 1
        yield Block(page.name, line, section, before, found["kind"], found["text"])


def all_blocks(*kinds: str) -> list[Block]:
    """Those of every page that are of one of these kinds."""
    return [each for page in PAGES for each in blocks(page) if each.kind in kinds]


def lines(block: Block) -> list[str]:
    """What is typed, a command each: continued lines are joined, comments gone."""
    text = block.text
    if block.kind == "console":
        text = "\n".join(re.findall(r"(?m)^\$ (.*)$", text))
    joined = text.replace("\\\n", " ")
    typed = [re.sub(r"\s+#\s.*", "", line).strip() for line in _quoted_lines(joined)]
    return [line for line in typed if line and not line.startswith("#")]


def _quoted_lines(text: str) -> Iterator[str]:
    """Lines, of which one ends where no quote is open."""
    line = ""
    for each in text.splitlines():
        line += each
        if line.count("'") % 2 == 0:
            yield line
            line = ""
        else:
            line += "\n"


def commands_in_text(page: Path) -> list[str]:
    """`infergate …` between backticks."""
    plain = _BLOCK.sub("", text_of(page))
    return [" ".join(each.split()) for each in _TYPED.findall(plain)]


def links(page: Path) -> list[str]:
    return _LINK.findall(_BLOCK.sub("", text_of(page)))


@cache
def anchors(page: Path) -> set[str]:
    """What `#…` may be behind a link to this page, as GitHub makes it of headings."""
    found: set[str] = set()
    for heading in _HEADING.findall(_BLOCK.sub("", text_of(page))):
        bare = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).lower().strip()
        name = re.sub(r"[^\w\- ]", "", bare).replace(" ", "-")
        found.add(name if name not in found else f"{name}-1")
    return found
