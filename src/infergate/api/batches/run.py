"""One batch, from the look at its file to its end. Killed at any moment, it goes on from what is in
the store and in its two files (journal.py)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from infergate.api.batches.calls import (
    BatchAnswer,
    BatchCaller,
    BatchUnanswered,
    BatchVerdict,
    Stopped,
    stopped_by,
    verdict_on,
)
from infergate.api.batches.journal import Done, Journal
from infergate.api.batches.lines import BadLine, BatchLine, CheckedLine, line_of, raw_lines
from infergate.api.files.folder import Folder
from infergate.api.threads import to_its_end
from infergate.api.turns import Turns
from infergate.config.batches import Batches
from infergate.store.batches import StoredBatch, count_batch, move_batch
from infergate.store.database import Database
from infergate.store.files import StoredFile, put_file

_WAITS_S = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
"""Before a line is asked again; the last of them from then on."""
_COUNTED_EVERY_S = 1.0
_AT_ONCE = 1000
"""Lines that are told at once that their time is over."""
_LONGEST_LINE = 64 * 1024**2
"""What `max_line` may be at most: it counted when the file was looked through."""
_OUTPUT = "batch_output"
_EXPIRED: Mapping[str, str] = {
    "code": "batch_expired",
    "message": "This request could not be executed before the completion window expired.",
}
_TOO_LARGE = "output_too_large"


@dataclass(frozen=True)
class Around:
    """What every batch of a gateway has around it. settings: asked anew when it is needed."""

    database: Database
    folder: Folder
    settings: Callable[[], Batches]
    turns: Turns
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


class Run:
    """The batch as it is in the store. completed, failed: how far it is by now."""

    def __init__(self, batch: StoredBatch, around: Around, caller: BatchCaller) -> None:
        self._batch, self._around, self._caller = batch, around, caller
        self._settings = around.settings()
        self.completed, self.failed = batch.completed, batch.failed
        self._journal: Journal | None = None
        self._answered: list[Done] = []
        self._writing = asyncio.Lock()
        self._counted_at = time.monotonic()

    @property
    def status(self) -> str:
        """What it was told when it began."""
        return self._batch.status

    async def go_on(self) -> None:
        """To its end, unless cancelled: then it goes on later from here. Raises OSError, StateError
        where the disk or the database fail."""
        batch = self._batch
        if batch.status == "validating" and not await self._validated():
            return
        assert batch.output_file is not None  # noqa: S101 - every open batch has both
        assert batch.error_file is not None  # noqa: S101
        self._journal = await to_its_end(
            Journal, self._around.folder, batch.id, batch.output_file, batch.error_file
        )
        try:
            await self._with(self._journal)
        finally:
            self._journal.close()

    async def _with(self, journal: Journal) -> None:
        self.completed, self.failed = journal.completed, journal.failed
        if self._batch.status == "cancelling":
            await self._end("cancelled", among=("cancelling",))
            return
        going_on = ("in_progress", "finalizing")
        try:
            async with asyncio.timeout(self._left_s()):
                await self._ask_all(journal)
        except TimeoutError:
            await self._tell_expired(journal)
            await self._end("expired", among=going_on)
        except Stopped as stopped:
            error = {"code": stopped.code, "line": None, "message": stopped.message, "param": None}
            await self._end("failed", among=going_on, errors=[error])
        else:
            await self._move(("in_progress",), "finalizing")
            await self._end("completed", among=going_on)

    def _left_s(self) -> float:
        return max(0.0, self._batch.expires_at - time.time())

    async def _validated(self) -> bool:
        """Whether the file can be asked; if not, the batch has ended."""
        checked = await self._checked()
        if checked.errors:
            await self._end("failed", among=("validating",), errors=checked.errors)
            return False
        return await self._move(("validating",), "in_progress", total=checked.total)

    async def _checked(self) -> CheckedLine:
        """In a thread, which stops where we are cancelled."""
        settings, stop = self._settings, False
        checked = CheckedLine(
            self._batch.endpoint, longest=settings.max_line, most=settings.max_lines
        )

        def look() -> None:
            path = self._around.folder.path(self._batch.input_file)
            with path.open("rb") as file:
                for _ in checked.look(file):
                    if stop:
                        return

        looking = asyncio.ensure_future(to_its_end(look))
        try:
            await asyncio.shield(looking)
        except FileNotFoundError:
            message = "The input file is not there any more."
            checked.errors.append({"code": "file_missing", "line": None, "message": message})
        except asyncio.CancelledError:
            stop = True
            await asyncio.wait((looking,))
            raise
        return checked

    async def _ask_all(self, journal: Journal) -> None:
        """Every line that has no answer yet, a few at once. Raises Stopped."""
        room = asyncio.Semaphore(self._settings.concurrent)
        try:
            async with asyncio.TaskGroup() as asking:
                for line in self._lines(journal):
                    await room.acquire()
                    task = asking.create_task(self._ask(line))
                    task.add_done_callback(lambda _: room.release())
        except* Stopped as several:
            raise _first(several) from None
        finally:
            if self._answered:  # by those who were given up before it was their turn to write
                answered, self._answered = self._answered, []
                await to_its_end(journal.write, answered)

    def _lines(self, journal: Journal) -> Iterator[BatchLine]:
        """Those that are not done. All were understood before."""
        try:
            with self._around.folder.path(self._batch.input_file).open("rb") as file:
                for number, raw in raw_lines(file, _LONGEST_LINE):
                    if number not in journal.done:
                        yield line_of(number, raw, self._batch.endpoint, _LONGEST_LINE)
        except (BadLine, FileNotFoundError) as changed:
            message = f"The input file is not what it was: {changed}"
            raise Stopped("input_file_changed", message) from None

    async def _ask(self, line: BatchLine) -> None:
        answer = await self._answer(line)
        if isinstance(answer, BatchAnswer):
            response = {
                "status_code": answer.status,
                "request_id": answer.request_id,
                "body": answer.body,
            }
            await self._keep(Done(line.number, line.custom_id, response))
        else:
            error = {"code": "no_answer", "message": f"No backend answered: {answer}"}
            await self._keep(Done(line.number, line.custom_id, None, error))

    async def _answer(self, line: BatchLine) -> BatchAnswer | BatchUnanswered:
        """The line's last word. Raises Stopped."""
        faults = again = 0
        while True:
            answer = await self._once(line)
            verdict = verdict_on(answer) if isinstance(answer, BatchAnswer) else BatchVerdict.FAILED
            if isinstance(answer, BatchAnswer) and verdict is BatchVerdict.STOP:
                raise stopped_by(answer)
            faults += verdict is BatchVerdict.FAILED
            if verdict is BatchVerdict.KEEP or faults >= self._settings.attempts:
                return answer
            wait_s = _WAITS_S[min(again, len(_WAITS_S) - 1)]
            asked_s = answer.retry_after_s if isinstance(answer, BatchAnswer) else None
            again += 1
            await self._around.sleep(min(max(wait_s, asked_s or 0.0), _WAITS_S[-1]))

    async def _once(self, line: BatchLine) -> BatchAnswer | BatchUnanswered:
        async with self._around.turns.turn(self._batch.owner):
            try:
                return await self._caller.call(self._batch.endpoint, line.body)
            except BatchUnanswered as nobody:
                return nobody

    async def _keep(self, done: Done) -> None:
        """Returns when it is on the disk; what came meanwhile is written with it, at once."""
        self._answered.append(done)
        async with self._writing:
            answered, self._answered = self._answered, []
            if answered:
                await self._write(answered)

    async def _write(self, answered: list[Done]) -> None:
        """Raises Stopped where it has written more than one owner may have."""
        journal = self._journal
        assert journal is not None  # noqa: S101 - go_on has opened it
        await to_its_end(journal.write, answered)
        self.completed, self.failed = journal.completed, journal.failed
        if sum(journal.sizes) > self._settings.bytes:
            message = f"Its answers are more than the {self._settings.bytes} bytes that fit here."
            raise Stopped(_TOO_LARGE, message)
        if time.monotonic() - self._counted_at > _COUNTED_EVERY_S:
            self._counted_at = time.monotonic()
            await to_its_end(
                count_batch,
                self._around.database,
                self._batch.id,
                completed=self.completed,
                failed=self.failed,
            )

    async def _tell_expired(self, journal: Journal) -> None:
        """Each line without an answer is in the file of errors."""
        late: list[Done] = []
        for line in self._lines(journal):
            late.append(Done(line.number, line.custom_id, None, _EXPIRED))
            if len(late) >= _AT_ONCE:
                await to_its_end(journal.write, late)
                late = []
        await to_its_end(journal.write, late)

    async def _move(self, among: tuple[str, ...], status: str, **values: Any) -> bool:
        def move() -> bool:
            with self._around.database.write() as connection:
                return move_batch(connection, self._batch.id, among, status, **values)

        return await to_its_end(move)

    async def _end(
        self, status: str, *, among: tuple[str, ...], errors: list[dict[str, Any]] | None = None
    ) -> None:
        """Its status, its counts and what it wrote change as one. Empty files are none."""
        batch, journal = self._batch, self._journal
        if journal is not None:
            self.completed, self.failed = journal.completed, journal.failed
        output, wrong = (0, 0) if journal is None else journal.sizes
        sizes = {batch.output_file: output, batch.error_file: wrong}
        kept = {name: size for name, size in sizes.items() if name is not None and size}
        values: dict[str, Any] = {
            "completed": self.completed,
            "failed": self.failed,
            "output_file": batch.output_file if batch.output_file in kept else None,
            "error_file": batch.error_file if batch.error_file in kept else None,
        }
        if errors is not None:
            values["errors"] = errors

        def end() -> bool:
            with self._around.database.write() as connection:
                moved = move_batch(connection, batch.id, among, status, **values)
                for id_, size in kept.items() if moved else ():
                    put_file(connection, self._written(id_, size))
                return moved

        if await to_its_end(end):
            self._around.folder.remove(*(each for each in sizes if each and each not in kept))

    def _written(self, id_: str, size: int) -> StoredFile:
        batch, now = self._batch, int(time.time())
        part = "output" if id_ == batch.output_file else "error"
        ends = None if batch.keep_s is None else now + batch.keep_s
        name = f"{batch.id}_{part}.jsonl"
        return StoredFile(id_, batch.node, batch.owner, batch.key, name, _OUTPUT, size, now, ends)


def _first(several: BaseExceptionGroup[Stopped]) -> Stopped:
    found: Any = several
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    assert isinstance(found, Stopped)  # noqa: S101 - except* chose it
    return found
