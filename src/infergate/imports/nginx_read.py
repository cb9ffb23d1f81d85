"""nginx files as trees of directives, with what they include: from disk, or given along."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infergate.errors import UserError
from infergate.imports.draft import Draft
from infergate.nginx.snippet import LARGEST_BYTES, SnippetError, SnippetLine, statements_of

_WILD = re.compile(r"[*?\[]")
_MOST_FILES = 200
_DEEPEST = 10


@dataclass(frozen=True)
class Directive:
    """block: None for one that ends with `;`. comment: behind it, on its line. file: where it
    stands, which may be an included one."""

    name: str
    args: tuple[str, ...]
    block: tuple[Directive, ...] | None
    file: Path
    line: int
    comment: str = ""

    @property
    def place(self) -> str:
        return f"{self.file.name}, line {self.line}"

    @property
    def first(self) -> str:
        """Its first argument; "" without any."""
        return self.args[0] if self.args else ""

    def as_line(self) -> SnippetLine:
        return SnippetLine((self.name, *self.args), self.comment, f"line {self.line}")

    def all(self, name: str) -> Iterator[Directive]:
        """Those of a name directly in its block."""
        return (each for each in self.block or () if each.name == name)

    def value(self, name: str) -> str | None:
        """The first argument of the last of these, as nginx takes it."""
        found = [each.first for each in self.all(name)]
        return found[-1] if found else None


class NginxFiles:
    """The files that were given. used: those that another one includes."""

    def __init__(self, given: Sequence[Path], draft: Draft) -> None:
        self._given, self._draft = tuple(given), draft
        self._count = 0
        self.used: set[Path] = set()

    def tree(self, path: Path, depth: int = 0) -> tuple[Directive, ...]:
        """Raises UserError for what is no nginx configuration, with its line."""
        self._count += 1
        if self._count > _MOST_FILES or depth > _DEEPEST:
            raise UserError("too many files, or one that includes itself", where=str(path))
        try:
            content = path.read_bytes()
            if len(content) > LARGEST_BYTES:
                raise UserError("is larger than 1 MB", where=str(path))
            statements = statements_of(content.decode("utf-8-sig"), "")
        except OSError as problem:
            raise UserError(f"cannot be read: {problem.strerror}", where=str(path)) from None
        except UnicodeDecodeError:
            raise UserError("is no text", where=str(path)) from None
        except SnippetError as problem:
            raise UserError(str(problem), where=str(path)) from None
        return self._block(statements, path, depth)

    def _block(
        self, statements: list[dict[str, Any]], path: Path, depth: int
    ) -> tuple[Directive, ...]:
        found: list[Directive] = []
        for number, each in enumerate(statements):
            if each["directive"] == "#":
                continue
            name, args, line = str(each["directive"]), tuple(each["args"]), int(each["line"])
            if name == "include" and len(args) == 1:
                found += self._included(args[0], path, line, depth)
                continue
            inner = self._block(each["block"], path, depth) if "block" in each else None
            comment = _comment(statements[number + 1 : number + 2], line)
            found.append(Directive(name, args, inner, path, line, comment))
        return tuple(found)

    def _included(self, pattern: str, path: Path, line: int, depth: int) -> list[Directive]:
        if Path(pattern).name in ("mime.types", "fastcgi_params", "proxy_params", "uwsgi_params"):
            return []
        found: list[Directive] = []
        paths = self._matching(pattern, path)
        for each in paths:
            self.used.add(each)
            found += self.tree(each, depth + 1)
        if not paths:
            self._draft.lost(
                f"{path.name}, line {line}",
                f"include {pattern}: nothing of it is here; give what it names as one more FILE",
            )
        return found

    def _matching(self, pattern: str, path: Path) -> list[Path]:
        """Those on disk, else those that were given and have such a name."""
        target = path.parent / pattern
        if _WILD.search(target.name):
            on_disk = sorted(each for each in target.parent.glob(target.name) if each.is_file())
        else:
            on_disk = [target] if target.is_file() else []
        given = [each for each in self._given if each != path and each.match(Path(pattern).name)]
        return on_disk or given


def _comment(following: Sequence[dict[str, Any]], line: int) -> str:
    for each in following:
        if each["directive"] == "#" and each["line"] == line:
            return str(each["comment"]).strip()
    return ""
