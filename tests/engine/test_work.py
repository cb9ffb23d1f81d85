"""balance: work: where the first token comes soonest; what is counted for it never leaks."""

from __future__ import annotations

import json
import os
import re
import signal
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from infergate.live.shared_memory import LiveState, read
from infergate.paths import Home
from tests.backends.servers import Scripted, scripted
from tests.claude_code import claude_code
from tests.gateway import Gateway, gateway, until

CONFIG = """
backends:
  a: {{ url: {a}, engine: vllm }}
  b: {{ url: {b}, engine: vllm }}
  c: {{ url: {c}, engine: vllm }}
  one: {{ url: {a}, engine: vllm, max_in_flight: 1 }}
  two: {{ url: {b}, engine: vllm, max_in_flight: 1 }}
  box1: {{ url: {box1}, engine: ollama }}
  box2: {{ url: {box2}, engine: ollama }}
  box3: {{ url: {box3}, engine: ollama }}
  box4: {{ url: {box4}, engine: ollama }}
models:
  m: {{ backends: [a, b], balance: work }}
  three: {{ backends: [a, b, c], balance: work, upstream_name: m }}
  alone: {{ backends: [c], balance: work, upstream_name: m }}
  late: {{ backends: [a, b], balance: work, upstream_name: m, fallback: [alone] }}
  here: {{ backends: [box1, box2], balance: work }}
  there: {{ backends: [box1, box2], balance: work }}
  this: {{ backends: [box3, box4], balance: work }}
  that: {{ backends: [box3, box4], balance: work }}
  full: {{ backends: [one, two], balance: work, upstream_name: m, queue: {{ max_wait: 2m }} }}
retries: {{ budget: 1 }}
"""

KB = 1024
Two = tuple[Gateway, dict[str, Scripted]]
IN_MEMORY = {"box1": ["here"], "box2": ["there"], "box3": [], "box4": []}
"""Boxes with room for one model → what they have in memory when the gateway comes."""


@dataclass(frozen=True)
class Running:
    """backends: those that have their model; boxes: those that load models on demand."""

    gateway: Gateway
    backends: dict[str, Scripted]
    boxes: dict[str, Scripted]


@pytest.fixture(scope="module")
def everything(engine: str) -> Iterator[Running]:
    with ExitStack() as stack:
        backends = {name: stack.enter_context(scripted(name=name)) for name in "abc"}
        models = ("here", "there", "this", "that")
        boxes = {name: stack.enter_context(scripted("ollama", models, name)) for name in IN_MEMORY}
        for name, loaded in IN_MEMORY.items():
            boxes[name].remember(*loaded, holds=1)
        urls = {name: each.url for name, each in (backends | boxes).items()}
        it = stack.enter_context(gateway(engine, CONFIG.format(**urls)))
        yield Running(it, backends, boxes)


@pytest.fixture
def boxes(everything: Running) -> Running:
    it = everything.gateway
    until(lambda: all(it.backend(name)["state"] == "up" for name in IN_MEMORY))
    return everything


@pytest.fixture
def running(everything: Running) -> Two:
    return everything.gateway, everything.backends


@pytest.fixture
def two(running: Two) -> Iterator[Two]:
    yield running
    it, backends = running
    for backend in backends.values():
        backend.reset()
        backend.behave()
    it.forget_failures()
    until(lambda: not sum(live(it).in_flight.values()))


def live(it: Gateway) -> LiveState:
    return read(Home(it.home).socket)


def owed(it: Gateway) -> dict[str, int]:
    """All prompt tokens that are counted anywhere."""
    state = live(it)
    return {
        f"{kind} {name}": tokens
        for kind, counts in (("pending", state.pending), ("in flight", state.prompts))
        for name, tokens in counts.items()
        if tokens
    }


def body(model: str, content: str, **more: object) -> dict[str, object]:
    return {"model": model, "messages": [{"role": "user", "content": content}], **more}


def text(word: str, size: int) -> str:
    return f"{word} " * (size // (len(word) + 1))


def who(answer: httpx.Response) -> str:
    assert answer.status_code == 200, answer.text
    return str(answer.json()["choices"][0]["message"]["content"])


def ask(it: Gateway, model: str, content: str, **more: object) -> str:
    return who(it.post("/v1/chat/completions", body(model, content, **more), timeout=60))


@contextmanager
def streaming(it: Gateway, content: str, model: str = "m") -> Iterator[httpx.Response]:
    request = body(model, content, stream=True)
    with (
        httpx.Client(timeout=60) as http,
        http.stream(
            "POST", f"{it.url}/v1/chat/completions", json=request, headers=it.headers()
        ) as answer,
    ):
        yield answer


def held(backends: dict[str, Scripted], place: str) -> None:
    for backend in backends.values():
        backend.behave(path_prefix="/v1/chat", hold=place)


def at(backends: dict[str, Scripted]) -> Counter[str]:
    return Counter({name: len(each.requests()) for name, each in backends.items()})


def explained(it: Gateway, answer: httpx.Response) -> str:
    it.log()
    return it.run("explain", answer.headers["x-infergate-request-id"]).stdout


def test_a_long_prompt_on_one_engine_sends_the_short_one_elsewhere(two: Two) -> None:
    it, backends = two
    held(backends, "before_headers")
    with ThreadPoolExecutor(8) as pool:
        long = pool.submit(ask, it, "m", text("long", 400 * KB), stream=False)
        until(lambda: sum(at(backends).values()) == 1)
        busy = next(name for name, count in at(backends).items() if count)
        short = [pool.submit(ask, it, "m", f"short {n}") for n in range(4)]
        until(lambda: sum(at(backends).values()) == 5)
        assert at(backends)[busy] == 1
        for backend in backends.values():
            backend.behave()
        assert {each.result() for each in short} == {"a", "b"} - {long.result()}


def test_a_conversation_goes_home_and_others_do_not_follow_it(two: Two) -> None:
    it, _ = two
    opening = text("opening", 20 * KB)
    home = ask(it, "m", opening)
    assert {ask(it, "m", opening + text(f"turn {n}", n * 9 * KB)) for n in range(1, 5)} == {home}
    others = Counter(ask(it, "m", text(f"another {n}", 20 * KB)) for n in range(8))
    assert others["a"] == others["b"] == 4


@pytest.mark.parametrize("place", ["a text", "a block", "one block", "many pieces", "system"])
def test_what_changes_in_each_request_of_claude_code_keeps_none_from_its_home(
    two: Two, place: str
) -> None:
    """The index begins behind that line: it does not go to the engine either."""
    it, _ = two
    conversation = " ".join(f"{place} {number}" for number in range(40 * KB // 12))
    homes, uncached = [], []
    for version in ("2.1.36.c61", "2.2.0", "10.11.12.abcdef"):
        line = f"x-anthropic-billing-header: cc_version={version}; cch=01234;"
        path, asked = claude_code(line, place, conversation)
        answer = it.post(path, {"model": "m", **asked}, timeout=60)
        assert answer.status_code == 200, answer.text
        told = explained(it, answer)
        home = re.search(r" (\w) of: ", told)
        assert home, told
        homes.append(home[1])
        read = re.search(rf"{home[1]}: \(\d+ tokens pending \+ 3 x (\d+) not in its cache", told)
        assert read, told
        uncached.append(int(read[1]))
    assert len(set(homes)) == 1, homes
    assert uncached[0] > 8_000
    assert max(uncached[1:]) < 2_100, uncached


@pytest.mark.parametrize("size", [2, 9 * KB])
def test_a_model_goes_to_the_box_that_has_it_in_memory(boxes: Running, size: int) -> None:
    """Though the other box is as idle: nobody waits for a load, and nobody is driven out."""
    it = boxes.gateway
    asked = [(model, ask(it, model, text(model, size))) for model in ("here", "there") * 4]
    assert set(asked) == {("here", "box1"), ("there", "box2")}
    assert boxes.boxes["box1"].loads() == boxes.boxes["box2"].loads() == []


def test_two_models_on_two_boxes_do_not_drive_each_other_out(boxes: Running) -> None:
    """Each box has room for one: as the requests alternate, each model is loaded once."""
    it = boxes.gateway
    for number in range(10):
        for model in ("this", "that"):
            ask(it, model, f"{model} {number}")
    loads = boxes.boxes["box3"].loads() + boxes.boxes["box4"].loads()
    assert sorted(loads) == ["that", "this"]


def test_a_shared_opening_does_not_pile_up_on_one_engine(two: Two) -> None:
    """All have the same first 32 kB; who knows it gets more only as long as that is cheaper."""
    it, backends = two
    opening = text("everybody", 32 * KB)
    ask(it, "three", opening)
    held(backends, "after_headers")
    with ThreadPoolExecutor(24) as pool:

        def one(number: int) -> None:
            with streaming(it, opening + text(f"mine {number}", 24 * KB), "three") as answer:
                answer.read()

        asked = [pool.submit(one, number) for number in range(24)]
        until(lambda: sum(live(it).in_flight.values()) == 24)
        counts = [live(it).in_flight.get(name, 0) for name in "abc"]
        for backend in backends.values():
            backend.behave()
        for each in asked:
            each.result()
    assert min(counts) >= 3, counts
    assert max(counts) <= 16, counts


def test_small_bodies_take_turns_and_leave_nothing(two: Two) -> None:
    it, _ = two
    assert Counter(ask(it, "m", f"hi {n}") for n in range(10)) == {"a": 5, "b": 5}
    assert owed(it) == {}


def test_what_is_pending_ends_with_the_first_piece_and_the_rest_with_the_answer(two: Two) -> None:
    it, backends = two
    held(backends, "after_headers")
    with ThreadPoolExecutor(1) as pool:

        def one() -> int:
            with streaming(it, text("prompt", 40 * KB)) as answer:
                return len(answer.read())

        asked = pool.submit(one)
        until(lambda: sum(live(it).pending.values()) > 9_000)
        assert sum(live(it).pending.values()) == sum(live(it).prompts.values()) < 11_000
        for backend in backends.values():
            backend.behave()
            backend.behave(path_prefix="/v1/chat", hold="mid_stream")
        until(lambda: asked.done() or not sum(live(it).pending.values()))
        for backend in backends.values():
            backend.behave()
        assert asked.result() > 0
    until(lambda: owed(it) == {})


def test_an_answer_in_one_piece_leaks_away(two: Two) -> None:
    """Its end says nothing of when its prompt was read: what it owes goes at half a usual speed."""
    it, backends = two
    held(backends, "before_headers")
    with ThreadPoolExecutor(2) as pool:
        long: Future[str] = pool.submit(ask, it, "m", text("long", 60 * KB))
        until(lambda: sum(at(backends).values()) == 1)
        assert not sum(live(it).pending.values())
        assert sum(live(it).prompts.values()) > 14_000
        for backend in backends.values():
            backend.behave()
        long.result()
    until(lambda: owed(it) == {})


@pytest.mark.parametrize("size", [3 * KB, 30 * KB, 300 * KB])
@pytest.mark.parametrize("streamed", [False, True])
def test_nothing_is_owed_after_what_can_happen_to_a_request(
    two: Two, size: int, streamed: bool
) -> None:
    """A backend dies, before its head or in the middle, refuses, fails for a retry or a fallback;
    the client leaves before the first byte or in the middle."""
    it, backends = two
    content = text("anything", size)
    faults: list[dict[str, object]] = [
        {"die": "before_headers"},
        {"die": "after_headers"},
        {"die": "mid_stream"},
        {"status": 503},
        {"status": 400},
        {},
    ]
    for fault in faults:
        for model, broken in (("m", "ab"), ("late", "ab"), ("m", "a")):
            for name in broken:
                if fault:
                    backends[name].behave(path_prefix="/v1/chat", **fault)
            try:
                with httpx.Client(timeout=60) as http:
                    request = body(model, content, stream=streamed)
                    http.post(f"{it.url}/v1/chat/completions", json=request, headers=it.headers())
            except httpx.HTTPError:
                pass
            for name in broken:
                backends[name].behave()
            it.forget_failures()
    for place in ("before_headers", "after_headers", "mid_stream"):
        held(backends, place)
        try:
            with httpx.Client(timeout=1) as http:
                request = body("m", content, stream=streamed)
                http.post(f"{it.url}/v1/chat/completions", json=request, headers=it.headers())
        except httpx.HTTPError:
            pass
        for backend in backends.values():
            backend.behave()
    until(lambda: not sum(live(it).in_flight.values()))
    until(lambda: owed(it) == {})


def test_nothing_is_owed_after_the_queue(two: Two) -> None:
    it, backends = two
    for name in "ab":
        backends[name].behave(path_prefix="/v1/chat", delay_s=0.2)
    with ThreadPoolExecutor(6) as pool:
        asked = [pool.submit(ask, it, "full", text(f"q{n}", 30 * KB)) for n in range(6)]
        until(lambda: sum(live(it).prompts.values()) > 7_000)
        assert {each.result() for each in asked} <= {"a", "b"}
    until(lambda: owed(it) == {})


def test_a_killed_worker_s_share_is_given_back(two: Two) -> None:
    it, backends = two
    held(backends, "after_headers")
    with ThreadPoolExecutor(4) as pool:

        def one(number: int) -> None:
            with streaming(it, text(f"killed {number}", 40 * KB)) as answer:
                answer.read()

        asked = [pool.submit(one, number) for number in range(4)]
        until(lambda: sum(live(it).pending.values()) > 36_000)
        master = int((it.home / "run" / "nginx.pid").read_text())
        children = Path(f"/proc/{master}/task/{master}/children").read_text().split()
        for pid in children:
            os.kill(int(pid), signal.SIGKILL)
        for each in asked:
            assert isinstance(each.exception(), httpx.HTTPError)
    for backend in backends.values():
        backend.behave()
    until(lambda: owed(it) == {})
    assert ask(it, "m", "hi") in "ab"


def test_explain_has_what_a_pencil_needs(two: Two) -> None:
    it, _ = two
    until(lambda: all(it.backend(name)["state"] == "up" for name in "ab"))
    content = text("pencil", 40 * KB)
    first = it.post("/v1/chat/completions", body("m", content), timeout=60)
    assert "none of the prompt's 40 kB should be in its cache" in explained(it, first)
    until(
        lambda: all(it.backend(name)["state"] == "up" for name in "ab")
    )  # still, on a busy machine
    answer = it.post("/v1/chat/completions", body("m", content + text("more", 9 * KB)), timeout=60)
    told = explained(it, answer)
    sums = re.findall(
        r"(\w): \((\d+) tokens pending \+ 3 x (\d+) not in its cache\) / (\d+) a ms \+ 50 x (\d+)"
        r" in flight \+ (\d+) for a KV cache with \d+ of \d+ tokens = (\d+)",
        told,
    )
    assert "the first 40 of the prompt's 49 kB should be in its cache; what follows" in told
    assert len(sums) == 2, told
    scores = {}
    for name, *numbers in sums:
        pending, uncached, speed, busy, filled, score = map(int, numbers)
        assert abs((pending + 3 * uncached) / speed + 50 * busy + filled - score) <= 2
        scores[name] = score
    assert f"{min(scores, key=lambda each: scores[each])} of: " in told
    assert who(answer) == min(scores, key=lambda each: scores[each])
    assert max(scores.values()) > min(scores.values())
    assert json.loads(it.run("explain", answer.headers["x-infergate-request-id"], "--json").stdout)


def test_the_size_of_a_cache_is_the_engine_s_own_word_and_a_restart_empties_it(two: Two) -> None:
    it, backends = two
    for backend in backends.values():
        backend.tell(kv_blocks=4000)
    until(lambda: live(it).engines.get("c", (0,))[0] == 64_000)
    content = text("restart", 40 * KB)
    home = ask(it, "m", content)

    def uncached() -> int:
        answer = it.post("/v1/chat/completions", body("m", content), timeout=60)
        told = explained(it, answer)
        found = re.search(rf"{home}: \(\d+ tokens pending \+ 3 x (\d+) not in its cache\)", told)
        assert found, told
        return int(found[1])

    assert uncached() < 2_100
    read_so_far = len(backends[home].requests("/metrics"))
    until(lambda: len(backends[home].requests("/metrics")) > read_so_far + 1)
    backends[home].restart()
    backends[home].tell(kv_blocks=4000)
    until(lambda: live(it).engines.get(home, (0,) * 6)[3] == 64_001)
    until(lambda: it.backend(home)["state"] == "up")
    it.forget_failures()
    assert uncached() > 9_000
