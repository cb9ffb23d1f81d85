"""`infergate`, and `python -m infergate`."""

from __future__ import annotations

import gc

_OBJECTS_BETWEEN_SEARCHES = 100_000
"""Instead of Python's 700. A command loads about as many; one that goes on for long cleans up."""


def start() -> None:
    """The command line, for a process of its own.

    What it loads stays until it ends. To look for garbage in it, meanwhile and at the end, takes
    a third of the time of `infergate keys list`.
    """
    gc.set_threshold(_OBJECTS_BETWEEN_SEARCHES)
    from infergate.cli import main

    try:
        main()
    finally:
        gc.freeze()


if __name__ == "__main__":
    start()
