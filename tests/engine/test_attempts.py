"""Attempts to get by: smuggled requests, paths and hosts in disguise, headers that lie, SSRF.

docs/security.md has the same table; a test compares the two.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from infergate.nginx.headers import claimed, stripped
from tests.backends.servers import Scripted, scripted
from tests.backends.web_service import WebService, web_service
from tests.gateway import Gateway, gateway
from tests.wire import raw, status_of

DOCS = Path(__file__).parents[2] / "docs" / "security.md"


@dataclass(frozen=True)
class Attempt:
    """lines: the request, where KEY is a key for /tools/ and the model `good` only.

    reached: who may see it.
    """

    lines: str
    statuses: tuple[int, ...]
    host: str = "api.test"
    body: str = ""
    reached: frozenset[str] = field(default_factory=frozenset)

    def request(self, key: str) -> str:
        lines = self.lines.replace("KEY", f"Authorization: Bearer {key}")
        if self.host:
            first, _, rest = lines.partition("\n")
            lines = f"{first}\nHost: {self.host}" + (f"\n{rest}" if rest else "")
        if "Connection:" not in lines:
            lines += "\nConnection: close"
        return lines.replace("\n", "\r\n") + "\r\n\r\n" + self.body


def get(path: str, *statuses: int, more: str = "") -> Attempt:
    return Attempt(f"GET {path} HTTP/1.1" + (f"\n{more}" if more else ""), statuses)


def post(headers: str, body: str, *statuses: int) -> Attempt:
    return Attempt(f"POST /tools/x HTTP/1.1\nKEY\n{headers}", statuses, body=body)


def chat(body: str, *statuses: int) -> Attempt:
    return Attempt(
        f"POST /v1/chat/completions HTTP/1.1\nKEY\nContent-Length: {len(body)}",
        statuses,
        body=body,
    )


def at_open(path: str) -> Attempt:
    return Attempt(f"GET {path} HTTP/1.1", (400,), host="open.test")


NAMES = sorted(set(stripped(["x-corp-user"])) - {"Proxy-Authorization", "Trailer"})
# Some of each family; all of them are more than a request may have.
LIKELY = [*claimed([])[::37], *claimed(["x-corp-*"])[-20:]]
CHUNKED = "0\r\n\r\nGET /qdrant/x HTTP/1.1\r\nHost: api.test\r\n\r\n"
MODEL = '{"model": "http://169.254.169.254/", "messages": []}'
SERVICE = '{"model": "tools", "messages": [%s]}'
LONG_SERVICE = SERVICE % ('{"role": "user", "content": "' + "a" * 200_000 + '"}')
TOOLS, OPEN = frozenset({"tools"}), frozenset({"open"})

ATTEMPTS = {
    # A path in disguise
    "`/v1/../qdrant/x`": get("/v1/../qdrant/x", 401),
    "`/v1/%2e%2e/qdrant/x`": get("/v1/%2e%2e/qdrant/x", 401),
    "`/healthz%2f..%2fqdrant/x`": get("/healthz%2f..%2fqdrant/x", 401),
    "`//qdrant//x`": get("//qdrant//x", 401),
    "`/./qdrant/./x`": get("/./qdrant/./x", 401),
    "`/%71drant/x`": get("/%71drant/x", 401),
    "`/QDRANT/x`": get("/QDRANT/x", 404),
    "`/qdrant;a=b/x`": get("/qdrant;a=b/x", 404),
    "`/qdrant/x%00`": get("/qdrant/x%00", 400),
    "`/..%2f..%2fetc/passwd`": get("/..%2f..%2fetc/passwd", 400),
    "`/tools/../qdrant/x` with a key for tools": get("/tools/../qdrant/x", 403, more="KEY"),
    "`/tools/%2e%2e/qdrant/x` with that key": get("/tools/%2e%2e/qdrant/x", 403, more="KEY"),
    "`/tools/..%2fqdrant/x` with that key": get("/tools/..%2fqdrant/x", 403, more="KEY"),
    # A path that somebody behind us could read otherwise
    **{
        f"`{path}` with that key": get(path, 400, more="KEY")
        for path in (
            "/tools/a/..;/x",
            "/tools/..;a=b/x",
            "/tools/%2e%2e%3b/x",
            "/tools/.;/x",
            "/tools/;/x",
            "/tools/a/..%5cx",
            "/tools/a\\..\\x",
            "/tools/a/..%2f/x",
            "/tools/a/%252e%252e/x",
            "/tools/a/..%25252fx",
            "/tools/a/%c0%ae%c0%ae/x",
            "/tools/a/..%e0%80%afx",
            "/tools/a/%ef%bc%8e%ef%bc%8e/x",
            "/tools/a/..%ef%bc%8fx",
            "/tools/a/..%20/x",
            "/tools/a/..%0d/x",
            "/tools/a#/../x",
            "/tools/a/%25%32%65%252e/x",
            "/tools/a/..%25%32%66x",
            "/tools/a/%25%2532%2565%25%2532%2565/x",
            "/tools/a/%25u002e%25u002e/x",
            "/tools/a/.../x",
            "/tools/a/..%20./x",
            "/tools/a/..%c2%a0/x",
            "/tools/a/..%e2%80%8b/x",
            "/tools/a/%ef%b8%b0/x",
        )
    },
    "`/a/../x` of a host": at_open("/a/../x"),
    "`/a/..;/x` of a host": at_open("/a/..;/x"),
    "`/a/%2e%2e/x` of a host": at_open("/a/%2e%2e/x"),
    "`/a%2f..%2fx` of a host": at_open("/a%2f..%2fx"),
    "`/wiki/a/..%2fx`, which a login decides about": get("/wiki/a/..%2fx", 400),
    "`/wiki/a//x`, which a login decides about": get("/wiki/a//x", 400),
    # Somebody else's name
    "`X-Authentik-Username: admin`, and each other name that is known": Attempt(
        "GET /x HTTP/1.1\n" + "\n".join(f"{name}: private" for name in NAMES),
        (200,),
        host="open.test",
        reached=OPEN,
    ),
    "`X_Authentik_Username: admin`": Attempt(
        "GET /x HTTP/1.1\nX_Authentik_Username: private", (200,), host="open.test", reached=OPEN
    ),
    "`X-Authentik-Tenant: admin`, likely names of every family and of `X-Corp-*`": (
        Attempt(
            "GET /x HTTP/1.1\n" + "\n".join(f"{name}: private" for name in LIKELY),
            (200,),
            host="open.test",
            reached=OPEN,
        )
    ),
    # What only nginx itself goes to
    "`/@refused`": get("/@refused", 404),
    "`/.infergate/auth/wiki`": get("/.infergate/auth/wiki", 404),
    # Two requests in one
    "Content-Length and Transfer-Encoding": post(
        "Content-Length: 6\nTransfer-Encoding: chunked", CHUNKED, 400
    ),
    "two Content-Length": post("Content-Length: 3\nContent-Length: 5", "abcde", 400),
    "`Content-Length: +5`": post("Content-Length: +5", "abcde", 400),
    "`Content-Length: 5, 5`": post("Content-Length: 5, 5", "abcde", 400),
    "two Transfer-Encoding": post(
        "Transfer-Encoding: chunked\nTransfer-Encoding: chunked", CHUNKED, 400
    ),
    "`Transfer-Encoding: xchunked`": post("Transfer-Encoding: xchunked", CHUNKED, 400, 501),
    "`Transfer-Encoding: gzip, chunked`": post("Transfer-Encoding: gzip, chunked", CHUNKED, 501),
    "`Transfer-Encoding : chunked`": post("Transfer-Encoding : chunked", CHUNKED, 400),
    "a chunk's size that is none": post("Transfer-Encoding: chunked", "zz\r\nab\r\n0\r\n\r\n", 400),
    "a folded header": get("/tools/x", 400, more="KEY\nX-A: b\n folded: c"),
    "an upgrade to h2c": Attempt(
        "GET /tools/x HTTP/1.1\nKEY\nConnection: Upgrade, HTTP2-Settings, close\nUpgrade: h2c\n"
        "HTTP2-Settings: AAMAAABkAAQAAP__",
        (200,),
        reached=TOOLS,
    ),
    "HTTP/2's preface on a plain port": Attempt(
        "PRI * HTTP/2.0", (400,), host="", body="SM\r\n\r\n"
    ),
    # Headers that put in a line
    "`/tools%0d%0aX-Put-In:%20x`": get("/tools%0d%0aX-Put-In:%20x", 404),
    "a header with a NUL": get("/tools/x", 400, more="KEY\nX-A: b\x00c"),
    "`X-Request-Id` with a quote": Attempt(
        'GET /tools/x HTTP/1.1\nKEY\nX-Request-Id: a"<b>', (200,), reached=TOOLS
    ),
    # Another host than the one that is let in
    "a Host of nobody": Attempt("GET /v1/models HTTP/1.1", (421,), host="evil.test"),
    "an empty Host": Attempt("GET /v1/models HTTP/1.1\nHost: ", (400, 421), host=""),
    "no Host": Attempt("GET /v1/models HTTP/1.1", (400,), host=""),
    "two Hosts": get("/", 400, more="Host: open.test"),
    "`Host: open.test@private.test`": Attempt(
        "GET /x HTTP/1.1", (400, 421), host="open.test@private.test"
    ),
    "`Host: open.test/../x`": Attempt("GET /x HTTP/1.1", (400, 421), host="open.test/../x"),
    "`GET http://private.test/` with `Host: open.test`": Attempt(
        "GET http://private.test/x HTTP/1.1", (401,), host="open.test"
    ),
    "`GET http://open.test/` with `Host: private.test`": Attempt(
        "GET http://open.test/x HTTP/1.1", (200,), host="private.test", reached=OPEN
    ),
    "`X-Forwarded-Host: private.test`": Attempt(
        "GET /x HTTP/1.1\nX-Forwarded-Host: private.test", (200,), host="open.test", reached=OPEN
    ),
    "`X-Original-URL: /admin`": Attempt(
        "GET /x HTTP/1.1\nX-Original-URL: /admin\nX-Rewrite-URL: /admin",
        (200,),
        host="open.test",
        reached=OPEN,
    ),
    # Somewhere else altogether
    "`GET http://169.254.169.254/`": Attempt(
        "GET http://169.254.169.254/latest/meta-data HTTP/1.1", (421,)
    ),
    "`CONNECT 127.0.0.1:22`": Attempt("CONNECT 127.0.0.1:22 HTTP/1.1", (400, 405)),
    "`TRACE /`": Attempt("TRACE / HTTP/1.1", (405,)),
    "`x-infergate-backend: _service_qdrant`": Attempt(
        "GET /tools/x HTTP/1.1\nKEY\nx-infergate-backend: _service_qdrant", (200,), reached=TOOLS
    ),
    "a model named `http://169.254.169.254/`": chat(MODEL, 404),
    # More than the key may have
    "a model that is named as the service that the key may use": chat(SERVICE % "", 404),
    "the same in a large body": chat(LONG_SERVICE, 404),
}

Stack = tuple[Gateway, dict[str, WebService], Scripted, str]


@pytest.fixture(scope="module")
def stack(engine: str) -> Iterator[Stack]:
    with (
        scripted(models=("good",)) as backend,
        web_service() as qdrant,
        web_service() as tools,
        web_service() as private,
        web_service() as open_,
        gateway(engine, "", start=False) as it,
    ):
        it.write(f"""
listen: {{ http: "127.0.0.1:{it.port}", hosts: [api.test] }}
access: {{ identity_headers: [X-Corp-User, X-Corp-*] }}
backends: {{ a: {{ url: {backend.url}, engine: vllm }} }}
models: {{ good: [a], tools: {{ backends: [a], upstream_name: good }} }}
services:
  qdrant: {{ url: {qdrant.url}, path: /qdrant/ }}
  tools: {{ url: {tools.url}, path: /tools/ }}
  private: {{ url: {private.url}, host: private.test }}
  open: {{ url: {open_.url}, host: open.test, auth: none }}
  rocket: {{ url: {open_.url}, host: rocket.test, auth: none, client_headers: [X-User-Id] }}
  wiki: {{ url: {open_.url}, path: /wiki/, auth: forward, forward: {{ url: {open_.url} }} }}
""")
        it.up()
        webs = {"qdrant": qdrant, "tools": tools, "private": private, "open": open_}
        yield it, webs, backend, it.new_key("tools", "--services", "tools", "--models", "good")


@pytest.mark.parametrize("name", ATTEMPTS)
def test_an_attempt_to_get_by_is_refused_or_comes_to_nothing(stack: Stack, name: str) -> None:
    it, webs, backend, key = stack
    attempt = ATTEMPTS[name]
    before = {web: len(each.seen) for web, each in webs.items()}
    asked = len(backend.requests())
    answer = raw(it.port, attempt.request(key))
    assert status_of(answer) in attempt.statuses, answer
    head = answer.partition(b"\r\n\r\n")[0].lower()
    assert answer.count(b"HTTP/1.") == 1, "one request, one answer"
    assert b"x-put-in" not in head
    assert b"<b>" not in head
    # The probes of the control plane go to "/" and are none of this.
    new = {
        web: [e for e in each.seen[before[web] :] if e["path"] != "/"] for web, each in webs.items()
    }
    assert {web for web, entries in new.items() if entries} == attempt.reached
    assert len(backend.requests()) == asked
    for web, entries in new.items():
        for entry in entries:
            headers = entry["headers"]
            assert entry["path"] == "/x"
            assert headers["host"] in ("open.test", f"127.0.0.1:{webs[web].port}")
            assert "private" not in str(headers)
            assert not {"upgrade", "x-original-url", "x-infergate-backend"} & set(headers)


def test_a_service_that_checks_it_itself_gets_who_its_client_says_it_is(stack: Stack) -> None:
    it, webs = stack[:2]
    said = "GET /x HTTP/1.1\nX-User-Id: alice\nX-Auth-Token: t\nX-User-Email: a@b\nX-Userid: c"
    assert status_of(raw(it.port, Attempt(said, (), host="rocket.test").request(""))) == 200
    seen = webs["open"].last()["headers"]
    assert (seen["x-user-id"], seen["x-auth-token"]) == ("alice", "t")
    assert not {"x-user-email", "x-userid"} & set(seen)


def test_the_documentation_has_every_attempt() -> None:
    text = DOCS.read_text()
    assert [name for name in ATTEMPTS if f"| {name} |" not in text] == []
