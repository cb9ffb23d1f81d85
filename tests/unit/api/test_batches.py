"""/v1/batches: what the official client asks, and what becomes of each line."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from infergate.api.batches.calls import BatchAnswer, BatchUnanswered, Stopped
from infergate.api.turns import Turns
from infergate.store.batches import find_batch
from tests.batches import (
    NODE,
    CallerDouble,
    Served,
    begun,
    ended,
    jsonl,
    lines_of,
    until,
    walk,
)


def test_the_official_clients_flow_from_a_file_to_its_answers(tmp_path: Path) -> None:
    caller = CallerDouble()

    async def steps(it: Served) -> None:
        client = it.client()
        content = jsonl(*range(20))
        file = await client.files.create(file=("in.jsonl", content), purpose="batch")
        made = await client.batches.create(
            input_file_id=file.id,
            endpoint="/v1/embeddings",
            completion_window="24h",
            metadata={"job": "nightly"},
        )
        assert (made.status, made.object, made.endpoint) == (
            "validating",
            "batch",
            "/v1/embeddings",
        )
        assert made.expires_at == made.created_at + 86400
        assert made.output_file_id is None
        done = await ended(client, made.id)
        assert (done.status, done.errors, done.error_file_id) == ("completed", None, None)
        assert done.metadata == {"job": "nightly"}
        assert done.request_counts is not None
        assert done.request_counts.model_dump() == {"total": 20, "completed": 20, "failed": 0}
        assert done.in_progress_at
        assert done.finalizing_at
        assert done.completed_at
        found = await lines_of(client, done.output_file_id)
        assert sorted((each["custom_id"], each["response"]["body"]["echo"]) for each in found) == (
            sorted((f"r{number + 1}", number) for number in range(20))
        )
        assert all(each["error"] is None for each in found)
        assert all(each["response"]["status_code"] == 200 for each in found)
        assert len({each["id"] for each in found}) == 20
        output = await client.files.retrieve(done.output_file_id or "")
        assert (output.purpose, output.filename) == ("batch_output", f"{done.id}_output.jsonl")
        assert caller.paths == {"/v1/embeddings"}
        assert {each["model"] for each in caller.asked} == {"m"}
        await until(lambda: caller.ends == 1)

    walk(tmp_path, steps, caller)


def test_no_more_lines_are_asked_at_once_than_the_setting_says(tmp_path: Path) -> None:
    async def slowly(body: Mapping[str, Any]) -> BatchAnswer:
        for _ in range(5):
            await asyncio.sleep(0)
        return BatchAnswer(200, {})

    caller = CallerDouble(slowly)

    async def steps(it: Served) -> None:
        client = it.client()
        several = [await begun(client, jsonl(*range(20))) for _ in range(3)]
        for each in several:
            assert (await ended(client, each.id)).status == "completed"
        assert len(caller.asked) == 60
        assert caller.most_open == 3

    walk(tmp_path, steps, caller, concurrent=3)


def test_a_line_that_is_refused_is_in_the_file_of_errors_and_the_others_go_on(
    tmp_path: Path,
) -> None:
    refusal = {"error": {"message": "no such model", "code": "model_not_found"}}

    async def some(body: Mapping[str, Any]) -> BatchAnswer:
        return BatchAnswer(404, refusal, "id-7") if body["input"] % 2 else BatchAnswer(200, {})

    async def steps(it: Served) -> None:
        client = it.client()
        done = await ended(client, (await begun(client, jsonl(*range(10)))).id)
        assert done.status == "completed"
        assert done.request_counts is not None
        assert done.request_counts.model_dump() == {"total": 10, "completed": 5, "failed": 5}
        wrong = await lines_of(client, done.error_file_id)
        assert {each["custom_id"] for each in wrong} == {f"r{n + 1}" for n in range(10) if n % 2}
        assert wrong[0]["response"] == {"status_code": 404, "request_id": "id-7", "body": refusal}
        assert len(await lines_of(client, done.output_file_id)) == 5

    walk(tmp_path, steps, CallerDouble(some))


@pytest.mark.parametrize("status", [429, 503])
def test_a_line_for_which_there_is_no_room_waits_for_as_long_as_it_takes(
    tmp_path: Path, status: int
) -> None:
    left = 50

    async def full(body: Mapping[str, Any]) -> BatchAnswer:
        nonlocal left
        left -= 1
        return (
            BatchAnswer(status, {"error": {"code": "queue_full"}})
            if left > 0
            else BatchAnswer(200, {})
        )

    async def steps(it: Served) -> None:
        client = it.client()
        done = await ended(client, (await begun(client, jsonl(1, 2))).id)
        assert len(await lines_of(client, done.output_file_id)) == 2

    walk(tmp_path, steps, CallerDouble(full), attempts=2)


@pytest.mark.parametrize("fault", [500, 502, 504, None])
def test_a_line_whose_backend_fails_is_asked_so_often_as_the_setting_says(
    tmp_path: Path, fault: int | None
) -> None:
    async def fails(body: Mapping[str, Any]) -> BatchAnswer:
        if fault is None:
            raise BatchUnanswered("it broke off")
        return BatchAnswer(fault, {"error": {"message": "broken"}})

    caller = CallerDouble(fails)

    async def steps(it: Served) -> None:
        client = it.client()
        done = await ended(client, (await begun(client, jsonl(1))).id)
        assert len(caller.asked) == 3
        (line,) = await lines_of(client, done.error_file_id)
        if fault is None:
            assert line["response"] is None
            assert "it broke off" in line["error"]["message"]
        else:
            assert line["response"]["status_code"] == fault

    walk(tmp_path, steps, caller, attempts=3)


@pytest.mark.parametrize("how", ["budget", "key", "address"])
def test_a_batch_stops_and_says_why_when_its_key_may_ask_no_more(tmp_path: Path, how: str) -> None:
    async def then_not(body: Mapping[str, Any]) -> BatchAnswer:
        if body["input"] < 3:
            return BatchAnswer(200, {})
        if how == "key":
            raise Stopped("invalid_api_key", "The key that made it was revoked.")
        code = "insufficient_quota" if how == "budget" else "address_not_allowed"
        status = 429 if how == "budget" else 403
        return BatchAnswer(status, {"error": {"code": code, "message": "it is used up"}})

    async def steps(it: Served) -> None:
        client = it.client()
        done = await ended(client, (await begun(client, jsonl(*range(50)))).id)
        assert done.status == "failed"
        assert done.failed_at
        assert done.errors is not None
        assert done.errors.data is not None
        (error,) = done.errors.data
        assert error.code in ("invalid_api_key", "insufficient_quota", "address_not_allowed")
        assert "used up" in (error.message or "") or "revoked" in (error.message or "")
        answered = await lines_of(client, done.output_file_id)
        assert {each["custom_id"] for each in answered} == {"r1", "r2", "r3"}

    walk(tmp_path, steps, CallerDouble(then_not), concurrent=1)


def test_a_cancelled_batch_ends_what_is_in_flight_and_keeps_what_is_answered(
    tmp_path: Path,
) -> None:
    async def hangs(body: Mapping[str, Any]) -> BatchAnswer:
        if body["input"] >= 2:
            await asyncio.Event().wait()
        return BatchAnswer(200, {})

    caller = CallerDouble(hangs)

    async def steps(it: Served) -> None:
        client = it.client()
        made = await begun(client, jsonl(*range(20)))
        await until(lambda: it.batches.runner.progress(made.id) == (2, 0) and caller.open == 4)
        assert (await client.batches.retrieve(made.id)).request_counts.completed == 2  # type: ignore[union-attr]
        assert (await client.batches.cancel(made.id)).status in ("cancelling", "cancelled")
        done = await ended(client, made.id)
        assert (done.status, caller.open, caller.cancelled) == ("cancelled", 0, 4)
        assert done.cancelling_at
        assert done.cancelled_at
        answered = await lines_of(client, done.output_file_id)
        assert {each["custom_id"] for each in answered} == {"r1", "r2"}
        assert (await client.batches.cancel(made.id)).status == "cancelled"

    walk(tmp_path, steps, caller, concurrent=4)


def test_lines_that_are_not_answered_within_the_window_are_told_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infergate.api.batches.routes.WINDOW_S", 1)

    async def hangs(body: Mapping[str, Any]) -> BatchAnswer:
        if body["input"] >= 2:
            await asyncio.Event().wait()
        return BatchAnswer(200, {})

    caller = CallerDouble(hangs)

    async def steps(it: Served) -> None:
        client = it.client()
        done = await ended(client, (await begun(client, jsonl(*range(9)))).id)
        assert (done.status, caller.open) == ("expired", 0)
        assert done.expired_at
        late = await lines_of(client, done.error_file_id)
        early = await lines_of(client, done.output_file_id)
        assert sorted(each["custom_id"] for each in late + early) == [f"r{n}" for n in range(1, 10)]
        assert {each["error"]["code"] for each in late} == {"batch_expired"}
        assert done.request_counts is not None
        assert done.request_counts.completed == len(early)
        assert done.request_counts.failed == len(late)

    walk(tmp_path, steps, caller, concurrent=4)


def test_a_batch_whose_answers_do_not_fit_stops_and_says_so(tmp_path: Path) -> None:
    async def long(body: Mapping[str, Any]) -> BatchAnswer:
        return BatchAnswer(200, {"text": "x" * 3000})

    async def steps(it: Served) -> None:
        client = it.client()
        done = await ended(client, (await begun(client, jsonl(*range(20)))).id)
        assert done.status == "failed"
        assert done.errors is not None
        assert [each.code for each in done.errors.data or ()] == ["output_too_large"]
        assert await lines_of(client, done.output_file_id)

    walk(tmp_path, steps, CallerDouble(long), bytes=20_000, concurrent=1)


def test_a_fault_of_the_disk_delays_a_batch_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from infergate.api.batches import journal

    append, faults = journal._append, [OSError(28, "No space left on device")] * 2
    monkeypatch.setattr("infergate.backoff._FIRST_DELAY_S", 0.001)

    def fails(file: Any, data: bytes) -> None:
        if faults and file.seek(0, 2) > 0:
            raise faults.pop()
        append(file, data)

    monkeypatch.setattr(journal, "_append", fails)

    async def steps(it: Served) -> None:
        client = it.client()
        done = await ended(client, (await begun(client, jsonl(*range(30)))).id)
        assert (done.status, faults) == ("completed", [])
        ids = sorted(each["custom_id"] for each in await lines_of(client, done.output_file_id))
        assert ids == sorted(f"r{number}" for number in range(1, 31))

    walk(tmp_path, steps, concurrent=2)


def test_what_an_operator_cancels_in_the_store_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from infergate.store.batches import move_batch

    monkeypatch.setattr("infergate.api.batches.app._LOOK_S", 0.01)

    async def hangs(body: Mapping[str, Any]) -> BatchAnswer:
        await asyncio.Event().wait()
        raise AssertionError

    caller = CallerDouble(hangs)

    async def steps(it: Served) -> None:
        client = it.client()
        made = await begun(client, jsonl(1))
        await until(lambda: caller.open)
        with it.database.write() as connection:
            assert move_batch(connection, made.id, ("in_progress",), "cancelling")
        assert (await ended(client, made.id)).status == "cancelled"

    walk(tmp_path, steps, caller)


def test_a_batch_goes_on_where_it_was_after_an_orderly_stop(tmp_path: Path) -> None:
    async def some(body: Mapping[str, Any]) -> BatchAnswer:
        if body["input"] >= 5:
            await asyncio.Event().wait()
        return BatchAnswer(200, {"n": body["input"]})

    made: list[str] = []

    async def first(it: Served) -> None:
        batch = await begun(it.client(), jsonl(*range(30)))
        made.append(batch.id)
        await until(lambda: it.batches.runner.progress(batch.id) == (5, 0))

    walk(tmp_path, first, CallerDouble(some))
    caller = CallerDouble()

    async def second(it: Served) -> None:
        done = await ended(it.client(), made[0])
        assert {each["input"] for each in caller.asked} == set(range(5, 30))
        ids = [each["custom_id"] for each in await lines_of(it.client(), done.output_file_id)]
        assert sorted(ids) == sorted(f"r{number}" for number in range(1, 31))
        assert find_batch(it.database, NODE, made[0]).completed == 30  # type: ignore[union-attr]

    walk(tmp_path, second, caller)


def test_what_an_answer_says_is_one_line_whatever_is_in_it(tmp_path: Path) -> None:
    odd = {"text": 'a\nb\r\u2028\0\ud800{"id": "batch_req_0_1"}\n', "big": 10**30}

    async def oddly(body: Mapping[str, Any]) -> BatchAnswer:
        return BatchAnswer(200, odd)

    async def steps(it: Served) -> None:
        client = it.client()
        done = await ended(client, (await begun(client, jsonl(1, 2))).id)
        content = (await client.files.content(done.output_file_id or "")).content
        assert content.count(b"\n") == 2
        for line in content.splitlines():
            assert json.loads(line)["response"]["body"] == odd

    walk(tmp_path, steps, CallerDouble(oddly))


def test_owners_take_turns_however_many_lines_one_has() -> None:
    order: list[str] = []

    async def one(turns: Turns, owner: str) -> None:
        async with turns.turn(owner):
            order.append(owner)
            await asyncio.sleep(0)

    async def all_of_it() -> None:
        turns = Turns(lambda: 1)
        many = [asyncio.create_task(one(turns, "many")) for _ in range(10)]
        await asyncio.sleep(0)
        few = [asyncio.create_task(one(turns, "few")) for _ in range(2)]
        many[5].cancel()
        await asyncio.gather(*many, *few, return_exceptions=True)

    asyncio.run(all_of_it())
    assert len(order) == 11
    assert [at for at, owner in enumerate(order) if owner == "few"][-1] <= 5
