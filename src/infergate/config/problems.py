"""What is wrong with a configuration, and where: file:line:column."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

from infergate.errors import UserError

Finding = tuple[tuple[str | int, ...], str]
"""The path of a setting, and what is wrong with it."""


@dataclass(frozen=True, order=True)
class Problem:
    """One thing wrong, or worth a warning, at one place. Line and column count from 1."""

    file: str
    line: int
    column: int
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.message}"


class ConfigError(UserError):
    """Everything that is wrong with the configuration, all at once."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(set(problems)))
        super().__init__("\n".join(str(problem) for problem in self.problems))


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """ " (did you mean 'x'?)" if a known word is close to this one, else nothing."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f" (did you mean {close[0]!r}?)" if close else ""
