"""Files of services that are kept to be given again: which ones, to whom, and until when."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import httpx
import pytest

from tests.backends.servers import scripted
from tests.backends.web_service import WebService, web_service
from tests.gateway import Gateway, gateway, until
from tests.wire import raw, websocket_says

# "right", by bcrypt (cost 4).
HASH = "$2b$04$d.rSttck28sxDt107iFtZeLx8PA2/BPODj1FOr1O0hX4XVEyFrlNW"
ALICE, BOB = (base64.b64encode(f"{who}:right".encode()).decode() for who in ("alice", "bob"))
CONFIG = """
backends: {{ a: {model} }}
services:
  below:
    {{ url: "{web}/base", path: /below/, cache: {{ paths: [/static/], ttl: 1h }} }}
  pages:
    {{ url: {web}, host: pages.test, auth: none, cache: {{ paths: [/static/, /ws/] }} }}
  grafana:
    {{ url: {web}, host: grafana.test, auth: basic, cache: {{ paths: [/static/] }},
       users: {{ alice: "{hash}", bob: "{hash}" }} }}
  wiki:
    {{ url: {web}, host: wiki.test, auth: forward, cache: {{ paths: [/static/] }},
       forward: {{ url: "{web}/login/check", headers: [Remote-User] }} }}
  short:
    {{ url: {web}, host: short.test, auth: none, cache: {{ paths: [/static/], ttl: 1s }} }}
"""


@dataclass
class Stack:
    it: Gateway
    web: WebService
    client: httpx.Client

    def get(self, path: str, host: str = "pages.test", **headers: str) -> httpx.Response:
        return self.client.get(self.it.url + path, headers={"Host": host, **headers})

    def kinds(self, path: str, times: int = 2, **headers: str) -> list[str]:
        return [self.get(path, **headers).headers["x-infergate-cache"] for _ in range(times)]


@pytest.fixture(scope="module")
def stack(engine: str) -> Iterator[Stack]:
    with (
        scripted() as model,
        web_service() as web,
        gateway(engine, CONFIG.format(model=model.url, web=web.url, hash=HASH)) as it,
        httpx.Client(verify=False, timeout=20) as client,  # nothing of TLS here
    ):
        yield Stack(it, web, client)


def test_a_file_is_asked_for_once_and_given_again(stack: Stack) -> None:
    first, again = stack.get("/static/app.js?v=1"), stack.get("/static/app.js?v=1")
    assert (first.headers["x-infergate-cache"], again.headers["x-infergate-cache"]) == (
        "MISS",
        "HIT",
    )
    assert first.text == again.text
    assert stack.get("/static/app.js?v=2").headers["x-infergate-cache"] == "MISS"
    assert stack.client.head(stack.it.url + "/static/app.js?v=1", headers={"Host": "pages.test"})
    assert stack.kinds("/static/app.js?v=1", 1) == ["HIT"]


def test_asked_for_at_the_same_time_it_is_fetched_once(stack: Stack) -> None:
    with ThreadPoolExecutor(8) as pool:
        texts = set(pool.map(lambda _: stack.get("/static/at-once").text, range(8)))
    assert len(texts) == 1
    assert sum(each["path"] == "/static/at-once" for each in stack.web.seen) == 1


@pytest.mark.parametrize(
    "said",
    [
        "Cache-Control=no-store",
        "Cache-Control=private",
        "Cache-Control=no-cache",
        "Cache-Control=max-age%3D0",
        "Set-Cookie=session%3Dsecret",
        "Vary=*",
    ],
)
def test_what_the_service_does_not_want_kept_is_not(stack: Stack, said: str) -> None:
    assert stack.kinds(f"/static/own?{said}") == ["MISS", "MISS"]


def test_what_varies_is_kept_once_for_each_kind(stack: Stack) -> None:
    path = "/static/varies?Vary=Accept-Language"
    german = [stack.get(path, **{"Accept-Language": "de"}) for _ in range(2)]
    english = [stack.get(path, **{"Accept-Language": "en"}) for _ in range(2)]
    assert german[0].text == german[1].text != english[0].text == english[1].text


def test_elsewhere_nothing_is_kept(stack: Stack) -> None:
    for _ in range(2):
        assert "x-infergate-cache" not in stack.get("/elsewhere").headers
    assert stack.client.post(stack.it.url + "/static/form", headers={"Host": "pages.test"})
    assert stack.web.last()["method"] == "POST"


@pytest.mark.parametrize(
    "path",
    ["/static/..;/me", "/static/%2e%2e/me", "/static/a%2f..%2fme", "/static/../me", "/static/a;b"],
)
def test_an_address_that_could_be_read_two_ways_is_not_kept(stack: Stack, path: str) -> None:
    """Web cache deception: somebody's own page below the path of what is everybody's."""
    request = f"GET {path} HTTP/1.1\r\nHost: pages.test\r\nConnection: close\r\n\r\n".encode()
    answers = [raw(stack.it.port, request) for _ in range(2)]
    assert all(b"x-infergate-cache: HIT" not in answer for answer in answers)


def test_who_logs_in_at_the_service_itself_gets_no_kept_answer(stack: Stack) -> None:
    path = "/static/mine"
    assert stack.kinds(path, Authorization="Bearer alice") == ["BYPASS", "BYPASS"]
    assert stack.kinds(path) == ["MISS", "HIT"]
    assert stack.kinds(path, 1, Authorization="Bearer alice") == ["BYPASS"]


@pytest.mark.parametrize(
    ("host", "users"),
    [
        ("grafana.test", [{"Authorization": f"Basic {user}"} for user in (ALICE, BOB)]),
        ("wiki.test", [{"Cookie": f"session={user}"} for user in ("alice", "bob")]),
        ("wiki.test", [{"Cookie": f"session=alice; theme={dark}"} for dark in (0, 1)]),
        ("pages.test", [{"Cookie": "session=alice"}, {"Cookie": "session=bob"}, {}]),
        ("pages.test", [{"X-Api-Key": "alice"}, {"X-Api-Key": "bob"}, {"Private-Token": "bob"}]),
        (
            "pages.test",
            [{"X-Vault-Token": "alice"}, {"X-Vault-Token": "bob"}, {"X-Any": "bob"}, {}],
        ),
        ("wiki.test", [{"Cookie": "session=a", "X-Org": org} for org in ("1", "2")]),
    ],
)
def test_no_user_is_given_what_was_another_s(
    stack: Stack, host: str, users: list[dict[str, str]]
) -> None:
    path = f"/static/mine?{time.monotonic_ns()}"

    def get(user: dict[str, str]) -> httpx.Response:
        stack.client.cookies.clear()
        return stack.get(path, host=host, **user)

    answers = [[get(user) for _ in range(2)] for user in users]
    for first, again in answers:
        assert (first.status_code, first.headers["x-infergate-cache"]) == (200, "MISS")
        assert (again.headers["x-infergate-cache"], again.text) == ("HIT", first.text)
    assert len({first.text for first, _ in answers}) == len(users)


def test_what_every_browser_says_is_nobody_s_name(stack: Stack) -> None:
    path = f"/static/all?{time.monotonic_ns()}"
    said = [
        {},
        {"Accept-Language": "de", "Sec-Fetch-Mode": "cors", "Referer": "http://pages.test/"},
        {"X-Forwarded-For": "10.0.0.1", "If-None-Match": '"1"', "X-Request-Id": "7"},
    ]
    assert len({stack.get(path, **headers).text for headers in said}) == 1


def test_below_a_path_a_valid_key_is_asked_for_all_the_same(stack: Stack) -> None:
    it = stack.it
    answers = [it.get("/below/static/x.css") for _ in range(2)]
    assert [each.headers["x-infergate-cache"] for each in answers] == ["MISS", "HIT"]
    assert stack.web.last()["path"] == "/base/static/x.css"
    assert httpx.get(it.url + "/below/static/x.css").status_code == 401
    key = it.new_key("gone")
    own = [it.get("/below/static/x.css", key=key) for _ in range(2)]
    assert [each.headers["x-infergate-cache"] for each in own] == ["MISS", "HIT"]
    it.run("keys", "revoke", json.loads(it.run("keys", "list", "--json").stdout)[-1]["name"])
    until(lambda: it.get("/below/static/x.css", key=key).status_code == 401)


def test_it_is_asked_again_when_its_time_is_over(stack: Stack) -> None:
    first = stack.get("/static/old", host="short.test").text
    until(lambda: stack.get("/static/old", host="short.test").text != first)
    longer = "/static/says?Cache-Control=max-age%3D3600"
    first = stack.get(longer, host="short.test").text
    until(lambda: stack.get("/static/old", host="short.test").text != first)
    assert stack.get(longer, host="short.test").text == first, "it says for how long itself"


def test_websockets_pass_below_such_a_path_too(stack: Stack) -> None:
    assert websocket_says(stack.it.port, "/ws/x", "pages.test", "hello") == "hello"


def test_stats_and_purge(stack: Stack) -> None:
    it = stack.it
    assert stack.kinds("/static/purged") == ["MISS", "HIT"]
    kept = json.loads(it.run("cache", "stats", "--json").stdout)["services"]
    assert kept["pages"]["files"] > 0
    assert 0 < kept["pages"]["bytes"] < kept["pages"]["max_bytes"]
    assert "SERVICE" in it.run("cache", "stats").stdout
    assert "will not be given again" in it.run("cache", "purge", "--service", "pages").stdout
    assert stack.kinds("/static/purged") == ["MISS", "HIT"]
    refused = it.run("cache", "purge", "--service", "n8n", check=False)
    assert refused.returncode != 0
    assert "no files of 'n8n' are kept" in refused.stderr


def test_what_is_kept_is_nobody_else_s_to_read(stack: Stack) -> None:
    stack.get("/static/on-disk")
    folder = stack.it.home / "cache" / "service-pages"
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert files
    assert all(path.stat().st_mode & 0o077 == 0 for path in files)
