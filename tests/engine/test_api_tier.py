"""The API tier: who asks when it asks, what it costs, and what becomes of it when parts die."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import random
import shutil
import signal
import socket
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from backports import zstd

from infergate.api import inner
from infergate.api.caller import Caller
from infergate.api.dialects.table import ENTRIES
from infergate.contract.dialects import TRANSLATED
from infergate.paths import Home
from infergate.processes import works_in
from tests.backends.servers import Scripted, scripted
from tests.gateway import Gateway, gateway, until
from tests.reaper import folder_prefix

CONFIG = """
backends: {{ a: {{ url: {a}, engine: vllm }}, t: {{ url: {a}, engine: tgi }} }}
models: {{ m: [a], t: {{ backends: [t], upstream_name: m }} }}
access: {{ deny: [203.0.113.0/24], trusted_proxies: [127.0.0.2] }}
api: {{}}
"""
MESSAGE = {"model": "t", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
CHAT = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
PACKERS = {"gzip": gzip.compress, "zstd": zstd.compress}

Running = tuple[Gateway, Scripted]


@pytest.fixture(scope="module")
def running(
    engine: str,
) -> Iterator[tuple[Gateway, Scripted, Path]]:
    """A gateway with a tier, and the file where this writes in whose name it asks: no client ever
    sees a token, so the tests look where it is used."""
    folder = Path(tempfile.mkdtemp(prefix=folder_prefix()))  # pytest's own are closed to others
    folder.chmod(0o777)  # the tier is another user where the tests are root
    told = folder / "callers"
    ask = inner.Inner.ask

    def noting(self: inner.Inner, caller: Caller, *rest: Any, **more: Any) -> Any:
        with told.open("a") as file:
            file.write(json.dumps(vars(caller)) + "\n")
        return ask(self, caller, *rest, **more)

    inner.Inner.ask = noting  # type: ignore[method-assign, assignment]
    try:
        with scripted(name="a") as a, gateway(engine, CONFIG.format(a=a.url)) as it:
            yield it, a, told
    finally:
        inner.Inner.ask = ask  # type: ignore[method-assign]
        shutil.rmtree(folder)


@pytest.fixture
def tier(running: tuple[Gateway, Scripted, Path]) -> Running:
    it, a, told = running
    a.reset()
    it.forget_failures()
    told.unlink(missing_ok=True)
    return it, a


@pytest.fixture
def callers(running: tuple[Gateway, Scripted, Path]) -> Path:
    return running[2]


def packed(it: Gateway, body: dict[str, Any], coding: str = "gzip", **more: Any) -> httpx.Response:
    content = PACKERS[coding](json.dumps(body).encode())
    headers = {"Content-Encoding": coding, **more.pop("headers", {})}
    return it.post("/v1/chat/completions", content, headers=headers, **{"timeout": 60, **more})


@contextlib.contextmanager
def held(it: Gateway, a: Scripted, callers: Path, key: str | None = None) -> Iterator[Caller]:
    """While a request of this key waits for its backend: in whose name the tier asks."""
    a.behave(path_prefix="/v1/chat", hold="before_headers", times=1)
    body = gzip.compress(json.dumps(CHAT).encode())
    headers = {**it.headers(key), "Content-Encoding": "gzip", "Content-Type": "application/json"}
    with (
        httpx.Client(timeout=60) as client,
        socket.create_connection(("127.0.0.1", it.port), 60) as connection,
    ):
        lines = [f"{name}: {value}\r\n" for name, value in headers.items()]
        head = "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\n" + "".join(lines)
        connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        until(lambda: a.requests())
        told = until(lambda: callers.exists() and callers.read_text().splitlines())
        yield Caller(**json.loads(told[-1]))
        a.behave()
        assert connection.recv(65536).startswith(b"HTTP/1.1 ")
        assert client is not None


def posted(a: Scripted) -> list[str]:
    """The paths that it was asked at; probes are GETs."""
    return [each["path"] for each in a.requests("/") if each["method"] == "POST"]


def inner_line(it: Gateway, outer: str) -> dict[str, Any]:
    """What the log has of what was asked for this request."""
    return until(lambda: [each for each in it.log() if each.get("parent") == outer])[0]


def asked_inside(it: Gateway, headers: dict[str, str]) -> int:
    """The status on the listener that is for the tier; 0 where the connection is just closed."""
    transport = httpx.HTTPTransport(uds=str(Home(it.home).inner_socket))
    with httpx.Client(transport=transport, timeout=60) as client:
        try:
            answer = client.post("http://x/v1/chat/completions", json=CHAT, headers=headers)
        except (httpx.RemoteProtocolError, httpx.ReadError):
            return 0
        return answer.status_code


@pytest.mark.parametrize("coding", sorted(PACKERS))
def test_a_compressed_body_is_answered_as_the_plain_one(tier: Running, coding: str) -> None:
    it, a = tier
    plain, other = it.chat(), packed(it, CHAT, coding)
    assert (other.status_code, other.json()) == (200, plain.json())
    first, second = a.requests()
    assert first["body"] == second["body"]
    streamed = packed(it, {**CHAT, "stream": True}, coding)
    assert streamed.headers["content-type"].startswith("text/event-stream")
    assert streamed.text == it.chat(stream=True).text


def test_what_it_asks_is_the_callers_and_is_counted_once(tier: Running) -> None:
    it, _ = tier
    key = it.new_key("once")
    outer = packed(it, CHAT, key=key).headers["x-infergate-request-id"]
    lines = until(
        lambda: [each for each in it.log() if outer in (each["id"], each.get("parent"))][1:]
    )
    lines = [each for each in it.log() if outer in (each["id"], each.get("parent"))]
    mine = next(each for each in lines if each["id"] == outer)
    asked = next(each for each in lines if each["id"] != outer)
    assert mine["key"] == asked["key"] != ""
    assert (mine["tier"], "parent" in mine) == ("body", False)
    assert mine["gen_ai.usage.input_tokens"] is None
    assert (asked["ip"], asked["gen_ai.request.model"]) == ("127.0.0.1", "m")
    assert asked["gen_ai.usage.input_tokens"] > 0

    def used() -> list[Any]:
        told = json.loads(it.run("usage", "--json", "--by", "key").stdout)
        return [row for row in told["rows"] if row["key"] == mine["key"]]

    assert [row["requests"] for row in until(used)] == [1]


def test_a_key_with_one_request_at_a_time_is_not_in_its_own_way(tier: Running) -> None:
    it, _ = tier
    key = it.new_key("narrow", "--concurrency", "1", "--rpm", "3")
    answers = [packed(it, CHAT, key=key).status_code for _ in range(4)]
    assert answers == [200, 200, 200, 429]


def test_a_key_is_good_from_its_own_networks_alone_through_the_tier_too(tier: Running) -> None:
    it, a = tier
    here, elsewhere = (
        it.new_key("here", "--ip", "127.0.0.1"),
        it.new_key("there", "--ip", "10.0.0.1"),
    )
    assert packed(it, CHAT, key=here).status_code == 200
    assert packed(it, CHAT, key=elsewhere).status_code == 401
    assert len(a.requests()) == 1


def test_what_is_lent_counts_there_alone_and_as_long_as_its_request(
    tier: Running, callers: Path
) -> None:
    it, a = tier
    with held(it, a, callers) as caller:
        inside = {"Authorization": f"Bearer {caller.token}", "x-infergate-client": caller.client}
        assert asked_inside(it, inside) == 200
        assert asked_inside(it, {**inside, "x-infergate-client": "10.9.8.7"}) == 401
        for header in ("Authorization", "x-api-key", "api-key"):
            value = f"Bearer {caller.token}" if header == "Authorization" else caller.token
            stolen = httpx.post(
                f"{it.url}/v1/chat/completions",
                json=CHAT,
                headers={header: value, "x-infergate-client": caller.client},
                timeout=60,
            )
            assert stolen.status_code == 401, header
    until(lambda: asked_inside(it, inside) == 401)


def test_a_key_is_none_inside(tier: Running) -> None:
    it, _ = tier
    client = {"x-infergate-client": "127.0.0.1"}
    assert asked_inside(it, {**it.headers(), **client}) == 0
    assert asked_inside(it, {"x-api-key": it.key, **client}) == 0
    forged = {"Authorization": "Bearer igt-" + "0" * 64, "x-api-key": it.key, **client}
    assert asked_inside(it, forged) == 401


def test_what_is_lent_ends_with_its_key(tier: Running, callers: Path) -> None:
    it, a = tier
    key = it.new_key("short")
    listed = json.loads(it.run("keys", "list", "--json").stdout)
    name = next(row["name"] for row in listed if row["name"].startswith("short"))
    with held(it, a, callers, key) as caller:
        inside = {"Authorization": f"Bearer {caller.token}", "x-infergate-client": caller.client}
        assert asked_inside(it, inside) == 200
        it.run("keys", "revoke", name)
        assert asked_inside(it, inside) == 401


def test_a_client_says_nothing_of_who_it_is_by_headers_of_ours(
    tier: Running, callers: Path
) -> None:
    it, a = tier
    forged = {
        "x-infergate-client": "10.9.8.7",
        "x-infergate-token": "igt-1",
        "x-infergate-parent": "p",
    }
    assert packed(it, CHAT, headers=forged).status_code == 200
    caller = json.loads(callers.read_text())
    assert caller["client"] == "127.0.0.1"
    assert len(caller["token"]) > 60
    assert caller["parent"] != "p"
    assert not [
        name for name in a.requests()[0]["headers"] if name.lower().startswith("x-infergate")
    ]


def test_a_client_behind_a_trusted_proxy_is_the_one_that_is_logged(tier: Running) -> None:
    it, _ = tier
    body = gzip.compress(json.dumps(CHAT).encode())
    transport = httpx.HTTPTransport(local_address="127.0.0.2")
    headers = {**it.headers(), "Content-Encoding": "gzip", "Content-Type": "application/json"}
    with httpx.Client(transport=transport, timeout=60) as proxy:
        for address, status in (("198.51.100.7", 200), ("203.0.113.9", 403)):
            told = {**headers, "X-Forwarded-For": address}
            answer = proxy.post(f"{it.url}/v1/chat/completions", content=body, headers=told)
            assert answer.status_code == status
            if status == 200:
                outer = answer.headers["x-infergate-request-id"]
                assert inner_line(it, outer)["ip"] == address


def test_a_client_that_leaves_closes_the_backends_connection(tier: Running) -> None:
    it, a = tier
    before = a.stats()["aborted"]
    a.behave(path_prefix="/v1/chat", hang="mid_stream")
    content = gzip.compress(json.dumps({**CHAT, "stream": True}).encode())
    headers = {**it.headers(), "Content-Encoding": "gzip", "Content-Type": "application/json"}
    with httpx.stream(
        "POST", f"{it.url}/v1/chat/completions", content=content, headers=headers, timeout=60
    ) as answer:
        next(answer.iter_raw())
    until(lambda: a.stats()["aborted"] > before)


def test_a_stream_that_breaks_off_ends_in_an_error(tier: Running) -> None:
    it, a = tier
    a.behave(path_prefix="/v1/chat", die="mid_stream")
    content = gzip.compress(json.dumps({**CHAT, "stream": True}).encode())
    headers = {**it.headers(), "Content-Encoding": "gzip", "Content-Type": "application/json"}
    got, ended = b"", False
    with contextlib.suppress(httpx.RemoteProtocolError, httpx.ReadError):
        with httpx.stream(
            "POST", f"{it.url}/v1/chat/completions", content=content, headers=headers, timeout=60
        ) as answer:
            for piece in answer.iter_raw():
                got += piece
        ended = True
    assert b'"error"' in got
    assert not ended  # as without the tier


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (gzip.compress(json.dumps(CHAT).encode())[:-9], 400),
        (b"{}", 400),
        (gzip.compress(b" " * 40_000_000), 413),
        (gzip.compress(b"[1]"), 400),
    ],
    ids=["cut", "not packed", "a bomb", "no object"],
)
def test_a_body_that_unpacks_to_none_is_refused(tier: Running, content: bytes, status: int) -> None:
    it, a = tier
    answer = it.post(
        "/v1/chat/completions", content, headers={"Content-Encoding": "gzip"}, timeout=60
    )
    assert answer.status_code == status
    assert answer.json()["error"]["message"]
    assert not a.requests()


def test_a_large_body_that_hardly_packs_is_unpacked_beside_others(tier: Running) -> None:
    it, a = tier
    content = random.Random(1).randbytes(100_000).hex()
    body = {"model": "m", "messages": [{"role": "user", "content": content}]}
    for coding in PACKERS:
        assert packed(it, body, coding).status_code == 200
    assert [len(each["body"]) > 200_000 for each in a.requests()] == [True, True]


def test_an_unknown_coding_is_refused_without_the_tier(tier: Running, callers: Path) -> None:
    it, _ = tier
    answer = it.post("/v1/chat/completions", b"x", headers={"Content-Encoding": "br"})
    assert (answer.status_code, callers.exists()) == (400, False)


def test_without_a_key_nothing_is_handed_over(tier: Running, callers: Path) -> None:
    it, _ = tier
    assert packed(it, CHAT, key="sk-nobodys").status_code == 401
    assert not callers.exists()


def test_a_tier_that_is_killed_is_started_again(tier: Running) -> None:
    it, _ = tier
    assert packed(it, CHAT).status_code == 200
    (was,) = it.status()["tier"]
    before = tier_processes(it)
    assert {was["pid"]} == before
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    until(lambda: tier_processes(it) - before)
    assert packed(it, CHAT).status_code == 200
    (now,) = it.status()["tier"]
    assert (now["name"], now["restarts"]) == ("api", was["restarts"] + 1)
    assert (now["pid"], now["ended"]) == (*(tier_processes(it) - before), "-9")
    shown = " ".join(it.run("status", check=False).stdout.split())
    assert f"The API tier's process api ({now['pid']}) runs since" in shown
    good = " ".join(it.run("doctor", "--all", check=False).stdout.split())
    assert f"the API tier's api runs (process {now['pid']})" in good


def test_a_request_whose_answer_had_not_begun_when_the_tier_died_is_502_in_the_log_too(
    tier: Running,
) -> None:
    it, a = tier
    a.behave(path_prefix="/v1/chat", hang="before_headers")

    def die() -> None:
        until(a.requests)
        for pid in tier_processes(it):
            os.kill(pid, signal.SIGKILL)

    with ThreadPoolExecutor(1) as beside:
        dying = beside.submit(die)
        answer = it.post("/v1/messages", MESSAGE, timeout=60)
        dying.result()
    assert (answer.status_code, answer.json()["type"]) == (502, "error")
    id_ = answer.headers["x-infergate-request-id"]
    (line,) = until(lambda: [each for each in it.log() if each["id"] == id_])
    assert (line["status"], line["tier"]) == (502, "dialect")


def tier_processes(it: Gateway) -> set[int]:
    found = set()
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            command = (entry / "cmdline").read_bytes().split(b"\0")
            if b"infergate.api" in command and works_in(int(entry.name), it.home):
                found.add(int(entry.name))
    return found


def test_it_has_nothing_of_the_gateways_environment_and_is_not_root(tier: Running) -> None:
    it, _ = tier
    assert packed(it, CHAT).status_code == 200
    for pid in tier_processes(it):
        environ = (Path("/proc") / str(pid) / "environ").read_bytes()
        assert b"INFERGATE" not in environ
        if os.getuid() == 0:
            assert (Path("/proc") / str(pid)).stat().st_uid != 0


def test_a_dialect_that_the_backend_has_not_is_spoken_all_the_same(tier: Running) -> None:
    it, a = tier
    answer = it.post("/v1/messages", MESSAGE, timeout=60)
    assert (answer.status_code, answer.json()["type"]) == (200, "message")
    assert posted(a) == ["/v1/chat/completions"]
    streamed = it.post("/v1/messages", {**MESSAGE, "stream": True}, timeout=60)
    kinds = [line for line in streamed.text.splitlines() if line.startswith("event: ")]
    assert (kinds[0], kinds[-1]) == ("event: message_start", "event: message_stop")
    outer = streamed.headers["x-infergate-request-id"]
    assert inner_line(it, outer)["gen_ai.request.model"] == "t"


def test_a_byte_order_mark_is_taken_off_a_translated_body_too(tier: Running) -> None:
    it, a = tier
    answer = it.post("/v1/messages", b"\xef\xbb\xbf" + json.dumps(MESSAGE).encode(), timeout=60)
    assert (answer.status_code, answer.json().get("type")) == (200, "message")
    assert len(a.requests()) == 1


SPOKEN: dict[str, tuple[dict[str, Any], str]] = {
    "/v1/messages/count_tokens": (MESSAGE, "/v1/chat/completions"),
    "/v1/responses": ({"model": "t", "input": "hi"}, "/v1/chat/completions"),
    "/api/chat": ({**CHAT, "model": "t"}, "/v1/chat/completions"),
    "/api/generate": ({"model": "t", "prompt": "hi", "raw": True}, "/v1/completions"),
    "/api/embed": ({"model": "t", "input": "hi"}, "/v1/embeddings"),
    "/api/embeddings": ({"model": "t", "prompt": "hi"}, "/v1/embeddings"),
    "/rerank": ({"model": "t", "query": "a", "documents": ["b"]}, "/v1/rerank"),
    "/v2/rerank": ({"model": "t", "query": "a", "documents": ["b"]}, "/v1/rerank"),
}


@pytest.mark.parametrize("path", SPOKEN)
def test_each_endpoint_that_the_backend_has_not_is_asked_at_another(
    tier: Running, path: str
) -> None:
    it, a = tier
    body, other = SPOKEN[path]
    answer = it.post(path, {**body, "stream": False}, timeout=60)
    assert answer.status_code == 200, answer.text
    assert posted(a) == [other]
    names = {"/api/embed": "embeddings", "/api/embeddings": "embedding", "/v1/responses": "output"}
    assert answer.json()[names[path]] if path in names else answer.json()


def test_ollama_s_streams_are_lines_with_the_gateways_own_headers(tier: Running) -> None:
    it, _ = tier
    streamed = it.post("/api/chat", {**CHAT, "model": "t"}, timeout=60)
    assert streamed.headers["content-type"] == "application/x-ndjson"
    lines = [json.loads(each) for each in streamed.text.splitlines()]
    assert [each["done"] for each in lines].index(True) == len(lines) - 1
    assert lines[-1]["eval_count"] == 5


def test_what_is_known_of_a_model_is_told_in_ollama_s_words_without_asking_it(
    tier: Running,
) -> None:
    it, a = tier
    shown = it.post("/api/show", {"model": "t"}, timeout=60)
    assert (shown.status_code, shown.json()["capabilities"]) == (200, ["completion"])
    loaded = it.post("/api/generate", {"model": "t"}, timeout=60).json()
    assert (loaded["done"], loaded["done_reason"]) == (True, "load")
    assert posted(a) == []
    unknown = it.post("/api/show", {"model": "none"}, timeout=60)
    assert unknown.status_code == 404
    assert list(unknown.json()) == ["error"]


def test_what_is_no_request_of_its_dialect_is_refused_before_any_backend(tier: Running) -> None:
    it, a = tier
    wrong = it.post("/v1/messages", {**MESSAGE, "max_tokens": "x"}, timeout=60)
    assert (wrong.status_code, wrong.json()["error"]["type"]) == (400, "invalid_request_error")
    wrong = it.post("/v1/responses", {"model": "t", "input": 5}, timeout=60)
    assert (wrong.status_code, wrong.json()["error"]["param"]) == (400, "input")
    assert posted(a) == []


@pytest.mark.parametrize("number", ["1e999", "-1.5e400"])
def test_a_number_that_is_too_large_is_named_as_the_client_wrote_it(
    tier: Running, number: str
) -> None:
    it, a = tier
    body = json.dumps({**MESSAGE, "temperature": 0.25}).replace("0.25", number).encode()
    answer = it.post("/v1/messages", body, timeout=60)
    assert (answer.status_code, answer.json()["type"]) == (400, "error")
    assert number in answer.json()["error"]["message"]
    assert not a.requests()


def test_an_answer_that_is_no_json_is_not_passed_on_as_some(tier: Running) -> None:
    it, a = tier
    a.behave(path_prefix="/v1/chat", body='{"choices": [], "score": NaN}')
    answer = it.post("/v1/messages", MESSAGE, timeout=60)
    assert (answer.status_code, answer.json()["type"]) == (502, "error")


def test_anthropic_s_own_header_for_the_key_is_good_through_the_tier_too(tier: Running) -> None:
    it, _ = tier
    headers = {"x-api-key": it.key, "anthropic-version": "2026-10-21"}
    with httpx.Client(timeout=60) as client:
        answer = client.post(it.url + "/v1/messages", json=MESSAGE, headers=headers)
        refused = client.post(
            it.url + "/v1/messages", json={**MESSAGE, "temperature": 1}, headers=headers
        )
    assert answer.status_code == 200, answer.text
    assert (refused.status_code, refused.json()["type"]) == (400, "error")


def test_one_that_it_has_is_relayed_without_the_tier(tier: Running, callers: Path) -> None:
    it, a = tier
    it.post("/v1/messages", {**MESSAGE, "model": "m"})
    assert posted(a) == ["/v1/messages"]
    assert not callers.exists()


def test_a_backends_error_is_told_in_the_dialect_with_what_it_says_of_when(tier: Running) -> None:
    it, a = tier
    body = json.dumps({"error": {"message": "too much", "type": "x", "code": 429}})
    a.behave(path_prefix="/v1/chat", status=429, headers={"retry-after": "7"}, body=body)
    answer = it.post("/v1/messages", MESSAGE, timeout=60)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "7")
    assert answer.json()["error"]["type"] == "rate_limit_error"
    refused = it.post("/v1/messages", {**MESSAGE, "model": "none"})
    assert (refused.status_code, refused.json()["type"]) == (404, "error")


def test_a_backend_that_dies_ends_a_translated_stream_in_the_dialects_error(tier: Running) -> None:
    it, a = tier
    a.behave(path_prefix="/v1/chat", die="mid_stream")
    streamed = it.post("/v1/messages", {**MESSAGE, "stream": True}, timeout=60)
    last = json.loads(streamed.text.strip().splitlines()[-1].removeprefix("data: "))
    assert last["type"] == "error"


@pytest.mark.parametrize(
    ("body", "place"),
    [({**MESSAGE, "stream": True}, "mid_stream"), (MESSAGE, "before_headers")],
    ids=["streamed", "whole"],
)
def test_a_client_that_leaves_a_translated_request_closes_the_backends_connection(
    tier: Running, body: dict[str, Any], place: str
) -> None:
    it, a = tier
    aborted = a.stats()["aborted"]
    a.behave(path_prefix="/v1/chat", hang=place)
    content = json.dumps(body).encode()
    lines = "".join(f"{name}: {value}\r\n" for name, value in it.headers().items())
    head = f"POST /v1/messages HTTP/1.1\r\nHost: 127.0.0.1\r\n{lines}"
    head += f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", it.port), 60) as connection:
        connection.sendall(head.encode() + content)
        until(a.requests)
    until(lambda: a.stats()["aborted"] > aborted)


def test_what_njs_hands_over_is_what_has_a_translation() -> None:
    assert {entry.path for entry in ENTRIES} == set(TRANSLATED)
