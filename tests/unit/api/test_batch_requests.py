"""/v1/batches: what a batch can be made of, who finds it, and how many there may be."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import openai
import pytest

from infergate.api.batches.calls import BatchAnswer
from tests.batches import (
    CallerDouble,
    Served,
    begun,
    ended,
    jsonl,
    lines_of,
    walk,
)


def test_a_file_with_wrong_lines_is_not_asked_at_all_and_each_is_named(tmp_path: Path) -> None:
    caller = CallerDouble()
    lines = jsonl(1, 2).splitlines()
    wrong = [
        lines[0],
        b"{",
        b"",
        lines[0],
        lines[1].replace(b"/v1/embeddings", b"/v1/completions"),
        lines[1].replace(b"POST", b"GET"),
        lines[1].replace(b'"custom_id": "r2"', b'"custom_id": 2'),
        lines[1].replace(b'"input": 2', b'"stream": true'),
        lines[1].replace(b'"input": 2', b'"x": "' + b"y" * 2000 + b'"'),
    ]

    async def steps(it: Served) -> None:
        client = it.client()
        done = await ended(client, (await begun(client, b"\n".join(wrong))).id)
        assert (done.status, caller.asked) == ("failed", [])
        assert done.output_file_id is done.error_file_id is None
        assert done.errors is not None
        found = [(each.line, each.code) for each in done.errors.data or ()]
        assert found == [
            (2, "invalid_json_line"),
            (4, "duplicate_custom_id"),
            (5, "mismatched_endpoint"),
            (6, "invalid_method"),
            (7, "invalid_custom_id"),
            (8, "invalid_body"),
            (9, "line_too_long"),
        ]

    walk(tmp_path, steps, caller, max_line=1024)


@pytest.mark.parametrize(
    ("content", "code"), [(b"", "empty_file"), (b"\n \r\n", "empty_file"), (None, "too_many_tasks")]
)
def test_a_file_without_lines_or_with_too_many_fails(
    tmp_path: Path, content: bytes | None, code: str
) -> None:
    async def steps(it: Served) -> None:
        client = it.client()
        given = jsonl(*range(6)) if content is None else content
        done = await ended(client, (await begun(client, given)).id)
        assert done.status == "failed"
        assert done.errors is not None
        assert [each.code for each in done.errors.data or ()] == [code]

    walk(tmp_path, steps, max_lines=5)


def test_what_a_batch_cannot_be_made_of_is_refused_with_the_field(tmp_path: Path) -> None:
    async def steps(it: Served) -> None:
        client = it.client()
        file = await client.files.create(file=("in", jsonl(1)), purpose="batch")
        foreign = await it.client("k two").files.create(file=("in", jsonl(1)), purpose="batch")
        good = {
            "input_file_id": file.id,
            "endpoint": "/v1/embeddings",
            "completion_window": "24h",
        }
        for field, value in (
            ("input_file_id", foreign.id),
            ("input_file_id", None),
            ("endpoint", "/v1/files"),
            ("completion_window", "1h"),
            ("metadata", {"a": 1}),
            ("metadata", {"a": "x" * 513}),
            ("metadata", {str(n): "" for n in range(17)}),
            ("output_expires_after", {"anchor": "now", "seconds": 5}),
        ):
            with pytest.raises(openai.BadRequestError) as refused:
                await client.post("/batches", cast_to=dict, body={**good, field: value})
            assert refused.value.param == field
        http = client._client
        told = {n: v for n, v in client.default_headers.items() if isinstance(v, str)}
        for body in (b"", b"[]", b"\xff", b"[" * 60_000, b" " * 70_000):
            answer = await http.post("http://gateway/v1/batches", content=body, headers=told)
            assert answer.status_code in (400, 413)
            assert answer.json()["error"]["message"]
        assert (await client.batches.list()).data == []

    walk(tmp_path, steps)


def test_nobody_else_finds_a_batch_but_the_keys_of_its_team_do(tmp_path: Path) -> None:
    async def steps(it: Served) -> None:
        mine, colleague, stranger = (
            it.client("t red", "a"),
            it.client("t red", "b"),
            it.client("k other", "c"),
        )
        made = await begun(mine, jsonl(1))
        done = await ended(colleague, made.id)
        assert len(await lines_of(colleague, done.output_file_id)) == 1
        for ask in (stranger.batches.retrieve, stranger.batches.cancel):
            with pytest.raises(openai.NotFoundError):
                await ask(made.id)
        assert (await stranger.batches.list()).data == []
        with pytest.raises(openai.NotFoundError):
            await stranger.files.content(done.output_file_id or "")

    walk(tmp_path, steps)


def test_batches_are_listed_newest_first_in_pages(tmp_path: Path) -> None:
    async def steps(it: Served) -> None:
        client = it.client()
        ids = [(await begun(client, jsonl(1))).id for _ in range(5)]
        assert [each.id async for each in client.batches.list(limit=2)] == ids[::-1]
        page = await client.batches.list(limit=2, after=ids[2])
        assert [each.id for each in page.data] == [ids[1], ids[0]]
        with pytest.raises(openai.BadRequestError):
            await client.batches.list(limit=101)

    walk(tmp_path, steps)


def test_one_may_have_so_many_open_batches_as_the_setting_says(tmp_path: Path) -> None:
    async def hangs(body: Mapping[str, Any]) -> BatchAnswer:
        await asyncio.Event().wait()
        raise AssertionError

    async def steps(it: Served) -> None:
        client = it.client()
        first = await begun(client, jsonl(1))
        await begun(client, jsonl(1))
        with pytest.raises(openai.RateLimitError) as refused:
            await begun(client, jsonl(1))
        assert refused.value.code == "too_many_batches"
        await begun(it.client("k two"), jsonl(1))
        await client.batches.cancel(first.id)
        await ended(client, first.id)
        await begun(client, jsonl(1))

    walk(tmp_path, steps, CallerDouble(hangs), open=2)


def test_a_file_that_an_open_batch_reads_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hangs(body: Mapping[str, Any]) -> BatchAnswer:
        await asyncio.Event().wait()
        raise AssertionError

    async def steps(it: Served) -> None:
        client = it.client()
        made = await begun(client, jsonl(1))
        with pytest.raises(openai.ConflictError):
            await client.files.delete(made.input_file_id)
        now = time.time()
        monkeypatch.setattr(time, "time", lambda: now + 7200)
        await it.batches.tidy()
        await client.files.retrieve(made.input_file_id)
        await client.batches.cancel(made.id)
        await ended(client, made.id)
        assert (await client.files.delete(made.input_file_id)).deleted

    walk(tmp_path, steps, CallerDouble(hangs), retention=3600)


def test_a_batch_that_has_ended_cannot_be_cancelled(tmp_path: Path) -> None:
    async def steps(it: Served) -> None:
        client = it.client()
        done = await ended(client, (await begun(client, jsonl(1))).id)
        with pytest.raises(openai.ConflictError, match="completed"):
            await client.batches.cancel(done.id)

    walk(tmp_path, steps)


def test_a_batch_and_what_it_wrote_are_removed_when_they_are_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def steps(it: Served) -> None:
        client = it.client()
        done = await ended(client, (await begun(client, jsonl(1))).id)
        now = time.time()
        monkeypatch.setattr(time, "time", lambda: now + 86400 + 10)
        await it.batches.tidy()
        assert list(it.files.iterdir()) == []
        with pytest.raises(openai.NotFoundError):
            await client.batches.retrieve(done.id)
        with pytest.raises(openai.NotFoundError):
            await client.files.retrieve(done.output_file_id or "")

    walk(tmp_path, steps, retention=86400)
