"""The simulated engines' HTTP: what routers and gateways are shown of them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from typing import Any

import httpx
import pytest

from bench.routing.engine import Hardware
from bench.routing.fleet import Fault, Fleet
from bench.routing.prompts import Message, Turn, body
from bench.routing.replay import Target, replay

SCALE = 100.0
QUICK = Hardware(prefill_tokens_s=1000.0, kv_tokens=6400, max_num_seqs=4)
TURN = Turn("s", 0.0, (Message("user", (("a", 640),)),), 5)


def served(check: Callable[[Fleet], Coroutine[Any, Any, None]], **more: Any) -> None:
    """Run a check while two engines listen."""

    async def run() -> None:
        fleet = Fleet(2, more.pop("hardware", QUICK), SCALE, **more)
        await fleet.listen()
        try:
            await check(fleet)
        finally:
            fleet.close()

    asyncio.run(run())


def client() -> httpx.AsyncClient:
    return httpx.AsyncClient(timeout=60, trust_env=False)


def test_a_stream_has_its_head_and_then_its_first_token_its_last_and_its_usage() -> None:
    async def check(fleet: Fleet) -> None:
        async with client() as http:
            url = f"{fleet.urls[0]}/v1/chat/completions"
            first = await http.post(url, content=body(TURN, 7))
            again = await http.post(url, content=body(TURN, 8))
        events = [line[6:] for line in again.text.splitlines() if line.startswith("data: ")]
        assert first.headers["content-type"].startswith("text/event-stream")
        assert events[-1] == "[DONE]"
        assert [len(json.loads(event)["choices"]) for event in events[:-1]] == [1, 1, 0]
        usage = json.loads(events[-2])["usage"]
        assert usage["prompt_tokens"] == 640
        assert usage["completion_tokens"] == 5
        assert usage["prompt_tokens_details"]["cached_tokens"] == 576
        one, other = fleet.served
        assert (one.number, one.hit, other.number, other.hit) == (7, 0, 8, 576)
        assert one.first_s is not None
        assert one.first_s - one.arrived_s >= 0.64

    served(check)


def test_metrics_have_vllms_names_and_the_cache_in_blocks() -> None:
    async def check(fleet: Fleet) -> None:
        async with client() as http:
            await http.post(f"{fleet.urls[1]}/v1/chat/completions", content=body(TURN, 1))
            text = (await http.get(f"{fleet.urls[1]}/metrics")).text
        assert 'block_size="64"' in text
        assert 'num_gpu_blocks="100"' in text
        assert 'vllm:prompt_tokens_total{engine="0",model_name="m"} 640.0' in text
        assert 'vllm:num_requests_waiting{engine="0",model_name="m"} 0.0' in text

    served(check)


def test_an_answer_that_is_not_streamed_comes_whole() -> None:
    async def check(fleet: Fleet) -> None:
        asked = {"model": "m", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 2}
        async with client() as http:
            answer = await http.post(f"{fleet.urls[0]}/v1/chat/completions", json=asked)
        assert answer.json()["choices"][0]["message"]["content"] == "az"
        assert answer.json()["usage"]["completion_tokens"] == 2

    served(check)


def test_a_prompt_that_is_longer_than_the_cache_is_refused() -> None:
    async def check(fleet: Fleet) -> None:
        long = Turn("s", 0.0, (Message("user", (("a", 6400),)),), 5)
        async with client() as http:
            answer = await http.post(f"{fleet.urls[0]}/v1/chat/completions", content=body(long, 1))
        assert answer.status_code == 400

    served(check)


def test_what_is_no_http_1_is_refused_and_the_engine_goes_on() -> None:
    async def check(fleet: Fleet) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", fleet.engines[0].port)
        writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        assert b"400 Bad Request" in await reader.read()
        writer.close()
        async with client() as http:
            assert (await http.get(f"{fleet.urls[0]}/health")).status_code == 200

    served(check)


def test_a_client_that_leaves_frees_its_place() -> None:
    async def check(fleet: Fleet) -> None:
        endless = Turn("s", 0.0, (Message("user", (("a", 64),)),), 6000)
        reader, writer = await asyncio.open_connection("127.0.0.1", fleet.engines[0].port)
        content = body(endless, 1)
        head = f"POST /v1/chat/completions HTTP/1.1\r\ncontent-length: {len(content)}\r\n\r\n"
        writer.write(head.encode() + content)
        await reader.readuntil(b'"content"')
        assert fleet.engines[0].engine.running == 1
        writer.close()
        while fleet.engines[0].engine.running:
            await asyncio.sleep(0.01)

    served(check)


def test_boxes_look_like_ollamas_and_tell_which_model_is_in_memory() -> None:
    async def check(fleet: Fleet) -> None:
        async with client() as http:
            tags = (await http.get(f"{fleet.urls[0]}/api/tags")).json()
            asked = body(Turn("s", 0.0, TURN.messages, 2, "y"), 1)
            await http.post(f"{fleet.urls[0]}/v1/chat/completions", content=asked)
            loaded = (await http.get(f"{fleet.urls[0]}/api/ps")).json()
        assert [each["name"] for each in tags["models"]] == ["x", "y"]
        assert [each["name"] for each in loaded["models"]] == ["y"]

    loads = Hardware(models_in_memory=1, load_s={"x": 5.0, "y": 5.0})
    served(check, hardware=loads, kind="ollama")


def test_a_replay_goes_by_the_clock_and_waits_for_answers_within_a_chain() -> None:
    async def check(fleet: Fleet) -> None:
        after = Turn("s", 2.0, TURN.messages, 5)
        late = Turn("t", 6000.0, TURN.messages, 5)
        fleet.begin()
        to = Target(fleet.urls[0])
        seen = await replay([(TURN, after), (late,)], to, fleet.clock, 5000.0)
        first, second = seen
        assert not first.error + second.error, "and the one beyond the window was not sent"
        assert first.ended_s is not None
        assert second.due_s >= first.ended_s + 1.9
        assert (first.prompt_tokens, second.hit) == (640, 576)

    served(check)


@pytest.mark.parametrize("kind", ["death", "stall"])
def test_an_engine_that_fails_fails_its_requests_or_keeps_them(kind: str) -> None:
    async def check(fleet: Fleet) -> None:
        fleet.begin()
        long = Turn("s", 0.0, (Message("user", (("a", 6000),)),), 5)
        chain = (long, Turn("s", 0.5, TURN.messages, 5))
        first, second = await replay([chain], Target(fleet.urls[0]), fleet.clock, 5000.0)
        if kind == "death":
            assert first.error.startswith("broken off")
            assert second.error, "it is gone"
        else:
            assert (first.error, second.error) == ("", "")
            assert fleet.served[0].first_s is not None
            assert fleet.served[0].first_s >= 21.0

    served(check, faults=(Fault(0, kind, 1.0, {"death": 1e6, "stall": 20.0}[kind]),))
