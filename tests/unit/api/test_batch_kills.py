"""kill -9 at every step of a batch: no line is lost, none is answered twice in what it writes."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from infergate.api.batches.calls import BatchAnswer
from infergate.api.batches.journal import Journal
from tests.batches import CallerDouble, begun, ended, jsonl, lines_of, served

LINES = 7


class _Killed:
    """Ends this process at a step: of the loop, and before and after each write and each commit."""

    def __init__(self, at: int) -> None:
        self._left = at

    def step(self) -> None:
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


def _lifetime(folder: Path, at: int, made: Path) -> None:
    """One process of a batch, killed at a step: begins it where there is none, else goes on."""
    killed = _Killed(at)
    write = Journal.write

    def watched(self: Journal, answered: Any) -> None:
        killed.step()
        write(self, answered)
        killed.step()

    async def answers(body: Mapping[str, Any]) -> BatchAnswer:
        with (folder / "asked").open("a") as asked:
            asked.write(f"{body['input']}\n")
        await asyncio.sleep(0)
        return BatchAnswer(400 if body["input"] == 3 else 200, {"echo": body["input"]})

    async def life() -> None:
        loop: Any = asyncio.get_running_loop()
        once = loop._run_once

        def counted() -> None:
            killed.step()
            once()

        async with served(folder, CallerDouble(answers), concurrent=2) as it:
            client = it.client()
            if not made.exists():
                batch = await begun(client, jsonl(*range(LINES)))
                made.write_text(batch.id)
            loop._run_once = counted
            await ended(client, made.read_text())

    Journal.write = watched  # type: ignore[method-assign]
    asyncio.run(life())


def _forked(folder: Path, at: int, made: Path) -> int:
    """How it ended: as a killed process does, or 0."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            _lifetime(folder, at, made)
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _exact(folder: Path, made: Path) -> None:
    async def look() -> None:
        async with served(folder, CallerDouble()) as it:
            done = await ended(it.client(), made.read_text())
            assert done.status == "completed"
            assert done.request_counts is not None
            counts = {"total": LINES, "completed": LINES - 1, "failed": 1}
            assert done.request_counts.model_dump() == counts
            good = await lines_of(it.client(), done.output_file_id)
            bad = await lines_of(it.client(), done.error_file_id)
            assert [each["custom_id"] for each in bad] == ["r4"]
            assert sorted(each["custom_id"] for each in good + bad) == [
                f"r{number}" for number in range(1, LINES + 1)
            ]
            for each in good + bad:
                assert each["response"]["body"]["echo"] == int(each["custom_id"][1:]) - 1

    asyncio.run(look())


def _walk(folder: Path, steps: list[int]) -> list[int]:
    """Kill a batch at each of these steps, each time in its next lifetime; what it was asked."""
    made = folder / "made"
    for at in steps:
        if _forked(folder, at, made) == 0:
            break
    while _forked(folder, 0, made) != 0:
        raise AssertionError("a lifetime that nobody kills fails")
    _exact(folder, made)
    return [int(each) for each in (folder / "asked").read_text().split()]


@pytest.mark.parametrize("at", [2, 15, 30, 40, 50, 60])
def test_a_killed_batch_goes_on_and_no_answer_is_lost_or_there_twice(
    tmp_path: Path, at: int
) -> None:
    asked = _walk(tmp_path, [at])
    assert set(asked) == set(range(LINES))
    assert len(asked) <= LINES + 2, "only what was in flight is asked again"


@pytest.mark.long
def test_the_same_three_times_in_a_row(tmp_path: Path) -> None:
    at, ended_itself = 0, False
    while not ended_itself:
        at += 5
        folder = tmp_path / str(at)
        folder.mkdir()
        asked = _walk(folder, [at, at, at])
        assert set(asked) == set(range(LINES))
        assert len(asked) <= LINES + 3 * 2
        whole = tmp_path / f"{at} whole"
        whole.mkdir()
        ended_itself = _forked(whole, at, whole / "made") == 0
    assert at > 20, "it had steps to be killed at"
