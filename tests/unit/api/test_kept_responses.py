"""Responses that are kept: the official client goes on with them, looks, lists and deletes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from openai import AsyncOpenAI
from openai.types.responses import Response

from infergate.errors import StateError
from infergate.store.tables import responses
from tests import dialects
from tests.dialects import chunk
from tests.kept_responses import MINE, YOURS, Served, walk
from tests.unit.api.responses_client import ULM, WEATHER

HELLO = {"role": "user", "content": "hello"}
STREAM = [chunk(content="h"), chunk(content="i"), chunk(finish="stop"), chunk(usage=dialects.USAGE)]


async def made(of: AsyncOpenAI, given: Any = "hello", **more: Any) -> Response:
    return await of.responses.create(model="m", input=given, **more)


async def refused(request: Any) -> openai.APIStatusError:
    with pytest.raises(openai.APIStatusError) as found:
        await request
    return found.value


def rows(it: Served) -> int:
    with it.database.read() as connection:
        return len(connection.execute(responses.select()).all())


def test_a_conversation_goes_on_by_its_id(tmp_path: Path) -> None:
    async def steps(it: Served) -> None:
        of = it.client()
        first = await made(of, tools=[WEATHER], store=True)
        assert first.id.startswith("resp_ig_")
        assert first.output[0].type == "function_call"
        result: Any = {"type": "function_call_output", "call_id": "a", "output": "dry"}
        second = await made(of, [result], previous_response_id=first.id)
        third = await made(of, "thanks", previous_response_id=second.id)
        assert third.previous_response_id == second.id
        call = {"role": "assistant", "content": None, "tool_calls": [CALL]}
        tool = {"role": "tool", "tool_call_id": "a", "content": "dry"}
        said = {"role": "assistant", "content": "hi"}
        thanks = {"role": "user", "content": "thanks"}
        assert it.inner.asked[2]["messages"] == [HELLO, call, tool, said, thanks]
        assert await of.responses.retrieve(third.id) == third
        assert all(each.status == "completed" and each.store for each in (first, second, third))

    CALL = dialects.call("a", "weather", ULM)
    walk(tmp_path, steps, dialects.answer(tool_calls=[CALL]), dialects.answer(content="hi"))


def test_a_stream_is_kept_before_it_ends(tmp_path: Path) -> None:
    async def steps(it: Served) -> None:
        of = it.client()
        ends = [each async for each in await made(of, stream=True)]  # type: ignore[attr-defined]
        last = ends[-1]
        assert last.type == "response.completed"
        assert [each.sequence_number for each in ends] == list(range(len(ends)))
        assert ends[0].response.id == last.response.id
        assert await of.responses.retrieve(last.response.id) == last.response
        assert last.response.output_text == "hi"
        await made(of, "on", previous_response_id=last.response.id, store=False)
        assert it.inner.asked[1]["messages"][1] == {"role": "assistant", "content": "hi"}

    walk(tmp_path, steps, STREAM, dialects.answer(content="yes"))


def test_a_backend_that_does_not_stream_is_kept_too(tmp_path: Path) -> None:
    async def steps(it: Served) -> None:
        body = {"model": "m", "input": "hello", "stream": True}
        async with it.http() as http:
            found = (await http.post("/v1/responses", json=body)).json()
        assert found["store"]
        of = it.client()
        assert (await of.responses.retrieve(found["id"])).output_text == "hi"
        events = [each async for each in await made(of, stream=True, background=True)]
        assert [each.type for each in events] == [
            "response.created",
            "response.queued",
            "response.completed",
        ]

    walk(tmp_path, steps)


def test_what_is_not_to_be_kept_is_not(tmp_path: Path) -> None:
    async def steps(it: Served) -> None:
        of = it.client()
        found = await made(of, store=False)
        assert found.store is False  # type: ignore[attr-defined]
        assert not found.id.startswith("resp_ig_")
        assert rows(it) == 0
        it.settings = it.settings.model_copy(update={"keep": "when_asked"})
        assert (await made(of)).store is False  # type: ignore[attr-defined]
        assert rows(it) == 0
        problem = await refused(made(of, background=True))
        assert "'store': true" in problem.message
        assert (await made(of, store=True)).store is True  # type: ignore[attr-defined]
        assert rows(it) == 1

    walk(tmp_path, steps)


def test_nobody_else_has_it_and_it_looks_as_if_it_were_not_there(tmp_path: Path) -> None:
    async def steps(it: Served) -> None:
        it.add_key("one", MINE, "n" * 64)
        mine, yours = it.client(), it.client(YOURS)
        found = await made(mine)
        never = found.id[:-1] + ("0" if found.id[-1] != "0" else "1")
        for ask in (
            yours.responses.retrieve,
            yours.responses.delete,
            yours.responses.cancel,
            lambda id_: yours.responses.input_items.list(id_)._get_page(),
        ):
            told, none = await refused(ask(found.id)), await refused(ask(never))
            assert told.status_code == none.status_code == 404
            assert told.message.replace(found.id, never) == none.message
        told = await refused(made(yours, previous_response_id=found.id))
        assert (told.status_code, told.code) == (400, "previous_response_not_found")
        reference: Any = {"type": "item_reference", "id": found.output[0].id}
        assert "not kept" in (await refused(made(yours, [reference]))).message
        assert await it.client("n" * 64).responses.retrieve(found.id) == found  # another secret

    walk(tmp_path, steps)


def test_an_item_by_its_id_is_found(tmp_path: Path) -> None:
    async def steps(it: Served) -> None:
        of = it.client()
        first = await made(of)
        named: Any = [HELLO, {"type": "item_reference", "id": first.output[0].id}, HELLO]
        await made(of, named)
        assert it.inner.asked[1]["messages"] == [
            HELLO,
            {"role": "assistant", "content": "hi"},
            HELLO,
        ]

    walk(tmp_path, steps)


def test_items_of_so_many_answers_are_looked_for(tmp_path: Path) -> None:
    async def steps(it: Served) -> None:
        named: Any = [{"type": "item_reference", "id": f"msg_ig_{n:032x}_0"} for n in range(101)]
        assert "more than 100" in (await refused(made(it.client(), named))).message
        assert "not kept" in (await refused(made(it.client(), named[:100]))).message

    walk(tmp_path, steps)


def test_what_is_deleted_is_not_in_later_ones_either(tmp_path: Path) -> None:
    async def steps(it: Served) -> None:
        of = it.client()
        first = await made(of, "a secret")
        second = await made(of, "on", previous_response_id=first.id)
        await of.responses.delete(first.id)
        assert (await refused(of.responses.retrieve(first.id))).status_code == 404
        problem = await refused(made(of, previous_response_id=second.id))
        assert problem.code == "previous_response_not_found"
        assert first.id in problem.message
        assert "deleted or has expired" in problem.message
        with it.database.read() as connection:
            assert "a secret" not in str(connection.execute(responses.select()).all())
        items = await of.responses.input_items.list(second.id)
        assert [each.content[0].text for each in items.data] == ["on"]  # type: ignore[union-attr]

    walk(tmp_path, steps)


def test_input_items_come_in_pages(tmp_path: Path) -> None:
    async def steps(it: Served) -> None:
        of = it.client()
        first = await made(of, [{"role": "user", "content": f"n{n}"} for n in range(3)])
        second = await made(of, "last", previous_response_id=first.id)
        listed = of.responses.input_items.list(second.id, limit=2, order="asc")
        texts = [each.content[0].text async for each in listed]  # type: ignore[union-attr]
        assert texts == ["n0", "n1", "n2", "hi", "last"]
        newest = await of.responses.input_items.list(second.id, limit=1)
        assert newest.data[0].content[0].text == "last"  # type: ignore[union-attr]
        for wrong in ({"limit": 0}, {"order": "up"}, {"after": "x"}):
            problem = await refused(of.responses.input_items.list(second.id, **wrong)._get_page())
            assert problem.status_code == 400

    walk(tmp_path, steps)


def test_an_answer_that_cannot_be_kept_is_one_all_the_same_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> bool:
        raise StateError("is full")

    async def steps(it: Served) -> None:
        of = it.client()
        large = await made(of, "x" * 2000)
        assert (large.output_text, large.store) == ("hi", False)  # type: ignore[attr-defined]
        monkeypatch.setattr("infergate.api.responses.create.add_response", full)
        found = await made(of)
        assert (found.output_text, found.store) == ("hi", False)  # type: ignore[attr-defined]
        assert rows(it) == 0

    walk(tmp_path, steps, max_bytes=2000)


def test_a_conversation_is_no_larger_than_a_request_may_be(tmp_path: Path) -> None:
    async def steps(it: Served) -> None:
        of, it.largest = it.client(), 3000
        first = await made(of, "x" * 1000)
        second = await made(of, "x" * 1000, previous_response_id=first.id)
        problem = await refused(made(of, "x", previous_response_id=second.id))
        assert problem.status_code == 413
        assert (await refused(made(of, "x" * 4000))).status_code == 413

    walk(tmp_path, steps)


def test_a_failed_answer_is_kept_but_not_gone_on_with(tmp_path: Path) -> None:
    broken = [chunk(content="h"), {"error": {"message": "out of memory"}}]

    async def steps(it: Served) -> None:
        of = it.client()
        events = [each async for each in await made(of, stream=True)]  # type: ignore[attr-defined]
        last = events[-1].response
        assert (events[-1].type, last.status) == ("response.failed", "failed")
        assert (await of.responses.retrieve(last.id)).error.message == "out of memory"
        problem = await refused(made(of, previous_response_id=last.id))
        assert "its status is 'failed'" in problem.message

    walk(tmp_path, steps, broken)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/responses", 405),
        ("PUT", "/v1/responses/resp_ig_1", 405),
        ("GET", "/v1/responses/resp_ig_1/cancel", 405),
        ("GET", "/v1/responses/resp_ig_1", 404),
        ("GET", "/v1/responses/resp_ig_1/other", 404),
        ("POST", "/v1/responses", 400),
    ],
)
def test_what_is_no_request_is_told_so(tmp_path: Path, method: str, path: str, status: int) -> None:
    async def steps(it: Served) -> None:
        async with it.http() as http:
            found = await http.request(method, path, content=b"[]" if method == "POST" else None)
        assert found.status_code == status
        assert found.json()["error"]["message"]

    walk(tmp_path, steps)


def test_who_is_not_told_by_nginx_gets_nothing(tmp_path: Path) -> None:
    async def steps(it: Served) -> None:
        transport = httpx.ASGITransport(it.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as http:
            assert (await http.get("/v1/responses/resp_ig_1")).status_code == 401

    walk(tmp_path, steps)


@pytest.mark.parametrize("name", ["conversation", "prompt"])
def test_what_is_not_kept_here_is_refused_by_its_name(tmp_path: Path, name: str) -> None:
    async def steps(it: Served) -> None:
        problem = await refused(made(it.client(), extra_body={name: "x"}))
        assert f"'{name}'" in problem.message
        assert problem.param == name

    walk(tmp_path, steps)
