"""Responses in the background: polled, followed, cancelled, and what becomes of them when the
process ends."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI
from openai.types.responses import Response

from infergate.api.asker import Asker
from infergate.api.responses.wanted import wanted
from infergate.errors import StateError
from infergate.store.responses import add_response, find_response, open_ids
from tests import dialects
from tests.batches import until
from tests.dialects import chunk
from tests.kept_responses import MINE, NODE, InnerDouble, Served, ended, served, walk

STREAM = [chunk(content="h"), chunk(content="i"), chunk(finish="stop"), chunk(usage=dialects.USAGE)]
ASKER = Asker("k one", "one", MINE, "127.0.0.1")
BUSY = (429, {"message": "Too many.", "code": "rate_limit_exceeded"})


@pytest.fixture(autouse=True)
def waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infergate.api.responses.ask._WAITS_S", (0.001,))


async def begun(of: AsyncOpenAI, given: Any = "hello", **more: Any) -> Response:
    return await of.responses.create(model="m", input=given, background=True, **more)


async def refused(request: Any) -> openai.APIStatusError:
    with pytest.raises(openai.APIStatusError) as found:
        await request
    return found.value


def test_it_is_queued_then_in_progress_then_completed(tmp_path: Path) -> None:
    async def steps(it: Served) -> None:
        of = it.client()
        first = await begun(of, temperature=0.5)
        assert (first.status, first.background, first.output) == ("queued", True, [])
        await until(lambda: it.inner.asked)
        assert (await of.responses.retrieve(first.id)).status == "in_progress"
        problem = await refused(begun(of, previous_response_id=first.id))
        assert "it has not ended" in problem.message
        it.inner.go.set()
        last = await ended(of, first.id)
        assert (last.status, last.output_text) == ("completed", "hi")
        assert (last.id, last.created_at) == (first.id, first.created_at)
        assert it.inner.asked[0]["temperature"] == 0.5
        assert it.inner.callers[0].token == "igt-1"
        stored = find_response(it.database, first.id, MINE)
        assert stored is not None
        assert stored.asked is None
        await of.responses.create(model="m", input="on", previous_response_id=first.id)
        assert len(it.inner.asked[1]["messages"]) == 3

    walk(tmp_path, steps, holds=True)


def test_a_stream_can_be_followed_again_from_any_event_on(tmp_path: Path) -> None:
    async def steps(it: Served) -> None:
        of = it.client()
        stream: Any = await begun(of, stream=True)
        events = [each async for each in stream]
        assert [each.type for each in events[:3]] == [
            "response.created",
            "response.queued",
            "response.in_progress",
        ]
        assert [each.sequence_number for each in events] == list(range(len(events)))
        last = events[-1].response
        assert events[-1].type == "response.completed"
        assert await of.responses.retrieve(last.id) == last
        for after in (None, 0, 4, len(events) - 1, 1000):
            again: Any = await of.responses.retrieve(
                last.id, stream=True, **({} if after is None else {"starting_after": after})
            )
            rest = events[0 if after is None else after + 1 :]
            assert [each async for each in again] == rest
        problem = await refused(
            of.responses.retrieve(last.id, extra_query={"stream": "1", "starting_after": "x"})
        )
        assert problem.status_code == 400

    walk(tmp_path, steps, STREAM)


def test_one_that_is_no_stream_cannot_be_followed(tmp_path: Path) -> None:
    async def steps(it: Served) -> None:
        of = it.client()
        last = await ended(of, (await begun(of)).id)
        problem = await refused(of.responses.retrieve(last.id, stream=True))
        assert "Its events are not there" in problem.message
        assert problem.param == "stream"

    walk(tmp_path, steps)


@pytest.mark.parametrize("streamed", [False, True])
def test_who_cancels_closes_what_is_in_flight(tmp_path: Path, streamed: bool) -> None:
    async def steps(it: Served) -> None:
        of = it.client()
        following = None
        if streamed:
            following = asyncio.create_task(begun(of, stream=True))
            await until(lambda: open_ids(it.database, NODE))
            (id_,) = open_ids(it.database, NODE)
        else:
            id_ = (await begun(of)).id
        await until(lambda: it.inner.asked)
        assert (await of.responses.cancel(id_)).status == "cancelled"
        assert (await of.responses.cancel(id_)).status == "cancelled"  # told again
        await until(lambda: it.inner.cancelled)
        assert (await of.responses.retrieve(id_)).status == "cancelled"
        if following is not None:
            stream: Any = await following
            assert [each.type async for each in stream] == ["response.created", "response.queued"]

    walk(tmp_path, steps, holds=True)


def test_what_has_ended_is_not_cancelled_and_what_was_waited_for_cannot_be(tmp_path: Path) -> None:
    async def steps(it: Served) -> None:
        of = it.client()
        done = await ended(of, (await begun(of)).id)
        assert await of.responses.cancel(done.id) == done
        whole = await of.responses.create(model="m", input="hello")
        assert "'background'" in (await refused(of.responses.cancel(whole.id))).message

    walk(tmp_path, steps)


def test_one_that_is_deleted_is_given_up(tmp_path: Path) -> None:
    async def steps(it: Served) -> None:
        of = it.client()
        first = await begun(of)
        await until(lambda: it.inner.asked)
        await of.responses.delete(first.id)
        await until(lambda: it.inner.cancelled)
        assert (await refused(of.responses.retrieve(first.id))).status_code == 404

    walk(tmp_path, steps, holds=True)


def test_without_room_it_waits(tmp_path: Path) -> None:
    async def steps(it: Served) -> None:
        of = it.client()
        stream: Any = await begun(of, stream=True)
        events = [each async for each in stream]
        assert events[-1].response.output_text == "hi"
        assert [each.sequence_number for each in events] == list(range(len(events)))
        assert len(it.inner.asked) == 3

    walk(tmp_path, steps, BUSY, (503, {"message": "None is up."}), STREAM)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (BUSY, "rate_limit_exceeded"),
        ((429, {"message": "Used up.", "code": "insufficient_quota"}), "rate_limit_exceeded"),
        ((400, {"message": "No such tool."}), "server_error"),
        ((500, {"message": "Out of memory."}), "server_error"),
    ],
)
@pytest.mark.parametrize("streamed", [False, True])
def test_an_error_is_its_end(tmp_path: Path, error: Any, code: str, streamed: bool) -> None:
    async def steps(it: Served) -> None:
        of = it.client()
        if streamed:
            stream: Any = await begun(of, stream=True)
            events = [each async for each in stream]
            assert events[-1].type == "response.failed"
            failed = events[-1].response
        else:
            failed = await ended(of, (await begun(of)).id)
        assert failed.status == "failed"
        assert failed.error is not None
        assert (failed.error.code, failed.error.message) == (code, error[1]["message"])
        assert await of.responses.retrieve(failed.id) == failed

    walk(tmp_path, steps, error, patience=0)


def test_a_key_that_is_not_valid_any_more_is_its_end(tmp_path: Path) -> None:
    async def steps(it: Served) -> None:
        it.grant.is_valid = False
        failed = await ended(it.client(), (await begun(it.client())).id)
        assert failed.error is not None
        assert "not valid any more" in failed.error.message
        assert it.inner.asked == []

    walk(tmp_path, steps)


def test_a_key_has_so_many_at_once_and_others_are_not_hindered(tmp_path: Path) -> None:
    async def steps(it: Served) -> None:
        of = it.client()
        first = [await begun(of) for _ in range(2)]
        problem = await refused(begun(of))
        assert (problem.status_code, problem.code) == (429, "too_many_responses")
        yours = await begun(it.client("y" * 64))
        await until(lambda: len(it.inner.asked) == 2)
        it.inner.go.set()
        for each in first:
            await ended(of, each.id)
        await ended(it.client("y" * 64), yours.id)
        assert (await ended(of, (await begun(of)).id)).status == "completed"

    walk(tmp_path, steps, holds=True, background=2, concurrent=2)


@pytest.mark.parametrize("says", [dialects.answer(content="x" * 9000), [chunk(content="x" * 9000)]])
def test_an_answer_that_is_too_large_to_be_kept_is_told_so(tmp_path: Path, says: Any) -> None:
    async def steps(it: Served) -> None:
        of = it.client()
        stream: Any = await begun(of, stream=isinstance(says, list))
        if isinstance(says, list):
            stream = [each async for each in stream][-1].response
        failed = await ended(of, stream.id)
        assert failed.error is not None
        assert "larger than the 8000 bytes" in failed.error.message
        assert (await refused(begun(of, "x" * 9000))).status_code == 413

    walk(tmp_path, steps, says, max_bytes=8000)


def test_while_the_store_fails_its_end_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from infergate.api.responses import run

    end, failures = run.end_response, [StateError("is full"), StateError("is full")]

    def failing(*of: Any) -> bool:
        if failures:
            raise failures.pop()
        return end(*of)

    async def steps(it: Served) -> None:
        monkeypatch.setattr(run, "end_response", failing)
        of = it.client()
        assert (await ended(of, (await begun(of)).id)).output_text == "hi"
        assert not failures
        assert len(it.inner.asked) == 1

    walk(tmp_path, steps)


def test_one_that_a_process_left_is_asked_again_by_the_next(tmp_path: Path) -> None:
    async def walked() -> None:
        ids = []
        async with served(tmp_path) as it:
            found = await it.client().responses.create(model="m", input="first")
        async with served(tmp_path, InnerDouble(holds=True)) as it:
            for _ in range(2):
                ids.append((await begun(it.client(), "on", previous_response_id=found.id)).id)
            await until(lambda: len(it.inner.asked) == 2)
        async with served(tmp_path) as it:
            for id_ in ids:
                assert (await ended(it.client(), id_)).output_text == "hi"
            assert [len(each["messages"]) for each in it.inner.asked] == [3, 3]

    asyncio.run(walked())


def test_a_stream_that_a_process_left_has_failed_and_says_why(tmp_path: Path) -> None:
    async def walked() -> None:
        async with served(tmp_path, InnerDouble(holds=True)) as it:
            following = asyncio.create_task(begun(it.client(), stream=True))
            await until(lambda: it.inner.asked)
            (id_,) = open_ids(it.database, NODE)
        await asyncio.gather(following, return_exceptions=True)
        async with served(tmp_path) as it:
            failed = await it.client().responses.retrieve(id_)
            assert failed.status == "failed"
            assert failed.error is not None
            assert "The gateway ended" in failed.error.message
            assert it.inner.asked == []

    asyncio.run(walked())


def test_one_that_was_begun_three_times_is_not_begun_again(tmp_path: Path) -> None:
    async def walked() -> None:
        async with served(tmp_path, InnerDouble(holds=True)) as it:
            id_ = (await begun(it.client())).id
            await until(lambda: it.inner.asked)
        for _ in range(2):
            async with served(tmp_path, InnerDouble(holds=True)) as it:
                assert (await it.client().responses.retrieve(id_)).status == "in_progress"
                await until(lambda: it.inner.asked)
        async with served(tmp_path) as it:
            assert (await it.client().responses.retrieve(id_)).status == "failed"
            assert it.inner.asked == []

    asyncio.run(walked())


def test_one_whose_gateway_never_came_back_has_failed(tmp_path: Path) -> None:
    async def steps(it: Served) -> None:
        gone = Served(tmp_path, InnerDouble())
        gone.around = replace(gone.around, node="gone")
        found = await wanted(gone.around, ASKER, {"model": "m", "input": "x", "background": True})
        assert found.stored is not None
        for age_s in (86400, 3 * 86400):
            made_at = found.stored.created_at - age_s
            made = replace(found.stored, id=f"resp_ig_{age_s}", created_at=made_at)
            add_response(it.database, made, most=9, most_bytes=10**6)
        await it.app.tidy()
        of = it.client()
        assert (await of.responses.retrieve("resp_ig_86400")).status == "queued"
        failed = await of.responses.retrieve(f"resp_ig_{3 * 86400}")
        assert failed.error is not None
        assert "did not come back" in failed.error.message
        gone.database.close()

    walk(tmp_path, steps)


def test_one_that_another_gateway_cancelled_is_given_up(tmp_path: Path) -> None:
    async def steps(it: Served) -> None:
        first = await begun(it.client())
        await until(lambda: it.inner.asked)
        other = Served(tmp_path, InnerDouble())  # of the same database
        assert (await other.client().responses.cancel(first.id)).status == "cancelled"
        await until(lambda: it.inner.cancelled)
        other.database.close()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("infergate.api.responses.app._LOOK_S", 0.01)
        walk(tmp_path, steps, holds=True)
