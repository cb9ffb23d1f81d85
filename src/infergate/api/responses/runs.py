"""All responses of a gateway that are made in the background: begun, taken up at the start, and
ended by who cancels them."""

from __future__ import annotations

import asyncio
import time

from infergate.api.dialects.responses import answer
from infergate.api.dialects.responses.translations import Responses as Translation
from infergate.api.responses.around import ResponsesAround
from infergate.api.responses.run import BackgroundRun
from infergate.api.threads import to_its_end
from infergate.backoff import Backoff
from infergate.errors import InfergateError
from infergate.log import log
from infergate.store.responses import StoredResponse, end_response, open_ids, open_responses

_FORGOTTEN_S = 2 * 86400
"""`patience` is a day at most, and no model answers for another one."""
_MOST_ATTEMPTS = 3
"""Of one that was in flight when the gateway ended: it may have been the reason."""


class Runs:
    """Nobody else may make this gateway's meanwhile."""

    def __init__(self, around: ResponsesAround) -> None:
        self._around = around
        self._runs: dict[str, tuple[BackgroundRun, asyncio.Task[None]]] = {}

    def begin(self, stored: StoredResponse, translation: Translation | None) -> BackgroundRun:
        """Make one that is in the store. translation: None for one that is taken up again."""
        run = BackgroundRun(stored, translation)
        task = asyncio.create_task(self._keep(run, stored))
        self._runs[stored.id] = run, task
        task.add_done_callback(lambda _: self._runs.pop(stored.id, None))
        return run

    def of(self, id_: str) -> BackgroundRun | None:
        """One that goes on here."""
        return self._runs[id_][0] if id_ in self._runs else None

    def interrupt(self, id_: str) -> None:
        """What is in flight is closed: the store says that it is over."""
        if id_ in self._runs:
            self._runs[id_][1].cancel()

    async def take_up(self) -> None:
        """What a gateway that ended has left. A stream ends there: who follows it has had events
        that another answer would not have."""
        around = self._around
        for stored in await to_its_end(open_responses, around.database, around.node):
            streamed = bool((stored.asked or {}).get("stream"))
            if streamed or stored.attempts >= _MOST_ATTEMPTS:
                message = "The gateway ended while this response was made. Ask for it again."
                document = answer.failed(stored.document, 500, {"message": message})
                await to_its_end(end_response, around.database, stored.id, document)
            else:
                self.begin(stored, None)

    async def fail_forgotten(self) -> None:
        """What a gateway has left that did not come back, as after a move to another machine."""
        around, before = self._around, int(time.time()) - _FORGOTTEN_S
        for stored in await to_its_end(open_responses, around.database, None):
            if stored.created_at < before and stored.id not in self._runs:
                message = "The gateway that made this response did not come back."
                document = answer.failed(stored.document, 500, {"message": message})
                await to_its_end(end_response, around.database, stored.id, document)

    async def look(self) -> None:
        """Interrupt those that were cancelled or deleted at another gateway of the database."""
        if not self._runs:
            return
        mine = list(self._runs)
        going_on = await to_its_end(open_ids, self._around.database, self._around.node)
        for id_ in mine:
            run = self.of(id_)
            if run is not None and not run.is_ending and id_ not in going_on:
                self.interrupt(id_)

    async def stop(self) -> None:
        """Give all up; they are taken up at the next start."""
        tasks = [task for _, task in self._runs.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _keep(self, run: BackgroundRun, stored: StoredResponse) -> None:
        """To its end. Where the store fails before it begins, it is begun again."""
        backoff = Backoff()
        try:
            while True:
                try:
                    await run.go_on(self._around)
                    return
                except InfergateError as problem:
                    log.error("a response did not begin", response=stored.id, problem=str(problem))
                    await asyncio.sleep(backoff.after(0))
        finally:
            run.over()
