"""All batches of a gateway that go on: taken up at the start, as many at once as may be, each again
after a fault."""

from __future__ import annotations

import asyncio
import contextlib
import time

from infergate.api.batches.calls import Callers
from infergate.api.batches.run import Around, Run
from infergate.api.threads import to_its_end
from infergate.backoff import Backoff
from infergate.log import log
from infergate.store.batches import CANCELLABLE, OPEN, find_batch, move_batch, open_batches

_AT_ONCE = 200
"""Batches that are open files and tasks; the others wait their turn, the oldest first."""


class Runner:
    """node: this gateway. Nobody else may run its batches meanwhile."""

    def __init__(self, around: Around, node: str, callers: Callers) -> None:
        self._around, self._node, self._callers = around, node, callers
        self._room = asyncio.Semaphore(_AT_ONCE)
        self._keeping: dict[str, asyncio.Task[None]] = {}
        self._running: dict[str, asyncio.Task[None]] = {}
        self._runs: dict[str, Run] = {}

    async def take_up(self) -> None:
        """Go on with all that are open, also those that an operator cancels (cli/batches.py) or
        that came while we looked."""
        for batch in await to_its_end(open_batches, self._around.database, self._node):
            self.begin(batch.id)
            run = self._runs.get(batch.id)
            if batch.status == "cancelling" and run is not None and run.status != "cancelling":
                self._interrupt(batch.id)

    def begin(self, id_: str) -> None:
        """Run one that is in the store."""
        if id_ not in self._keeping:
            task = asyncio.create_task(self._keep(id_))
            self._keeping[id_] = task
            task.add_done_callback(lambda _: self._keeping.pop(id_, None))

    async def cancel(self, id_: str) -> bool:
        """End one: what is in flight is closed, what is answered stays. False if it has ended."""

        def told() -> bool:
            with self._around.database.write() as connection:
                return move_batch(connection, id_, CANCELLABLE, "cancelling")

        if not await to_its_end(told):
            return False
        self._interrupt(id_)
        return True

    def progress(self, id_: str) -> tuple[int, int] | None:
        """Lines that are completed and that failed by now, of one that runs."""
        run = self._runs.get(id_)
        return None if run is None else (run.completed, run.failed)

    async def stop(self) -> None:
        """Give all up; they go on at the next start."""
        tasks = list(self._keeping.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _interrupt(self, id_: str) -> None:
        if id_ in self._running:
            self._running[id_].cancel()

    async def _keep(self, id_: str) -> None:
        """Until it has ended. A cancelled run is begun again and finds out what it was told."""
        backoff = Backoff()
        while True:
            began = time.monotonic()
            try:
                async with self._room:
                    if await self._ran(id_):
                        return
            except Exception as problem:  # whatever it is: it goes on, as others do
                delay_s = backoff.after(time.monotonic() - began)
                log.error("a batch failed and goes on", batch=id_, in_s=delay_s, exc_info=problem)
                await self._around.sleep(delay_s)

    async def _ran(self, id_: str) -> bool:
        """One run; whether the batch has ended."""
        batch = await to_its_end(find_batch, self._around.database, self._node, id_)
        if batch is None or batch.status not in OPEN:
            return True
        caller = self._callers(batch)
        run = self._runs[id_] = Run(batch, self._around, caller)
        running = self._running[id_] = asyncio.create_task(run.go_on())
        try:
            await asyncio.wait((running,))
        finally:
            if not running.done():
                running.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.wait((running,))
            del self._running[id_], self._runs[id_]
            await caller.end()
        if not running.cancelled():
            running.result()
        return False
