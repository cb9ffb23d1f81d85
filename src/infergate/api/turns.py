"""How many lines are asked at once, and whose is next: each owner in turn, however many batches and
lines one has."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager


class Turns:
    """most: asked anew for each turn, so that a changed setting counts at once."""

    def __init__(self, most: Callable[[], int]) -> None:
        self._most, self._taken = most, 0
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}

    @asynccontextmanager
    async def turn(self, owner: str) -> AsyncIterator[None]:
        """One place, for as long as this lasts."""
        waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(owner, deque()).append(waiting)
        self._give()
        try:
            await waiting
        except asyncio.CancelledError:
            if waiting.done() and not waiting.cancelled():
                self._back()  # it was given in the moment that it was given up
            raise
        try:
            yield
        finally:
            self._back()

    def _back(self) -> None:
        self._taken -= 1
        self._give()

    def _give(self) -> None:
        while self._waiting and self._taken < self._most():
            owner = next(iter(self._waiting))
            own = self._waiting.pop(owner)
            while own and own[0].done():
                own.popleft()
            if not own:
                continue
            own.popleft().set_result(None)
            self._taken += 1
            if own:
                self._waiting[owner] = own  # behind the others
