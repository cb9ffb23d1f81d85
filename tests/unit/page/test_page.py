"""Who gets into the page, and what it does in whose name."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path

import httpx
import pytest

from infergate.store.admin_tokens import create_token, revoke_token
from tests.admin_api import CONFIG, Served, served

COOKIE = "infergate-page"


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("page")) as it:
        yield it


@contextmanager
def browser(api: Served, address: str = "127.0.0.1") -> Iterator[httpx.Client]:
    """A visitor who comes from this address."""
    transport = httpx.HTTPTransport(local_address=address)
    with httpx.Client(base_url=api.url, transport=transport, timeout=60) as client:
        yield client


def log_in(client: httpx.Client, token: str) -> str:
    """The word that changes need."""
    answer = client.post("/page/session", json={"token": token})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["csrf"])


def test_a_visitor_gets_a_cookie_that_no_script_and_no_other_site_has(api: Served) -> None:
    with browser(api) as client:
        answer = client.post("/page/session", json={"token": api.full})
    (cookie,) = answer.headers.get_list("set-cookie")
    said = {part.strip().lower().partition("=")[0] for part in cookie.split(";")}
    assert {"httponly", "max-age", "path"} <= said
    assert "samesite=strict" in cookie.lower()
    assert api.full not in cookie
    assert api.full not in answer.text
    assert answer.json()["role"] == "full"


def test_over_tls_the_cookie_is_secure_and_of_this_host_alone(api: Served) -> None:
    from starlette.testclient import TestClient

    from infergate.admin.app import api as operations
    from infergate.admin.guard import AdminGuard
    from infergate.page.app import Page

    def gateway() -> object:
        return api.gateway

    app = Page(
        AdminGuard(operations(gateway), gateway), gateway_url=lambda: ("", ""), enabled=lambda: True
    )
    client = TestClient(app, base_url="https://localhost")
    answer = client.post("/page/session", json={"token": api.full})
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("__Host-infergate=")
    assert "; secure" in cookie.lower()
    assert "; path=/;" in cookie.lower()
    assert "domain" not in cookie.lower()
    assert client.get("/page/v1/teams").status_code == 200


def test_a_visitor_asks_the_admin_api(api: Served) -> None:
    with browser(api) as client:
        assert client.get("/page/v1/keys").status_code == 401
        log_in(client, api.full)
        assert client.get("/page/v1/keys", params={"limit": 5}).json()["items"] == []
        assert client.get("/page/v1/tokens:me").json()["name"] == "token full"


def test_the_cookie_lets_nobody_into_the_admin_api_itself(api: Served) -> None:
    with browser(api) as client:
        log_in(client, api.full)
        assert client.get("/v1/keys").status_code == 401


def test_a_wrong_token_opens_nothing_and_is_slowed_down(tmp_path: Path) -> None:
    with served(tmp_path, wrong_tokens=3) as api, browser(api) as client:
        said = [
            client.post("/page/session", json={"token": f"wrong{number}"}).status_code
            for number in range(5)
        ]
        assert said == [401, 401, 401, 429, 429]
        assert not client.cookies
        log_in(client, api.full)  # a guesser locks nobody out


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b'{"token": 1}',
        b'{"token": ""}',
        '{"token": "ü"}'.encode(),
        b"[" * 4000,
    ],
)
def test_what_is_no_token_is_told_so(api: Served, body: bytes) -> None:
    with browser(api) as client:
        headers = {"Content-Type": "application/json"}
        assert client.post("/page/session", content=body, headers=headers).status_code == 422


def test_a_stolen_cookie_is_worth_nothing_elsewhere_and_ends(api: Served) -> None:
    with browser(api) as client, browser(api, "127.0.0.2") as thief:
        log_in(client, api.full)
        stolen = client.cookies[COOKIE]
        cookies = {"Cookie": f"{COOKIE}={stolen}"}
        assert thief.get("/page/v1/keys", headers=cookies).status_code == 401
        assert thief.get("/page/session", headers=cookies).json() == {}
        assert client.get("/page/v1/keys").status_code == 401  # somebody has it: it is over


def test_a_change_needs_the_word_that_only_the_page_was_told(api: Served) -> None:
    with browser(api) as client:
        word = log_in(client, api.full)
        body = {"name": "team-a"}
        for headers in ({}, {"X-Infergate-CSRF": ""}, {"X-Infergate-CSRF": word + "x"}):
            assert client.post("/page/v1/teams", json=body, headers=headers).status_code == 403
            assert client.delete("/page/session", headers=headers).status_code == 403
        right = {"X-Infergate-CSRF": word}
        assert client.post("/page/v1/teams", json=body, headers=right).status_code == 200
        assert client.delete("/page/v1/teams/team-a", headers=right).status_code == 200


@pytest.mark.parametrize(
    "foreign",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Host": "evil.example"},
    ],
)
def test_another_sites_page_uses_nothing_of_it(api: Served, foreign: dict[str, str]) -> None:
    with browser(api) as client:
        login = client.post("/page/session", json={"token": api.full}, headers=foreign)
        assert login.status_code == 403
        word = log_in(client, api.full)
        assert client.get("/page/v1/keys", headers=foreign).status_code == 403
        changing = {**foreign, "X-Infergate-CSRF": word}
        made = client.post("/page/v1/teams", json={"name": "t"}, headers=changing)
        assert made.status_code == 403
        tried = client.post("/page/trial", json={}, headers=changing)
        assert tried.status_code == 403


def test_a_form_of_another_site_logs_nobody_in(api: Served) -> None:
    """Else a visitor would work in somebody else's name, unseen."""
    with browser(api) as client:
        answer = client.post("/page/session", data={"token": api.full})
        assert answer.status_code == 415
        assert not client.cookies


def test_who_may_only_look_changes_nothing(api: Served) -> None:
    with browser(api) as client:
        right = {"X-Infergate-CSRF": log_in(client, api.read)}
        assert client.get("/page/v1/keys").status_code == 200
        assert client.post("/page/v1/keys", json={"name": "a"}, headers=right).status_code == 403
        read = client.post("/page/v1/configuration:read", headers=right)
        assert read.status_code == 403  # there may be secrets in it


def test_a_revoked_token_ends_its_sessions(api: Served) -> None:
    secret, _ = create_token(api.gateway.database, "for-a-while", "full")
    with browser(api) as client:
        log_in(client, secret)
        assert client.get("/page/v1/keys").status_code == 200
        revoke_token(api.gateway.database, "for-a-while")
        assert client.get("/page/v1/keys").status_code == 401
        assert client.get("/page/session").json() == {}


def test_who_logs_out_is_out(api: Served) -> None:
    with browser(api) as client:
        word = log_in(client, api.full)
        cookie = client.cookies[COOKIE]
        assert client.delete("/page/session", headers={"X-Infergate-CSRF": word}).is_success
        again = client.get("/page/v1/keys", headers={"Cookie": f"{COOKIE}={cookie}"})
        assert again.status_code == 401


@pytest.mark.parametrize(
    "cookie", ["infergate-page", 'infergate-page="', "=;=", "a=b; " * 200 + "c", "ü"]
)
def test_a_cookie_that_is_none_is_nobody(api: Served, cookie: str) -> None:
    with browser(api) as client:
        answer = client.get("/page/v1/keys", headers={"Cookie": cookie.encode()})
        assert answer.status_code == 401


@pytest.mark.parametrize("other", ['a={"x": 1}', "odd[]=1", "=", 'q="open', "naïve=é", "a=1; a"])
def test_a_cookie_of_another_program_of_that_machine_locks_nobody_out(
    api: Served, other: str
) -> None:
    """A browser sends cookies to every port of a host."""
    with browser(api) as client:
        log_in(client, api.full)
        ours = f"{COOKIE}={client.cookies[COOKIE]}"
        client.cookies.clear()
        for cookies in (f"{other}; {ours}", f"{ours}; {other}"):
            headers = {"Cookie": cookies.encode()}
            assert client.get("/page/v1/keys", headers=headers).status_code == 200


def test_the_page_loads_nothing_from_elsewhere_and_runs_nothing_of_others(api: Served) -> None:
    with browser(api) as client:
        page = client.get("/page/overview")
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        found = re.findall(r'(?:src|href)="([^"]+)"', page.text)
        assert found
        for each in found:
            answer = client.get(each)
            assert answer.status_code == 200, each
    for each in (Path(str(files("infergate.page"))) / "assets").rglob("*.*"):
        text = each.read_text()
        for address in re.findall(r"https?://[^\s'\"<>)}]+", text):
            assert "w3.org" in address or "10.0.0." in address, (each.name, address)
        assert "innerHTML" not in text, each.name


@pytest.mark.parametrize(
    "path",
    [
        "/page/assets/../app.py",
        "/page/assets/%2e%2e/app.py",
        "/page/assets//etc/passwd",
        "/page/assets/",
    ],
)
def test_no_other_file_is_given_out(api: Served, path: str) -> None:
    with browser(api) as client:
        answer = client.get(path)
        assert answer.status_code == 404 or "<!doctype html>" in answer.text
        assert "def " not in answer.text
        assert "root:" not in answer.text


def test_without_the_page_there_is_none_of_it(tmp_path: Path) -> None:
    with served(tmp_path, CONFIG + "admin: { page: false }\n") as api, browser(api) as client:
        for path in ("/", "/page/overview", "/page/session", "/page/v1/keys"):
            assert client.get(path).status_code == 401, path


@pytest.mark.parametrize(
    "body",
    [
        b'{"path": "/v1/models", "key": "k", "body": NaN}',
        b'{"path": ["/v1/models"], "key": "k"}',
        b'{"path": "/v1/models", "key": "k\\r\\nx: y"}',
        b'{"path": "/v1/models?x", "key": "k"}',
        b"[" * 100_000,
    ],
)
def test_what_cannot_be_tried_is_told_so(api: Served, body: bytes) -> None:
    with browser(api) as client:
        word = {"X-Infergate-CSRF": log_in(client, api.full)}
        assert client.post("/page/trial", content=body, headers=word).status_code == 422


def test_the_playground_asks_only_the_gateway_and_only_for_models(api: Served) -> None:
    with browser(api) as client:
        assert client.post("/page/trial", json={}).status_code == 401
        right = {"X-Infergate-CSRF": log_in(client, api.read)}
        for wanted in (
            {},
            [],
            {"path": "/v1/embeddings/../../state", "key": "k"},
            {"path": "//elsewhere/", "key": "k"},
            {"path": "/v1/models", "key": "k\r\nHost: elsewhere"},
            {"path": "/v1/models", "key": 1},
        ):
            answer = client.post("/page/trial", json=wanted, headers=right)
            assert answer.status_code == 422, wanted


@pytest.mark.parametrize(
    ("admin", "url"),
    [
        ("{}", None),
        ("{ listen: 127.0.0.1:9090 }", "http://127.0.0.1:9090/"),
        ("{ listen: 127.0.0.1:9090, page: false }", None),
        ("{ listen: 9090 }", "https://127.0.0.1:9090/"),
        ("{ listen: 0.0.0.0:9090 }", "https://127.0.0.1:9090/"),
        ("{ listen: 10.0.0.5:9090 }", "https://10.0.0.5:9090/"),
    ],
)
def test_where_the_page_is_is_told(tmp_path: Path, admin: str, url: str | None) -> None:
    from infergate.config.load import parse_config
    from infergate.config.url import page_url_of

    tls = "listen: { https: 8443 }\ntls: { self_signed: true }\n"
    text = f"backends: {{ a: http://127.0.0.1:9 }}\n{tls}admin: {admin}\n"
    assert page_url_of(parse_config(text, tmp_path / "infergate.yaml", {}).config) == url


def test_a_key_that_is_tried_goes_to_the_gateway_itself_whatever_dns_says(tmp_path: Path) -> None:
    """Its name in listen.hosts may lead anywhere; its own address does not."""
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    heard: list[bytes] = []

    def answer() -> None:
        connection, _ = listener.accept()
        heard.append(connection.recv(65536))
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        connection.close()

    thread = threading.Thread(target=answer)
    thread.start()
    config = CONFIG.replace("http: 8080", f"http: 127.0.0.1:{port}")
    with served(tmp_path, config) as api, browser(api) as client, listener:
        right = {"X-Infergate-CSRF": log_in(client, api.read)}
        wanted = {"path": "/v1/models", "key": "sk-ig-x"}
        assert client.post("/page/trial", json=wanted, headers=right).json() == {}
        thread.join(60)
    head = heard[0].decode().lower()
    assert "host: api.lan\r\n" in head
    assert "authorization: bearer sk-ig-x\r\n" in head
    assert "cookie" not in head


def test_every_command_that_the_page_shows_is_one() -> None:
    from typer.main import get_command

    from infergate.cli import app

    commands = get_command(app).commands  # type: ignore[attr-defined]
    shown = 0
    for each in (Path(str(files("infergate.page"))) / "assets").rglob("*.js"):
        for said in re.findall(
            r"infergate ([a-z]+)((?: [a-z]+)?)((?: --[a-z]+)*)", each.read_text()
        ):
            command = commands.get(said[0])
            assert command is not None, (each.name, said)
            if hasattr(command, "commands") and said[1]:
                for name in filter(None, said[1].split()):
                    command = command.commands.get(name)
                    assert command is not None, (each.name, said)
            shown += 1
    assert shown > 15
