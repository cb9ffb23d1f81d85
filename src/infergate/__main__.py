"""`infergate`, and `python -m infergate`."""

from __future__ import annotations

import gc


def start() -> None:
    """The command line, for a process of its own.

    What it loads stays until it ends. To look for garbage in it, meanwhile and at the end, takes
    a third of the time of `infergate keys list`.
    """
    gc.disable()
    from infergate.cli import main

    try:
        main()
    finally:
        gc.freeze()


if __name__ == "__main__":
    start()
