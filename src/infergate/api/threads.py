"""Work in a thread that is not left alone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


async def to_its_end(function: Callable[P, R], *arguments: P.args, **named: P.kwargs) -> R:
    """What it returns. Who is cancelled meanwhile hears of it when the thread is done: nothing is
    written behind the back of what comes next."""
    work = asyncio.ensure_future(asyncio.to_thread(function, *arguments, **named))
    cancelled: asyncio.CancelledError | None = None
    while not work.done():
        try:
            await asyncio.shield(work)
        except asyncio.CancelledError as told:
            cancelled = told
        except Exception:  # noqa: BLE001 - told below
            break
    if cancelled is not None:
        work.exception()
        raise cancelled
    return work.result()
