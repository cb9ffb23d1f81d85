"""Answers that are kept and served again: to whom, how long, and which ones never."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from itertools import count
from typing import Any

import httpx
import pytest

from infergate.live.shared_memory import read
from infergate.paths import Home
from tests.access_log import tokens
from tests.backends.servers import Scripted, scripted
from tests.gateway import Gateway, gateway, until

CONFIG = """
backends:
  a: {{ url: {a}, engine: vllm }}
  b: {{ url: {b}, engine: vllm, max_in_flight: 1 }}
health: {{ interval: 60s, timeout: 10s }}
models:
  own: {{ backends: [a], upstream_name: m, cache: {{ ttl: 1h }} }}
  brief: {{ backends: [a], upstream_name: m, cache: {{ ttl: 3s }} }}
  shared: {{ backends: [a], upstream_name: m, cache: {{ shared: true }} }}
  queued: {{ backends: [b], upstream_name: m, cache: {{}} }}
  retried: {{ backends: [b, a], upstream_name: m, balance: round_robin, cache: {{}} }}
  hedged: {{ backends: [a, b], upstream_name: m, cache: {{}}, hedge: {{ extra_load: 1 }} }}
  chat: {{ backends: [a], upstream_name: m, cache: {{ completions: true }} }}
  plain: {{ backends: [a], upstream_name: m }}
"""
EMBED = "/v1/embeddings"
CHAT = "/v1/chat/completions"

Kept = tuple[Gateway, Scripted, Scripted]
numbers = count()


@pytest.fixture(scope="module")
def running(engine: str) -> Iterator[Kept]:
    with ExitStack() as stack:
        a, b = (stack.enter_context(scripted(name=name)) for name in "ab")
        it = stack.enter_context(gateway(engine, CONFIG.format(a=a.url, b=b.url)))
        yield it, a, b


@pytest.fixture
def kept(running: Kept) -> Iterator[Kept]:
    yield running
    it, *backends = running
    for backend in backends:
        backend.reset()
    it.forget_failures()


def body(model: str, **more: Any) -> dict[str, Any]:
    """Nobody else's."""
    return {"model": model, "input": f"text {next(numbers)}", **more}


def question(**more: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": f"question {next(numbers)}"}]
    return {"model": "chat", "messages": messages, "temperature": 0, **more}


def told(answer: httpx.Response) -> str | None:
    assert answer.status_code == 200, answer.text
    return answer.headers.get("x-infergate-cache")


def ask(it: Gateway, asked: dict[str, Any], path: str = EMBED, **more: Any) -> str | None:
    return told(it.post(path, asked, **more))


def settle(it: Gateway) -> None:
    """Wait until the last request is over for the gateway, a moment after it is for its client."""
    until(lambda: not any(read(Home(it.home).socket).in_flight.values()))


def twice(it: Gateway, asked: dict[str, Any], path: str, **more: Any) -> list[str | None]:
    first = ask(it, asked, path, **more)
    settle(it)
    return [first, ask(it, asked, path, **more)]


def streamed(it: Gateway, asked: dict[str, Any]) -> AbstractContextManager[httpx.Response]:
    content = json.dumps(asked).encode()  # as Gateway.post writes it: the same request
    return httpx.stream("POST", it.url + CHAT, content=content, headers=it.headers())


@pytest.mark.parametrize("path", [EMBED, "/v1/rerank", "/v1/score"])
@pytest.mark.parametrize("model", ["own", "queued", "hedged"])
def test_the_same_request_is_answered_without_the_backend(
    kept: Kept, path: str, model: str
) -> None:
    it, a, b = kept
    asked = body(model)
    first, second = it.post(path, asked), it.post(path, asked)
    assert (told(first), told(second)) == ("MISS", "HIT")
    assert second.content == first.content
    assert len(a.requests(path)) + len(b.requests(path)) == 1
    assert "x-infergate-hedge" not in second.headers
    assert ask(it, body(model), path) == "MISS"


def test_what_is_not_plain_ascii_is_kept_too(kept: Kept) -> None:
    it, _, _ = kept
    asked = {"model": "own", "input": f"für immer {next(numbers)}", "user": None}
    assert [ask(it, asked) for _ in range(2)] == ["MISS", "HIT"]
    large = {"model": "own", "input": ["some words in a long text"] * 1000, "user": "x"}
    assert [ask(it, large) for _ in range(2)] == ["MISS", "HIT"]


def test_other_models_are_not_kept(kept: Kept) -> None:
    it, a, _ = kept
    asked = body("plain")
    assert [ask(it, asked) for _ in range(2)] == [None, None]
    assert len(a.requests(EMBED)) == 2


def test_two_tenants_never_see_each_others_entries(kept: Kept) -> None:
    it, a, _ = kept
    it.run("teams", "create", f"team{a.port}")
    own, mate = (it.new_key("mate", "--team", f"team{a.port}") for _ in range(2))
    asked = body("own")
    told = [ask(it, asked, key=key) for key in (own, it.key, own, mate, it.key)]
    assert told == ["MISS", "MISS", "HIT", "HIT", "HIT"]
    assert len(a.requests(EMBED)) == 2


def test_a_new_key_of_an_old_name_is_somebody_else(kept: Kept) -> None:
    it, _, _ = kept
    asked, told = body("own"), []
    for _ in range(2):
        key = json.loads(it.run("keys", "create", "reborn", "--json").stdout)["key"]
        told.append(ask(it, asked, key=key))
        it.run("keys", "revoke", "reborn")
    assert told == ["MISS", "MISS"]


def test_a_shared_cache_is_for_all_keys(kept: Kept) -> None:
    it, _, _ = kept
    asked = body("shared")
    assert [ask(it, asked, key=key) for key in (it.key, it.new_key("other"))] == ["MISS", "HIT"]


def test_a_hit_needs_a_valid_key_that_may_use_the_model_and_has_requests_left(kept: Kept) -> None:
    it, _, _ = kept
    asked = body("shared")
    ask(it, asked)
    assert it.post(EMBED, asked, key="sk-wrong").status_code == 401
    other = it.new_key("other", "--models", "plain")
    assert it.post(EMBED, asked, key=other).status_code == 404
    name = f"few-{next(numbers)}-{time.monotonic_ns()}"
    few = json.loads(it.run("keys", "create", name, "--json", "--rpm", "2").stdout)["key"]
    answers = [it.post(EMBED, asked, key=few) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[0].headers["x-ratelimit-remaining-requests"] == "1"
    it.run("keys", "revoke", name)
    until(lambda: it.post(EMBED, asked, key=few).status_code == 401)


def test_a_hit_gives_back_what_it_took_from_its_limits(kept: Kept) -> None:
    it, _, _ = kept
    key = it.new_key("one", "--concurrency", "1", "--tpm", "1000")
    for asked, path in ((body("own"), EMBED), (question(stream=True), CHAT)):
        for _ in range(6):  # 256 tokens are set aside each time; for each MISS, 12 are used
            until(lambda asked=asked, path=path: it.post(path, asked, key=key).status_code == 200)


def test_a_hit_takes_no_slot_and_waits_in_no_queue(kept: Kept) -> None:
    it, _, b = kept
    asked = body("queued")
    ask(it, asked)
    b.behave(delay_s=5)
    with ThreadPoolExecutor() as pool:
        busy = pool.submit(ask, it, body("queued"))
        until(lambda: b.stats()["open"] == 1)
        assert ask(it, asked) == "HIT"
        assert b.stats()["open"] == 1, "the other one is still on its way"
        assert busy.result() == "MISS"


@pytest.mark.parametrize("model", ["own", "queued"])
def test_many_who_ask_at_once_cost_one_request(kept: Kept, model: str) -> None:
    it, a, b = kept
    for backend in (a, b):
        backend.behave(delay_s=0.5)
    asked = body(model)
    with ThreadPoolExecutor(8) as pool:
        told = list(pool.map(lambda _: ask(it, asked), range(8)))
    assert sorted(told) == ["HIT"] * 7 + ["MISS"]
    assert len(a.requests(EMBED)) + len(b.requests(EMBED)) == 1


def test_an_answer_is_as_old_as_its_ttl_at_most(kept: Kept) -> None:
    it, _, _ = kept
    asked = body("brief")
    assert [ask(it, asked) for _ in range(2)] == ["MISS", "HIT"]
    until(lambda: ask(it, asked) == "MISS")


def test_a_kept_answer_is_given_to_a_post_alone(kept: Kept) -> None:
    it, _, _ = kept
    asked = body("own")
    assert [ask(it, asked) for _ in range(2)] == ["MISS", "HIT"]
    for method in ("GET", "PUT", "DELETE"):
        answer = httpx.request(
            method,
            it.url + EMBED,
            content=json.dumps(asked).encode(),
            headers=it.headers(),
            timeout=60,
        )
        assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert ask(it, asked) == "HIT"


def test_the_callers_cache_control_is_honoured(kept: Kept) -> None:
    it, a, _ = kept
    asked = body("own")

    def saying(text: str) -> str | None:
        return ask(it, asked, headers={"Cache-Control": text})

    assert saying("no-store") == "BYPASS"
    assert ask(it, asked) == "MISS"
    assert saying("no-store") == "BYPASS"
    assert saying("max-age=60") == "HIT"
    assert saying("no-cache") == "MISS"
    assert ask(it, asked) == "HIT"
    time.sleep(1.1)
    assert saying("max-age=1") == "MISS"
    assert len(a.requests(EMBED)) == 5


@pytest.mark.parametrize("said", ["no-store", "private", "max-age=0"])
def test_a_backends_cache_control_is_honoured(kept: Kept, said: str) -> None:
    it, a, _ = kept
    a.behave(headers={"cache-control": said})
    for asked, path in ((body("own"), EMBED), (question(stream=True), CHAT)):
        assert twice(it, asked, path) == ["MISS", "MISS"]


@pytest.mark.parametrize("fault", [{"status": 400}, {"status": 500}, {"die": "mid_stream"}])
def test_what_failed_is_not_kept(kept: Kept, fault: dict[str, Any]) -> None:
    it, a, _ = kept
    a.behave(**fault)
    asked = body("own")
    try:
        answer = it.post(EMBED, asked)
        assert answer.status_code >= 400
    except httpx.RemoteProtocolError:
        assert fault == {"die": "mid_stream"}
    a.reset()
    it.forget_failures()
    assert [ask(it, asked) for _ in range(2)] == ["MISS", "HIT"]


def test_an_answer_of_the_second_backend_is_kept(kept: Kept) -> None:
    it, _, b = kept
    b.behave(status=503)
    for _ in range(3):
        asked = body("retried")
        assert [ask(it, asked) for _ in range(2)] == ["MISS", "HIT"]


@pytest.mark.parametrize("stream", [False, True])
def test_completions_with_temperature_0_are_kept_if_asked_for(kept: Kept, stream: bool) -> None:
    it, a, _ = kept
    asked = question(stream=stream)
    first = it.post(CHAT, asked)
    settle(it)
    second = it.post(CHAT, asked)
    assert (told(first), told(second)) == ("MISS", "HIT")
    assert second.content == first.content
    assert second.headers["content-type"] == first.headers["content-type"]
    assert len(a.requests(CHAT)) == 1
    for other in ({"temperature": 0.1}, {"n": 2}):
        warm = question(stream=stream, **other)
        assert [ask(it, warm, CHAT) for _ in range(2)] == [None, None]
    no_word = question(stream=stream)
    del no_word["temperature"]
    assert ask(it, no_word, CHAT) is None


def test_a_streams_pieces_are_not_held_back_for_the_cache(kept: Kept) -> None:
    it, a, _ = kept
    a.behave(chunks=5, chunk_delay_s=0.3)
    asked = question(stream=True)
    times = []
    with streamed(it, asked) as answer:
        for _ in answer.iter_raw():
            times.append(time.monotonic())
    assert times[-1] - times[0] > 0.8
    settle(it)
    assert ask(it, asked, CHAT) == "HIT"


@pytest.mark.parametrize(
    "fault",
    [
        {"die": "mid_stream", "after_chunks": 2},
        {"body": 'data: {"choices":[]}\n\n', "headers": {"content-type": "text/event-stream"}},
        {
            "body": 'data: {"error":{"message":"no memory"}}\n\ndata: [DONE]\n\n',
            "headers": {"content-type": "text/event-stream"},
        },
    ],
)
def test_a_stream_that_went_wrong_is_not_served_again(kept: Kept, fault: dict[str, Any]) -> None:
    it, a, _ = kept
    asked = question(stream=True)
    a.behave(**fault)
    with contextlib.suppress(httpx.RemoteProtocolError):
        ask(it, asked, CHAT)
    settle(it)
    a.reset()
    it.forget_failures()
    assert twice(it, asked, CHAT) == ["MISS", "HIT"]


def test_a_stream_whose_client_left_is_not_kept_and_its_backend_hears_of_it(kept: Kept) -> None:
    it, a, _ = kept
    asked = question(stream=True)
    a.behave(chunks=100, chunk_delay_s=0.1)
    with streamed(it, asked) as answer:
        next(answer.iter_raw())
    until(lambda: a.stats()["aborted"] == 1)
    a.reset()
    assert ask(it, asked, CHAT) == "MISS"


def test_the_log_and_the_ledger_know_what_was_served_again(kept: Kept) -> None:
    it, _, _ = kept
    key = f"counted-{time.monotonic_ns()}"
    secret = json.loads(it.run("keys", "create", key, "--json", "--concurrency", "2").stdout)["key"]
    for asked, path in ((question(), CHAT), (question(stream=True), CHAT)):
        assert twice(it, asked, path, key=secret) == ["MISS", "HIT"]
        settle(it)
    lines = [line for line in it.log() if line["key"] == key]
    # Two workers write them, each when it likes.
    assert sorted(
        (line["cache"], line["gen_ai.request.model"], str(tokens(line))) for line in lines
    ) == [
        *[("HIT", "chat", "None")] * 2,
        *[("MISS", "chat", "[7, 5, 0]")] * 2,
    ]
    assert all(line["backend"] == "" for line in lines if line["cache"] == "HIT")
    it.run("keys", "revoke", key)
    found = until(lambda: usage(it, key)["(cache)"]["requests"] == 2 and usage(it, key))
    assert found["(cache)"]["prompt_tokens"] == found["(cache)"]["completion_tokens"] == 0
    assert (found["a"]["requests"], found["a"]["prompt_tokens"]) == (2, 14)
    told = it.run("explain", next(line["id"] for line in lines if line["cache"] == "HIT")).stdout
    assert "a kept answer was given again" in told


def usage(it: Gateway, key: str) -> dict[str, dict[str, Any]]:
    rows = json.loads(it.run("usage", "--by", "key,backend", "--format", "json").stdout)["rows"]
    mine = {row["backend"]: row for row in rows if row["key"] == key}
    return {name: mine.get(name, {"requests": 0}) for name in ("(cache)", "a")}


def test_the_hit_ratio_is_told_and_a_purge_forgets_one_model_or_all(kept: Kept) -> None:
    it, _, _ = kept
    requests = [(body("own"), EMBED), (body("shared"), EMBED), (question(stream=True), CHAT)]

    def asked() -> list[str | None]:
        return [ask(it, request, path) for request, path in requests]

    def stats() -> dict[str, Any]:
        return json.loads(it.run("cache", "stats", "--json").stdout)

    def files() -> int:
        return sum(1 for path in (it.home / "cache").rglob("*") if path.is_file())

    ask(it, body("shared"))
    before = stats()["models"]["shared"]
    assert asked() == ["MISS"] * 3
    settle(it)
    assert asked() == ["HIT"] * 3
    after = stats()["models"]["shared"]
    assert {name: after[name] - before[name] for name in after} == {
        "answers": 1,
        "streams": 0,
        "hits": 1,
        "misses": 1,
    }
    assert it.status()["cache"]["shared"] == {name: after[name] for name in ("hits", "misses")}
    assert "Kept answers of shared" in it.run("status").stdout
    count = files()
    gone = it.run("cache", "purge", "--model", "shared").stdout
    assert gone.startswith(f"{after['answers']} answer")
    assert files() == count - after["answers"]
    assert asked() == ["HIT", "MISS", "HIT"]
    it.run("cache", "purge")
    assert files() == 0
    assert asked() == ["MISS"] * 3
    assert it.run("cache", "purge", "--model", "nobody", check=False).returncode == 2


def test_no_key_is_on_the_disk_and_nobody_else_can_look(kept: Kept) -> None:
    it, _, _ = kept
    ask(it, body("own"))
    folder = it.home / "cache"
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert files
    assert not any(it.key.encode() in file.read_bytes() for file in files)
    # Under root, workers pass through the folder to theirs (nginx/folders.py); nobody lists it.
    assert folder.stat().st_mode & 0o066 == 0
    for file in files:
        inside = file.relative_to(folder).parents
        assert any((folder / each).stat().st_mode & 0o077 == 0 for each in inside)


@pytest.mark.long
def test_another_model_behind_the_same_name_does_not_get_the_old_ones_answers(kept: Kept) -> None:
    it, _, _ = kept
    asked = body("own")
    ask(it, asked)
    before = it.file.read_text()
    it.run("reload")
    assert ask(it, asked) == "HIT"
    it.file.write_text(
        before.replace(
            "own: { backends: [a], upstream_name: m", "own: { backends: [a], upstream_name: n"
        )
    )
    it.run("reload")
    until(lambda: ask(it, asked) == "MISS")  # nothing is kept until the new routes are there
    assert ask(it, asked) == "HIT"
    it.file.write_text(before)
    it.run("reload")
