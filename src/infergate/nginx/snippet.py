"""What people keep in a file of its own and include in a block of nginx: `map`, `upstream`.

Read with crossplane, as nginx would; what the lines mean is said by who asks for them.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

LARGEST_BYTES = 1_000_000
_MOST_FILES = 100
_DEEPEST = 10
_ESCAPED = re.compile(r"\\([\"'\\])")
_END = "end_of_what_was_written"
"""Put after the text. A last line without an end, of which crossplane says nothing, swallows it."""
_WILD = re.compile(r"[*?\[]")


@dataclass(frozen=True)
class SnippetLine:
    """One directive. words: without quotes and their escapes; comment: what follows on its line.

    place: where it is, such as "line 7", with the file's name if that is an included one.
    """

    words: tuple[str, ...]
    comment: str
    place: str


@dataclass(frozen=True)
class Snippet:
    """The lines of a file and of what it includes.

    files: what was read, and folders where an `include` with a `*` looks: a change of any of them
    changes the lines.
    """

    lines: tuple[SnippetLine, ...]
    files: tuple[Path, ...]


class SnippetError(Exception):
    """It cannot be read; the text says why and where, and quotes nothing: keys may be in it.

    files: as of a Snippet, of what was read until then.
    """

    files: tuple[Path, ...] = ()


def read_snippet(path: Path, block: str) -> Snippet:
    """The lines of a file, with or without `block … { }` around them.

    An `include` is followed; a path that is not absolute starts at the folder of the file that
    has it. Raises SnippetError.
    """
    reading = _Reading(block)
    try:
        lines = tuple(reading.file(path, path.name, 0))
    except SnippetError as problem:
        problem.files = tuple(reading.files)
        raise
    return Snippet(lines, tuple(reading.files))


def read_text(text: str, block: str) -> tuple[SnippetLine, ...]:
    """The lines of a text that came without its file; it may include none. Raises SnippetError."""
    return tuple(_Reading(block).text(text, None, "", 0))


@dataclass
class _Reading:
    block: str
    files: list[Path] = field(default_factory=list)

    def file(self, path: Path, name: str, depth: int) -> Iterator[SnippetLine]:
        self.files.append(path)
        if len(self.files) > _MOST_FILES or depth > _DEEPEST:
            raise SnippetError(f"{name} includes too many files, or itself")
        where = f"{name} " if depth else ""
        try:
            content = path.read_bytes()
            if len(content) > LARGEST_BYTES:
                raise SnippetError(f"{name} is larger than 1 MB")
            text = content.decode("utf-8-sig")
        except OSError as problem:
            raise SnippetError(f"{name} cannot be read: {problem.strerror}") from None
        except UnicodeDecodeError:
            raise SnippetError(f"{name} cannot be read: it is no text") from None
        yield from self.text(text, path, where, depth)

    def text(self, text: str, path: Path | None, where: str, depth: int) -> Iterator[SnippetLine]:
        statements = _inside(statements_of(text, where), self.block, where)
        for number, each in enumerate(statements):
            if each["directive"] == "#":
                continue
            place = f"{where}line {each['line']}"
            words = tuple(_ESCAPED.sub(r"\1", word) for word in (each["directive"], *each["args"]))
            if "block" in each:
                raise SnippetError(f"{place}: a block cannot stand here")
            if each["directive"] == "include" and len(words) == 2:
                yield from self.included(words[1], path, place, depth)
                continue
            yield SnippetLine(
                words, _comment(statements[number + 1 : number + 2], each["line"]), place
            )

    def included(
        self, pattern: str, path: Path | None, place: str, depth: int
    ) -> Iterator[SnippetLine]:
        if path is None:
            raise SnippetError(f"{place}: a file cannot be included from here")
        target = path.parent / pattern
        if not _WILD.search(pattern):
            yield from self.file(target, pattern, depth + 1)
            return
        folder = target.parent  # nginx too takes `*` in names of files; of folders few use it
        self.files.append(folder)
        for each in sorted(folder.glob(target.name)):
            yield from self.file(each, each.name, depth + 1)


def statements_of(text: str, where: str) -> list[dict[str, Any]]:
    """The directives of a text as crossplane gives them, comments too: each has its "directive",
    "args", "line" and, if it is one, its "block". where: before the line in an error.

    Raises SnippetError.
    """
    import crossplane  # it is slow to load, and few have such files

    # crossplane 0.5.8 reads files only, and what gixy brings under its name reads texts too. This
    # one is ours alone, and gone when it was read.
    with tempfile.NamedTemporaryFile("w", encoding="utf-8") as file:
        file.write(f"{text}\n{_END};\n")
        file.flush()
        try:
            payload = crossplane.parse(
                file.name, single=True, comments=True, check_ctx=False, check_args=False
            )
        except RecursionError:
            raise SnippetError(f"{where}is nested too deeply") from None
    last = len(text.rstrip().splitlines()) or 1
    wrong = [error["line"] or last for error in payload["errors"]]
    parsed: list[dict[str, Any]] = payload["config"][0]["parsed"]
    if not wrong and (not parsed or (parsed[-1]["directive"], parsed[-1]["args"]) != (_END, [])):
        wrong = [last]
    if wrong:
        line = min(wrong[0], last)
        raise SnippetError(f"{where}line {line} has no end: a ';', a quote or a bracket is missing")
    return parsed[:-1]


def _inside(statements: list[dict[str, Any]], block: str, where: str) -> list[dict[str, Any]]:
    """The lines themselves, where the whole `block … { }` was pasted."""
    around = [each for each in statements if each["directive"] == block and "block" in each]
    if not around:
        return statements
    beside = [each for each in statements if each["directive"] != "#" and each is not around[0]]
    if beside:
        line = beside[0]["line"]
        raise SnippetError(f"{where}line {line}: only one {block} can be in the file, and no more")
    inside: list[dict[str, Any]] = around[0]["block"]
    return inside


def _comment(following: Sequence[dict[str, Any]], line: int) -> str:
    for each in following:
        if each["directive"] == "#" and each["line"] == line:
            return str(each["comment"]).strip()
    return ""
