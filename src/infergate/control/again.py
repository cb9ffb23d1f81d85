"""A step that is done again and again, and waits longer where it fails."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from infergate.errors import InfergateError
from infergate.log import log


class Again:
    """complaint: what is said where it fails. every_s, longest_s: between two steps, and where many
    have failed."""

    def __init__(self, complaint: str, every_s: float, longest_s: float) -> None:
        self._complaint, self._every_s, self._longest_s = complaint, every_s, longest_s
        self._problem = ""

    async def run(self, step: Callable[[], None], failed: Callable[[], None]) -> None:
        """Until cancelled. step: blocks; it may raise InfergateError or OSError, and then `failed`
        is called."""
        wait_s = self._every_s
        while True:
            try:
                await asyncio.to_thread(step)
                self._problem, wait_s = "", self._every_s
            except (InfergateError, OSError) as problem:
                self.tell(problem)
                failed()
                wait_s = min(wait_s * 2, self._longest_s)
            await asyncio.sleep(wait_s)

    def tell(self, problem: Exception) -> None:
        """Once, and not each time."""
        if self._problem != str(problem):
            self._problem = str(problem)
            log.error(self._complaint, why=self._problem)
