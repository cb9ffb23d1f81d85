"""Files and batches that nobody sends by accident: what is nested as deep as can just be read,
names that are no text, and files that go while they are read."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import openai
import pytest

from infergate.api.batches import key_caller
from infergate.api.batches.calls import BatchAnswer
from infergate.api.connection import Answer, Connection
from infergate.api.files.folder import Folder
from tests.batches import CallerDouble, Served, begun, ended, jsonl, lines_of, walk


def deep_line(depth: int) -> bytes:
    """Written by hand: json.dumps could not."""
    return jsonl("here", start=2).replace(b'"here"', b"[" * depth + b"]" * depth)


@pytest.mark.parametrize("depth", [200, 490, 505, 900, *range(950, 1000, 5), 1000, 100_000])
def test_a_line_of_any_depth_is_answered_or_named_and_the_batch_ends(
    tmp_path: Path, depth: int
) -> None:
    async def steps(it: Served) -> None:
        client = it.client()
        done = await ended(client, (await begun(client, jsonl(1) + deep_line(depth))).id)
        assert done.status in ("completed", "failed")
        if done.status == "failed":
            assert done.errors is not None
            assert [each.code for each in done.errors.data or ()] == ["invalid_json_line"]

    walk(tmp_path, steps)


@pytest.mark.parametrize("depth", [200, 495, 505, 900, *range(950, 1000, 5), 1000, 100_000])
def test_an_answer_of_any_depth_ends_its_line(tmp_path: Path, depth: int) -> None:
    """As nginx gives it: read where the real caller reads it."""

    async def answer(body: Mapping[str, Any]) -> BatchAnswer:
        await asyncio.sleep(0)
        deep = b"[" * depth + b"]" * depth if body["input"] == 1 else b"2"
        return key_caller._answer(Answer(Connection(), 200, ()), deep)

    async def steps(it: Served) -> None:
        client = it.client()
        done = await ended(client, (await begun(client, jsonl(1, 2))).id)
        assert done.status == "completed"
        found = [*await lines_of(client, done.output_file_id)]
        found += await lines_of(client, done.error_file_id)
        assert sorted(each["custom_id"] for each in found) == ["r1", "r2"]

    walk(tmp_path, steps, CallerDouble(answer))


@pytest.mark.parametrize("number", [b"1e999", b"-1e999", b"NaN", b"Infinity", b"-Infinity"])
def test_a_number_that_json_does_not_have_is_null_in_the_file_of_answers(
    tmp_path: Path, number: bytes
) -> None:
    async def answer(_: Mapping[str, Any]) -> BatchAnswer:
        return key_caller._answer(Answer(Connection(), 200, ()), b'{"a": ' + number + b"}")

    async def steps(it: Served) -> None:
        client = it.client()
        done = await ended(client, (await begun(client, jsonl(1))).id)
        [found] = await lines_of(client, done.output_file_id)
        assert found["response"]["body"] == {"a": None}

    walk(tmp_path, steps, CallerDouble(answer))


@pytest.mark.parametrize("odd", ["\ud800", "\x00", "a\x00b", "file-" + "\udfff" * 32])
def test_what_is_no_text_is_refused_and_is_no_fault_of_ours(tmp_path: Path, odd: str) -> None:
    async def steps(it: Served) -> None:
        client = it.client()
        http = client._client
        told = {n: v for n, v in client.default_headers.items() if isinstance(v, str)}
        file = await client.files.create(file=("in", jsonl(1)), purpose="batch")
        good = {
            "input_file_id": file.id,
            "endpoint": "/v1/embeddings",
            "completion_window": "24h",
        }
        for change in (
            {"input_file_id": odd},
            {"endpoint": odd},
            {"completion_window": odd},
            {"metadata": {odd: "x"}},
            {"metadata": {"x": odd}},
            {"output_expires_after": {"anchor": odd, "seconds": 3600}},
        ):
            body = json.dumps({**good, **change}).encode()
            answer = await http.post("http://gateway/v1/batches", content=body, headers=told)
            assert answer.status_code in (200, 400), (change, answer.text)
        for batch in (await http.get("http://gateway/v1/batches", headers=told)).json()["data"]:
            await ended(client, batch["id"])
        for path in ("batches?after=%00", "files?after=%00", "files?purpose=%00", "batches/%00"):
            answer = await http.get(f"http://gateway/v1/{path}", headers=told)
            assert answer.status_code in (200, 400, 404)
        line = {"custom_id": odd, "method": "POST", "url": "/v1/embeddings"}
        content = json.dumps({**line, "body": {"input": odd}}).encode()
        done = await ended(client, (await begun(client, content)).id)
        assert done.status == "completed"
        [found] = await lines_of(client, done.output_file_id)
        assert found["custom_id"] == found["response"]["body"]["echo"] == odd

    walk(tmp_path, steps)


def test_a_file_that_goes_while_it_is_asked_for_is_not_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def steps(it: Served) -> None:
        client = it.client()
        file = await client.files.create(file=("in", jsonl(1)), purpose="batch")
        found = Folder.path

        def going(self: Folder, id_: str) -> Path:
            path = found(self, id_)
            path.unlink(missing_ok=True)
            return path

        monkeypatch.setattr(Folder, "path", going)
        with pytest.raises(openai.NotFoundError):
            await client.files.content(file.id)

    walk(tmp_path, steps)
