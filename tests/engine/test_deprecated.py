"""Names of models that go away: what answers say of it, who still asks for them, and the end."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator

import httpx
import pytest

from tests.backends.servers import Scripted, scripted
from tests.gateway import Gateway, gateway, until
from tests.wire import raw

CONFIG = """
backends:
  a: {{ url: {a}, engine: vllm }}
  t: {{ url: {a}, engine: tgi }}
models:
  m:
    backends: [a]
    aliases: [old, 'default', '~odd "one" $', gone]
    cache: {{}}
    deprecated:
      old: {{ since: 2026-10-01, sunset: 2199-01-31, refuse: true, link: "https://example.org/#x" }}
      'default': {{ since: 2026-10-01 }}
      '~odd "one" $': {{ since: 2026-10-01 }}
      gone: {{ since: 2026-09-01, sunset: 2026-10-01, refuse: true, link: "https://example.org/y" }}
  t:
    backends: [t]
    upstream_name: m
    aliases: [old-t]
    deprecated: {{ old-t: {{ since: 2026-10-02 }} }}
  ended:
    backends: [a]
    upstream_name: m
    deprecated: {{ ended: {{ since: 2026-09-01, sunset: 2026-10-01, refuse: true }} }}
cors: {{ origins: ["https://page.example"] }}
api: {{}}
"""
SINCE = "@1790812800"  # 2026-10-01, midnight in UTC
SUNSET = "Thu, 31 Jan 2199 00:00:00 GMT"
LINK = '<https://example.org/#x>; rel="deprecation", <https://example.org/#x>; rel="sunset"'
HI = [{"role": "user", "content": "hi"}]

Running = tuple[Gateway, Scripted]


@pytest.fixture(scope="module")
def running(engine: str) -> Iterator[Running]:
    with scripted(name="a") as a, gateway(engine, CONFIG.format(a=a.url)) as it:
        yield it, a


def told(answer: httpx.Response) -> tuple[list[str], list[str], list[str]]:
    of = answer.headers.get_list
    return of("deprecation"), of("sunset"), of("link")


def test_answers_and_streams_say_that_the_name_goes_away(running: Running) -> None:
    it, _ = running
    for more in ({}, {"stream": True}, {"stream": True, "pad": "x" * 30_000}):
        answer = it.chat("old", **more)
        assert (answer.status_code, told(answer)) == (200, ([SINCE], [SUNSET], [LINK]))
    answer = it.post("/v1/embeddings", {"model": "old", "input": "x"})
    assert (answer.status_code, told(answer)) == (200, ([SINCE], [SUNSET], [LINK]))


@pytest.mark.parametrize("name", ["default", '~odd "one" $'])
def test_a_name_may_look_like_a_word_of_nginx(running: Running, name: str) -> None:
    assert told(running[0].chat(name)) == ([SINCE], [], [])


def test_errors_say_it_too(running: Running) -> None:
    it, a = running
    refused = it.chat("old", temperature="hot")
    assert (refused.status_code, told(refused)) == (400, ([SINCE], [SUNSET], [LINK]))
    a.behave(status=400)
    try:
        failed = it.chat("old")
    finally:
        a.reset()
    assert (failed.status_code, told(failed)) == (400, ([SINCE], [SUNSET], [LINK]))


def test_what_the_tier_translates_or_unpacks_says_it_once(running: Running) -> None:
    it, _ = running
    message = {"model": "old-t", "max_tokens": 9, "messages": HI}
    for more in ({}, {"stream": True}):
        answer = it.post("/v1/messages", {**message, **more}, timeout=60)
        assert (answer.status_code, told(answer)) == (200, (["@1790899200"], [], []))
    wrong = it.post("/v1/messages", {**message, "max_tokens": "many"}, timeout=60)
    assert (wrong.status_code, told(wrong)) == (400, (["@1790899200"], [], []))
    body = gzip.compress(json.dumps({"model": "old", "messages": HI}).encode())
    packed = it.post("/v1/chat/completions", body, headers={"Content-Encoding": "gzip"})
    assert (packed.status_code, told(packed)) == (200, ([SINCE], [SUNSET], [LINK]))


def test_other_names_say_nothing(running: Running) -> None:
    it, _ = running
    for answer in (it.chat("m"), it.chat("nobody"), it.get("/v1/models")):
        assert told(answer) == ([], [], [])


def test_pages_of_other_sites_may_read_it(running: Running) -> None:
    it, _ = running
    answer = it.post(
        "/v1/chat/completions",
        {"model": "old", "messages": HI},
        headers={"Origin": "https://page.example"},
    )
    exposed = answer.headers["access-control-expose-headers"].split(", ")
    assert {"deprecation", "sunset", "link"} <= set(exposed)


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/embeddings", "/v1/messages"])
def test_from_its_sunset_on_it_is_refused(running: Running, path: str) -> None:
    """Whichever way it comes, and nothing reaches a backend."""
    it, a = running
    a.reset()
    for pad in ("", "x" * 30_000):
        body = {"model": "gone", "messages": HI, "input": pad, "max_tokens": 1}
        answer = it.post(path, body)
        assert answer.status_code == 404, answer.text
        message = answer.json()["error"]["message"]
        assert message == (
            "The model `gone` is gone since 2026-10-01. Ask for `m`. See https://example.org/y"
        )
        assert told(answer)[0] == ["@1788220800"]
    assert it.chat("ended").status_code == 404
    assert a.requests(path) == []


def test_a_websocket_is_refused_too(running: Running) -> None:
    it, _ = running
    head = (
        "GET /v1/realtime?model=gone HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\n"
        "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        f"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nAuthorization: Bearer {it.key}\r\n\r\n"
    )
    assert b"404" in raw(it.port, head.encode()).split(b"\r\n")[0]


def test_lists_have_it_until_its_sunset(running: Running) -> None:
    it, _ = running
    listed = {each["id"] for each in it.get("/v1/models").json()["data"]}
    assert "old" in listed
    assert not {"gone", "ended"} & listed
    assert it.get("/v1/models/gone").status_code == 404


def test_the_operator_sees_who_still_asks(running: Running) -> None:
    it, _ = running
    it.post("/v1/chat/completions", {"model": "m", "messages": HI}, key=it.key)
    for agent in ("Sensor/1.2 (cellar)", "Sensor/1.2 (attic)", "cron"):
        it.post(
            "/v1/chat/completions",
            {"model": "old", "messages": HI},
            headers={"User-Agent": agent},
            key=it.key,
        )
    it.post(
        "/v1/messages",
        {"model": "old-t", "max_tokens": 9, "messages": HI},
        headers={"User-Agent": "Translated/3"},
        timeout=60,
    )
    marks = {each["model_asked"]: each["deprecated"] for each in it.log()}
    assert (marks["old"], marks["m"]) == (SINCE, "")

    def rows() -> list[dict[str, object]]:
        found = json.loads(it.run("usage", "--deprecated", "--json").stdout)
        clients = {each["client"] for each in found}
        return found if {"Sensor/1.2", "cron", "Translated/3"} <= clients else []

    found = {(each["name"], each["client"]): each for each in until(rows)}
    sensor = found["old", "Sensor/1.2"]
    assert (sensor["calls"], sensor["model"], sensor["sunset"]) == (2, "m", "2199-01-31")
    assert str(sensor["key"]).startswith("test-")
    assert sensor["first"] <= sensor["last"]  # type: ignore[operator]
    assert found["old-t", "Translated/3"]["calls"] == 1  # the outer line is not counted besides
    text = it.run("usage", "--deprecated").stdout
    assert "NAME" in text
    assert "Sensor/1.2" in text
    assert "2199-01-31" in text
    assert max(map(len, text.splitlines())) <= 80
