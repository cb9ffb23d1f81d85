"""A gateway whose own programs fail where they are told to."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager

from infergate.live.drain import nginx_workers
from tests.gateway import Gateway, until


@contextmanager
def failing(it: Gateway, function: str, *programs: str) -> Iterator[None]:
    """These of the gateway's programs throw where this function begins."""
    files = [it.home / "current" / "njs" / program for program in programs]
    before = [file.read_text() for file in files]
    for file, text in zip(files, before, strict=True):
        begin = re.search(rf"^ *function {re.escape(function)}\([^\n]*\n", text, re.MULTILINE)
        assert begin, (file.name, function)
        file.write_text(
            f"{text[: begin.end()]}throw new Error('made on purpose');{text[begin.end() :]}"
        )
    try:
        reload(it)
        yield
    finally:
        for file, text in zip(files, before, strict=True):
            file.write_text(text)
        reload(it)


def reload(it: Gateway) -> None:
    master = it.status()["processes"]["nginx"]
    before = nginx_workers(master)
    os.kill(master, signal.SIGHUP)
    until(lambda: (now := nginx_workers(master)) and not now & before)
