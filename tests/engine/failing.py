"""A gateway whose own programs fail where they are told to."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from infergate.live.drain import nginx_workers
from tests.gateway import Gateway, until

_MADE = "made on purpose"


class Failing:
    """Programs of a gateway that throw where a function begins, while a test says so.

    They look into a file for the function's name. So nginx is reloaded once, and not twice for each
    function: it takes longer to load the programs than to answer all that a test asks.
    functions: those of each program.
    """

    def __init__(self, it: Gateway, functions: Mapping[str, Sequence[str]]) -> None:
        self._it = it
        self._functions = functions
        self._told = it.folder / "fails"

    @contextmanager
    def __call__(self, function: str) -> Iterator[None]:
        """It throws in each of the programs that were said to have it. "": none does, yet."""
        assert not function or any(function in each for each in self._functions.values())
        self._told.write_text(function)
        self._told.chmod(0o644)
        try:
            if not self._is_made():
                self._make()
                reload(self._it)
            yield
        finally:
            self._told.write_text("")

    def _is_made(self) -> bool:
        """Whether the revision that is active looks there; not after a change of the file."""
        return all(_MADE in self._text(program) for program in self._functions)

    def _text(self, program: str) -> str:
        return (self._it.home / "current" / "njs" / program).read_text()

    def _make(self) -> None:
        for program, functions in self._functions.items():
            text = self._text(program)
            for each in functions:
                name = re.escape(each)  # of a function, or of what stands where it was called
                begins = rf"^(?: *(?:async )?function {name}\(|.*\{{   // {name}$)[^\n]*\n"
                begin = re.search(begins, text, re.MULTILINE)
                assert begin, (program, each)
                throws = (
                    f"if (require('fs').readFileSync('{self._told}').toString() === '{each}')"
                    f" throw new Error('{_MADE}');"
                )
                text = f"{text[: begin.end()]}{throws}{text[begin.end() :]}"
            (self._it.home / "current" / "njs" / program).write_text(text)


def reload(it: Gateway) -> None:
    master = it.status()["processes"]["nginx"]
    before = nginx_workers(master)
    os.kill(master, signal.SIGHUP)
    until(lambda: (now := nginx_workers(master)) and not now & before)
