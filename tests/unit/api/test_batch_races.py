"""Batches and files of which two things are asked at once, at every moment that there is."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import openai
import pytest

from infergate.api.batches.calls import BatchAnswer
from infergate.store.batches import OPEN
from tests.batches import CallerDouble, Served, begun, ended, jsonl, lines_of, walk

LINES = 6


async def slow(body: Mapping[str, Any]) -> BatchAnswer:
    for _ in range(3):
        await asyncio.sleep(0)
    return BatchAnswer(200 if body["input"] % 3 else 400, {"echo": body["input"]})


@pytest.mark.parametrize("after", range(0, 200, 20))
def test_a_batch_that_is_cancelled_at_any_moment_ends_and_what_it_says_is_there(
    tmp_path: Path, after: int
) -> None:
    """after: steps of the loop; behind the last of them it has ended by itself."""
    caller = CallerDouble(slow)

    async def steps(it: Served) -> None:
        client = it.client()
        made = await begun(client, jsonl(*range(LINES)))
        for _ in range(after):
            await asyncio.sleep(0.0002)
        try:
            told = await client.batches.cancel(made.id)
            assert told.status in ("cancelling", "cancelled")
        except openai.ConflictError:
            pass
        done = await ended(client, made.id)
        assert done.status in ("cancelled", "completed")
        good = await lines_of(client, done.output_file_id)
        bad = await lines_of(client, done.error_file_id)
        counts = done.request_counts
        assert counts is not None
        assert (counts.completed, counts.failed) == (len(good), len(bad))
        each = Counter(line["custom_id"] for line in (*good, *bad))
        assert set(each.values()) <= {1}
        assert set(each) <= {f"r{n}" for n in range(1, LINES + 1)}
        if done.status == "completed":
            assert len(each) == LINES
        assert caller.open == 0
        there = {path.name for path in it.files.iterdir() if path.name.startswith("file-")}
        named = {made.input_file_id, done.output_file_id, done.error_file_id} - {None}
        assert there == named

    walk(tmp_path, steps, caller, concurrent=2)


def test_files_that_come_at_once_are_no_more_than_one_may_have(tmp_path: Path) -> None:
    async def steps(it: Served) -> None:
        client = it.client()

        async def give() -> str:
            try:
                return (await client.files.create(file=("in", jsonl(1)), purpose="batch")).id
            except openai.APIStatusError as refused:
                return str(refused.status_code)

        for _ in range(4):
            came = Counter(each[:5] for each in await asyncio.gather(*(give() for _ in range(4))))
            assert set(came) <= {"file-", "403"}
        kept = (await client.files.list()).data
        assert len(kept) == 3
        there = {path.name for path in it.files.iterdir() if path.name.startswith("file-")}
        assert there == {each.id for each in kept}

    walk(tmp_path, steps, files=3)


def test_batches_that_come_at_once_are_no_more_than_one_may_have_open(tmp_path: Path) -> None:
    hold = asyncio.Event()

    async def held(body: Mapping[str, Any]) -> BatchAnswer:
        await hold.wait()
        return BatchAnswer(200, {})

    async def steps(it: Served) -> None:
        client = it.client()
        file = await client.files.create(file=("in", jsonl(1)), purpose="batch")

        async def begin() -> str:
            try:
                return (
                    await client.batches.create(
                        input_file_id=file.id,
                        endpoint="/v1/embeddings",
                        completion_window="24h",
                    )
                ).id
            except openai.RateLimitError:
                return "429"

        came = await asyncio.gather(*(begin() for _ in range(12)))
        assert sum(each != "429" for each in came) == 2
        hold.set()
        for each in came:
            if each != "429":
                assert (await ended(client, each)).status == "completed"

    walk(tmp_path, steps, CallerDouble(held), open=2)


def test_a_file_and_the_batch_that_reads_it_race_and_one_of_both_is_told(tmp_path: Path) -> None:
    async def steps(it: Served) -> None:
        client = it.client()
        for _ in range(20):
            file = await client.files.create(file=("in", jsonl(1)), purpose="batch")
            making = client.batches.create(
                input_file_id=file.id, endpoint="/v1/embeddings", completion_window="24h"
            )
            made, gone = await asyncio.gather(
                making, client.files.delete(file.id), return_exceptions=True
            )
            if isinstance(made, BaseException):
                assert isinstance(made, openai.BadRequestError)
                continue
            done = await ended(client, made.id)
            if isinstance(gone, BaseException):
                assert isinstance(gone, openai.ConflictError)
                assert done.status == "completed"
            else:  # it had ended, or its file was gone when it was looked at
                assert done.status in ("completed", "failed")

    walk(tmp_path, steps)


def test_settings_that_shrink_while_a_batch_waits_end_no_batch_that_was_looked_through(
    tmp_path: Path,
) -> None:
    async def steps(it: Served) -> None:
        client = it.client()
        made = await begun(client, jsonl(*("x" * 2000 for _ in range(LINES))))
        while (now := await client.batches.retrieve(made.id)).status == "validating":
            await asyncio.sleep(0)
        assert now.status in (*OPEN, "completed")
        it.settings = it.settings.model_copy(update={"max_line": 1024, "max_lines": 1, "files": 0})
        done = await ended(client, made.id)
        assert done.status == "completed"
        assert done.request_counts is not None
        assert done.request_counts.completed == LINES

    walk(tmp_path, steps, concurrent=1)
