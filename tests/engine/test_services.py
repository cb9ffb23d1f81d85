"""Services next to the models: by path and by host, and each way of logging in."""

from __future__ import annotations

import base64
import ssl
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.backends.private_ca import PrivateCa
from tests.backends.servers import Scripted, scripted
from tests.backends.web_service import WebService, web_service
from tests.gateway import Gateway, gateway, until
from tests.wire import raw, status_of, websocket_says

# "right", "richtig" and "recht", by bcrypt (cost 4), by SHA-512 (1,000 rounds) and by Apache's MD5.
BCRYPT = "$2b$04$d.rSttck28sxDt107iFtZeLx8PA2/BPODj1FOr1O0hX4XVEyFrlNW"
APR1 = "$apr1$abcdefgh$VgB9J0FZ1aU.IWNYjU1XD/"
BCRYPT_72 = "$2b$04$QaFRLdAe00h0HZs/wh3ktOVVINk0x8yrCuVKkvsZWkamSHykbbuW6"
"""Of 72 times x."""
SHA512 = (
    "$6$rounds=1000$kmK1UY/v2GAYx1BY$ek9YO0MTAQiDU/cn0B/"
    "zDV0MJcHALz4GY9CRKPm.FKXfF5dU8hWLY7reX/.l0PSH9TAofOd9jho//60U3yrwt0"
)


PLAIN = ssl.create_default_context()
"""httpx reads the machine's certificates for each request without one."""


@dataclass
class Stack:
    it: Gateway
    web: WebService
    tls: WebService

    def get(self, host: str, path: str = "/x", **options: object) -> httpx.Response:
        headers = {"Host": host, **options.pop("headers", {})}  # type: ignore[dict-item]
        url = self.it.url + path
        return httpx.get(url, headers=headers, timeout=20, verify=PLAIN, **options)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def stack(engine: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("tls")
    ca = PrivateCa(folder)
    pair = ca.issue("localhost")
    users_file = folder / "htpasswd"
    users_file.write_text(f"# people\nbob:{SHA512}\ndora:{APR1}\n")
    with (
        scripted() as backend,
        web_service() as web,
        web_service(pair.certificate, pair.key) as tls,
        gateway(engine, _config(backend, web, tls, ca.certificate, users_file)) as it,
    ):
        yield Stack(it, web, tls)


def _config(
    backend: Scripted, web: WebService, tls: WebService, ca_file: Path, users_file: Path
) -> str:
    return f"""
backends: {{ a: {backend.url} }}
health: {{ interval: 300ms, timeout: 300ms, rise: 1, fall: 2 }}
limits: {{ max_body: 1MB }}
services:
  qdrant: {{ url: {web.url}, path: /qdrant/, api_key: sesame, max_body: 0 }}
  chroma: {{ url: {web.url}/base, path: /chroma/, api_key: sesame, api_key_header: authorization }}
  n8n: {{ url: {web.url}, host: n8n.test, auth: none, max_body: 64MB }}
  grafana:
    url: {web.url}
    host: grafana.test
    auth: basic
    users: {{ alice: "{BCRYPT}", carol: "{BCRYPT}", longer: "{BCRYPT_72}" }}
    users_file: {users_file}
  wiki:
    url: {web.url}
    host: wiki.test
    auth: forward
    forward:
      url: {web.url}/login/check
      login: https://login.test/?rd=
      path: /login/
      headers: [Remote-User]
  tools:
    url: {web.url}
    path: /tools/
    auth: forward
    forward: {{ url: "{web.url}/login/check" }}
  trusted:
    {{ url: "https://localhost:{tls.port}", host: trusted.test, auth: none, ca_file: {ca_file} }}
  unverified: {{ url: {tls.url}, host: unverified.test, auth: none, verify_tls: false }}
  untrusted: {{ url: "https://localhost:{tls.port}", host: untrusted.test, auth: none }}
  blind:
    {{ url: {web.url}, path: /blind/, auth: forward, forward: {{ url: "http://127.0.0.1:1" }} }}
  gone: {{ url: "http://127.0.0.1:1", host: gone.test, auth: none }}
"""


def test_below_a_path_the_service_gets_its_own_key_and_never_the_caller_s(stack: Stack) -> None:
    it = stack.it
    assert httpx.get(it.url + "/qdrant/collections").status_code == 401
    for headers in (it.headers(), {"api-key": it.key}, {"x-api-key": it.key}):
        got = httpx.get(it.url + "/qdrant/collections?a=b", headers=headers).json()
        assert got["path"] == "/collections?a=b"
        assert got["headers"]["api-key"] == "sesame"
        assert got["headers"]["host"] == f"127.0.0.1:{stack.web.port}"
        assert it.key not in str(got)
    got = it.get("/chroma/api/v2").json()
    assert got["path"] == "/base/api/v2"
    assert got["headers"]["authorization"] == "Bearer sesame"
    assert httpx.get(it.url + "/qdrant").headers["location"] == "/qdrant/"


def test_redirects_and_cookies_of_a_service_below_a_path_stay_there(stack: Stack) -> None:
    assert stack.it.get("/qdrant/redirect").headers["location"] == "/qdrant/app/"
    answer = stack.it.get("/qdrant/cookie")
    assert answer.headers["location"] == "/qdrant/app/"
    assert answer.headers["set-cookie"] == "a=b; Path=/qdrant/"


def test_a_key_may_be_for_some_services_only_and_its_rate_holds_there(stack: Stack) -> None:
    it = stack.it
    key = it.new_key("qdrant", "--services", "qdrant", "--rpm", "3")
    answers = [it.get("/qdrant/x", key=key) for _ in range(5)]
    assert [each.status_code for each in answers] == [200, 200, 200, 429, 429]
    assert answers[-1].json()["error"]["type"] == "rate_limit_error"
    assert int(answers[-1].headers["retry-after"]) > 0
    refused = it.get("/chroma/x", key=key)
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "service_not_allowed")
    assert "chroma" in refused.json()["error"]["message"]
    line = until(lambda: [each for each in it.log() if each["error"] == "service_not_allowed"])[0]
    assert line["uri"] == "/chroma/x"


def test_a_service_with_its_own_login_gets_everything_but_what_is_not_the_client_s_to_say(
    stack: Stack,
) -> None:
    said = {
        "Authorization": "Bearer its-own",
        "Cookie": "s=1",
        "Remote-User": "admin",
        "X-Forwarded-User": "admin",
        "X-Forwarded-For": "10.9.8.7",
        "X-Forwarded-Proto": "https",
        "X-Real-IP": "10.9.8.7",
        "X-Original-URL": "/admin",
        "Forwarded": "for=10.9.8.7",
        "Proxy-Authorization": "Basic x",
        "Proxy": "evil",
        "Connection": "close, X-Own",
        "X-Own": "kept",
    }
    got = stack.get("n8n.test", headers=said).json()["headers"]
    assert (got["authorization"], got["cookie"], got["x-own"]) == ("Bearer its-own", "s=1", "kept")
    assert (got["host"], got["x-forwarded-host"]) == ("n8n.test", "n8n.test")
    assert (got["x-forwarded-for"], got["x-real-ip"]) == ("127.0.0.1", "127.0.0.1")
    assert got["x-forwarded-proto"] == "http"
    gone = {"remote-user", "x-forwarded-user", "x-original-url", "forwarded", "proxy"}
    assert not (gone | {"proxy-authorization", "connection"}) & set(got)


def test_what_a_service_says_to_nginx_or_of_itself_does_not_get_out(stack: Stack) -> None:
    answer = stack.get("n8n.test", "/headers")
    assert (answer.status_code, answer.content, answer.headers["x-own"]) == (200, b"", "kept")
    hidden = {"x-accel-redirect", "x-powered-by", "trailer", "via", "proxy-authenticate"}
    assert not hidden & set(answer.headers)
    assert answer.headers["server"] == "nginx"


def test_websockets_long_polls_and_large_uploads_pass(stack: Stack) -> None:
    port = stack.it.port
    assert websocket_says(port, "/ws", "n8n.test", "hello") == "hello"
    key = f"Authorization: Bearer {stack.it.key}\r\n"
    assert websocket_says(port, "/qdrant/ws", "x", "hello", key) == "hello"
    assert websocket_says(port, "/qdrant/ws", "x", "hello") == "401"
    assert stack.get("n8n.test", "/wait?s=1.5").status_code == 200
    large = b"x" * 40_000_000
    sent = httpx.post(stack.it.url + "/u", content=large, headers={"Host": "n8n.test"}, timeout=60)
    assert sent.json()["bytes"] == len(large)
    chunked = httpx.put(
        stack.it.url + "/qdrant/u", content=iter([large]), headers=stack.it.headers(), timeout=60
    )
    assert chunked.json()["bytes"] == len(large)
    too_large = stack.it.post("/chroma/x", b"x" * 1_100_000)
    assert (too_large.status_code, too_large.json()["error"]["type"]) == (
        413,
        "invalid_request_error",
    )


def test_nothing_but_a_websocket_takes_a_connection_over(stack: Stack) -> None:
    answer = raw(
        stack.it.port,
        "GET /x HTTP/1.1\r\nHost: n8n.test\r\nConnection: Upgrade, HTTP2-Settings, close\r\n"
        "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n",
    )
    assert status_of(answer) == 200
    assert "upgrade" not in stack.web.last()["headers"]


def test_a_certificate_of_an_https_service_is_checked_unless_it_is_said_not_to(
    stack: Stack,
) -> None:
    found = [stack.get(f"{name}.test") for name in ("trusted", "unverified", "untrusted")]
    assert [each.status_code for each in found] == [200, 200, 502]


def test_basic_login_by_each_kind_of_hash_and_the_password_is_for_us(stack: Stack) -> None:
    answer = stack.get("grafana.test")
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == 'Basic realm="grafana"'
    for user, password in (
        ("alice", "right"),
        ("bob", "richtig"),
        ("dora", "recht"),
        ("longer", "x" * 72),
    ):
        for _ in range(6):  # the second time it is known, and costs nothing
            got = stack.get("grafana.test", auth=(user, password)).json()["headers"]
            assert got["x-forwarded-user"] == user
            assert "authorization" not in got
    for user, password in (("alice", "wrong"), ("alice", "richtig"), ("eve", "right")):
        assert stack.get("grafana.test", auth=(user, password)).status_code == 401
    sent = stack.get("grafana.test").json()["error"]["code"], answer.json()["error"]["code"]
    assert sent == ("missing_password", "missing_password")
    folder = stack.it.home / "state" / "passwords"
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}


@pytest.mark.parametrize(
    "sent",
    [
        base64.b64encode(b"alice:right\0").decode(),
        base64.b64encode(b"alice:right\0 and more").decode(),
        base64.b64encode(b"alice\0:right").decode(),
        base64.b64encode(b"alice:right\n").decode(),
        base64.b64encode(b"alice:right").decode() + "=====",
        base64.b64encode(b"alice:rightt").decode() + "=garbage",
        base64.b64encode(b"alice:right").decode() + " garbage",
        base64.b64encode(b"longer:" + b"x" * 72 + b"y").decode(),  # bcrypt looks at 72 bytes
    ],
)
def test_nothing_that_comes_after_a_password_is_ignored(stack: Stack, sent: str) -> None:
    answer = stack.get("grafana.test", headers={"Authorization": f"Basic {sent}"})
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == 'Basic realm="grafana"'


def test_who_guesses_for_one_name_does_not_lock_out_another(stack: Stack) -> None:
    for number in range(12):
        stack.get("grafana.test", auth=("eve", f"guess {number}"))
    assert stack.get("grafana.test", auth=("eve", "guess")).status_code == 429
    assert stack.get("grafana.test", auth=("carol", "right")).status_code == 200


def test_passwords_cannot_be_tried_quickly(stack: Stack) -> None:
    def attempt(number: int) -> int:
        return stack.get("grafana.test", auth=("alice", f"guess {number}")).status_code

    with ThreadPoolExecutor(10) as pool:
        statuses = set(pool.map(attempt, range(30)))
    assert statuses == {401, 429}


def test_forward_login_asks_for_each_request_and_tells_the_service_who_it_is(
    stack: Stack,
) -> None:
    page = {"Accept": "text/html,*/*"}
    sent = stack.get("wiki.test", "/a?b=c&d=e", headers=page)
    assert sent.status_code == 302
    assert sent.headers["location"] == (
        "https://login.test/?rd=http%3A%2F%2Fwiki.test%2Fa%3Fb%3Dc%26d%3De"
    )
    program = stack.get("wiki.test", "/a")
    assert (program.status_code, program.json()["error"]["code"]) == (401, "not_logged_in")
    mallory = stack.get("wiki.test", headers={"Cookie": "session=mallory"})
    assert (mallory.status_code, mallory.json()["error"]["code"]) == (403, "forbidden_by_login")
    inside = stack.get("wiki.test", headers={"Cookie": "session=alice", "Remote-User": "root"})
    assert inside.json()["headers"]["remote-user"] == "alice"
    assert inside.headers["set-cookie"] == "session=alice"
    asked = next(each for each in reversed(stack.web.seen) if each["path"] == "/login/check")
    assert asked["headers"]["x-original-url"] == "http://wiki.test/x"
    # The login's own pages need no login; the question itself cannot be asked from outside.
    assert stack.get("wiki.test", "/login/page").json()["path"] == "/login/page"
    assert stack.get("wiki.test", "/.infergate/auth/wiki").status_code == 404
    assert stack.it.get("/tools/x").status_code == 401
    blind = stack.it.get("/blind/x")  # nobody to ask: nobody comes in
    assert (blind.status_code, blind.json()["error"]["code"]) == (500, "login_unavailable")
    assert "a login" in blind.json()["error"]["message"]
    cookie = {"Cookie": "session=bob"}
    assert httpx.get(stack.it.url + "/tools/x", headers=cookie).json()["path"] == "/x"


@pytest.mark.parametrize(
    "path",
    [
        "/x",
        "/a%20b",
        "/a%2fb",
        "/%61dmin",
        "/a;b=c/d",
        "/a%3fb%23c%25d",
        "/%c3%a4",
        "/\u00c3\u00a4",
        "/a%7Eb|<c>%22%7b",
        "/x?y=/../z%2f",
        "/.well-known/x",
    ],
)
@pytest.mark.parametrize(("host", "below"), [("wiki.test", ""), ("x", "/tools")])
def test_the_login_is_asked_about_the_path_that_the_service_gets(
    stack: Stack, host: str, below: str, path: str
) -> None:
    stack.web.seen.clear()
    lines = f"GET {below}{path} HTTP/1.1\r\nHost: {host}\r\nCookie: session=alice\r\n"
    assert status_of(raw(stack.it.port, f"{lines}Connection: close\r\n\r\n")) == 200
    seen = [each for each in stack.web.seen if "session=alice" in each["headers"].get("cookie", "")]
    asked, got = (each for each in seen)
    assert asked["headers"]["x-original-uri"] == asked["headers"]["x-forwarded-uri"]
    assert asked["headers"]["x-original-url"] == f"http://{host}{below}{got['path']}"
    assert asked["headers"]["x-original-uri"] == below + got["path"]


@pytest.mark.parametrize("path", ["/public/..%2fadmin", "/public%2f../admin", "/public//admin"])
def test_a_path_that_a_login_could_read_otherwise_is_not_asked_about(
    stack: Stack, path: str
) -> None:
    stack.web.seen.clear()
    for host, below in (("wiki.test", ""), ("x", "/tools")):
        lines = f"GET {below}{path} HTTP/1.1\r\nHost: {host}\r\nCookie: session=alice\r\n"
        answer = raw(stack.it.port, f"{lines}Connection: close\r\n\r\n")
        assert status_of(answer) == 400
        assert b'"ambiguous_path"' in answer
    assert not [each for each in stack.web.seen if "cookie" in each["headers"]]


def test_the_status_shows_the_services_too(stack: Stack) -> None:
    def states() -> dict[str, str]:
        return {each["name"]: each["state"] for each in stack.it.status()["services"]}

    until(lambda: states().get("gone") == "down" and states().get("n8n") == "up")
    until(lambda: (states()["trusted"], states()["untrusted"]) == ("up", "down"))

    # A login that is dead is not the service's fault, and told all the same.
    def logins() -> dict[str, str]:
        found = stack.it.status()["services"]
        return {each["name"]: each["login"]["state"] for each in found if each["login"]}

    until(lambda: logins() == {"wiki": "up", "tools": "up", "blind": "down"})
    until(lambda: states()["blind"] == "up")
    shown = stack.it.run("status").stdout
    assert "blind: login" in shown
    assert "SERVICE" in shown
    assert "connection refused" in shown
    assert max(len(line) for line in shown.splitlines()) <= 80


def test_the_log_names_the_service_of_a_request(stack: Stack) -> None:
    stack.get("n8n.test", f"/named-{time.monotonic_ns()}")
    path = stack.web.last()["path"]
    line = until(lambda: [each for each in stack.it.log() if each["uri"] == path])[0]
    assert line["service"] == "n8n"
