"""The screen: drawn over and over without flicker, while keys and a resize are answered at once."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import termios
import threading
import time
import tty
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from infergate.cli.terminal import lines_of, raw
from infergate.cli.top.frame import View, frame
from infergate.cli.top.seen import Observer

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

_KEYS = {"\x1b[A": -1, "\x1b[B": 1, "k": -1, "j": 1, "\x1b[5~": -20, "\x1b[6~": 20}
"""Arrows, page up and down: how many rows they scroll."""


def watch(observer: Observer, every_s: float) -> None:
    """Until somebody types q, or sends SIGINT. Standard input and output are a terminal.

    A question has a thread of its own, so that a gateway which does not answer holds up no key.
    """
    from rich.console import Console
    from rich.live import Live

    console = Console(file=raw(sys.stdout), highlight=False, markup=False, emoji=False)
    view = View()
    with _woken() as (woken, wake), _single_keys():
        asking = _Asking(observer, every_s, wake)
        with Live(console=console, screen=True, auto_refresh=False) as screen:
            while True:
                screen.update(_picture(observer, view, console), refresh=True)
                for key in _pressed(woken):
                    if key in ("q", "\x03", "\x1b"):
                        return
                    view = _after(key, view)
                    asking.paused = view.paused


def _picture(observer: Observer, view: View, console: Console) -> Text:
    width, height = console.size
    return lines_of(frame(observer.seen, view, width, height, time.time()))


def _after(key: str, view: View) -> View:
    if key == "s":
        return view.sorted_on()
    if key == "\t":
        return view.other_part()
    if key == "p":
        return replace(view, paused=not view.paused)
    if key in _KEYS:
        return replace(view, skip=max(0, view.skip + _KEYS[key]))
    return view


class _Asking:
    """The thread that asks. wake: called after each answer."""

    def __init__(self, observer: Observer, every_s: float, wake: int) -> None:
        self.paused = False
        self._observer, self._every_s, self._wake = observer, every_s, wake
        threading.Thread(target=self._ask_on, daemon=True).start()

    def _ask_on(self) -> None:
        while True:
            if not self.paused:
                self._observer.ask()
            try:
                os.write(self._wake, b"\0")
            except OSError:  # nobody looks any more
                return
            time.sleep(self._every_s)


def _pressed(woken: int) -> Iterator[str]:
    """The keys that were pressed, once something happened at all."""
    keys = sys.stdin.fileno()
    ready, _, _ = select.select([woken, keys], [], [])
    if woken in ready:
        os.read(woken, 4096)
    if keys in ready:
        typed = os.read(keys, 1024).decode(errors="replace")
        if not typed:  # the terminal is gone
            yield "q"
        while typed:
            long = next((each for each in _KEYS if len(each) > 1 and typed.startswith(each)), "")
            yield long or typed[0]
            typed = typed[len(long or typed[0]) :]


@contextlib.contextmanager
def _woken() -> Iterator[tuple[int, int]]:
    """A pipe that has something to read after a resize, too."""
    read, write = os.pipe()
    os.set_blocking(write, False)
    before = signal.signal(signal.SIGWINCH, lambda *_: None)
    signals = signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    try:
        yield read, write
    finally:
        signal.set_wakeup_fd(signals)
        signal.signal(signal.SIGWINCH, before)
        os.close(write)
        os.close(read)


@contextlib.contextmanager
def _single_keys() -> Iterator[None]:
    """Keys come as they are pressed and are not shown; as before at the end, whatever happens."""
    keys = sys.stdin.fileno()
    before = termios.tcgetattr(keys)
    try:
        tty.setcbreak(keys)
        yield
    finally:
        termios.tcsetattr(keys, termios.TCSADRAIN, before)
