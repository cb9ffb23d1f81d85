"""Callers as they are: keys in the wrong header, pages of other sites, browsers, proxies."""

from __future__ import annotations

import base64
import json
import ssl
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from tests.backends.servers import Scripted, scripted
from tests.backends.web_service import WebService, web_service
from tests.gateway import Gateway, gateway, until

LAN, PROXY = "127.0.0.7", "127.0.0.2"
PAGE, APP, FOREIGN = "https://chat.example.com", "https://x.apps.example.com", "https://evil.test"
PLAIN = ssl.create_default_context()
"""httpx reads the machine's certificates for each client without one."""

CONFIG = """
backends:
  v: {{ url: {v}, engine: vllm }}
  o: {{ url: {o}, engine: ollama }}
models: {{ m: [v], "l:latest": [o] }}
access:
  trusted_proxies: [{PROXY}]
  methods: [GET, HEAD, POST, DELETE]
  deny: [127.0.0.66]
  deny_user_agents: [sqlmap]
health: {{ interval: 300ms }}
auth:
  key_in_query: true
  anonymous: {{ networks: [{LAN}], max_prompt_bytes: 9000 }}
cors: {{ origins: [{PAGE}, "https://*.apps.example.com"], expose: [x-mine] }}
services:
  keyed: {{ url: {web}, path: /keyed/ }}
  open:
    url: {web}
    path: /open/
    auth: none
    cors: {{ origins: ["*"], headers: [x-a], max_age: 9s }}
  mcp: {{ url: "{web}/mcp", path: /mcp/ }}
  root: {{ url: "{web}/base", path: /, auth: none }}
  site:
    url: {web}
    host: site.test
    cors: {{ origins: [{PAGE}], credentials: true, methods: [PUT] }}
"""


@dataclass
class Stack:
    it: Gateway
    web: WebService
    vllm: Scripted
    ollama: Scripted

    def ask(
        self,
        path: str,
        *,
        method: str = "GET",
        source: str = "127.0.0.1",
        body: str = "",
        **more: str,
    ) -> httpx.Response:
        headers = {name.replace("_", "-"): value for name, value in more.items()}
        with httpx.Client(transport=httpx.HTTPTransport(PLAIN, local_address=source)) as client:
            return client.request(
                method, self.it.url + path, content=body, headers=headers, timeout=20
            )

    def chat(
        self, path: str = "/v1/chat/completions", size: int = 2, **more: str
    ) -> httpx.Response:
        body = '{"model":"m","messages":[{"role":"user","content":"' + "x" * size + '"}]}'
        return self.ask(path, method="POST", body=body, **more)

    def preflight(self, path: str, origin: str = PAGE, **more: str) -> httpx.Response:
        asked = {"Access_Control_Request_Method": "POST", "Origin": origin}
        wanted = {"Access_Control_Request_Headers": "authorization,x-stainless-os"}
        return self.ask(path, method="OPTIONS", **{**asked, **wanted, **more})


@pytest.fixture(scope="module")
def stack(engine: str) -> Iterator[Stack]:
    with ExitStack() as stack:
        v = stack.enter_context(scripted("vllm", name="v"))
        o = stack.enter_context(scripted("ollama", name="o", models=["l:latest"]))
        web = stack.enter_context(web_service())
        values = {"LAN": LAN, "PROXY": PROXY, "PAGE": PAGE}
        config = CONFIG.format(v=v.url, o=o.url, web=web.url, **values)
        yield Stack(stack.enter_context(gateway(engine, config)), web, v, o)


def basic(name: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


def places(key: str) -> dict[str, dict[str, str]]:
    return {
        "Anthropic's header behind a dummy": {"Authorization": "Bearer dummy", "x_api_key": key},
        "behind an empty one": {"Authorization": "", "x_api_key": key},
        "behind an empty bearer": {"Authorization": "Bearer", "x_api_key": key},
        "behind another scheme": {"Authorization": "Negotiate abc", "api_key": key},
        "behind a name and password": {"Authorization": basic("me", "x"), "x_api_key": key},
        "behind another dummy": {"x_api_key": "none", "api_key": key},
        "in the bearer behind dummies": {"Authorization": f"bearer  {key}", "x_api_key": "none"},
        "a password": {"Authorization": basic("anybody", key)},
        "a password with no name": {"Authorization": basic("", key)},
        "Gemini's header": {"x_goog_api_key": key},
        "Gemini's behind a dummy": {"Authorization": "Bearer x", "x_goog_api_key": key},
    }


@pytest.mark.parametrize("place", places(""))
def test_a_right_key_counts_wherever_a_client_puts_it_and_goes_no_further(
    stack: Stack, place: str
) -> None:
    key = stack.it.key
    headers = places(key)[place]
    stack.vllm.reset()
    for size in (2, 9000, 200_000):
        answer = stack.chat(size=size, **headers)
        assert answer.status_code == 200, answer.text
    assert stack.ask("/v1/models", **headers).status_code == 200
    got = stack.ask("/keyed/x", **headers)
    assert got.status_code == 200
    seen = [each["headers"] for each in stack.vllm.requests()]
    names = {"authorization", "x-api-key", "api-key", "x-goog-api-key"}
    assert len(seen) == 3
    assert not any(names & set(each) for each in (*seen, got.json()["headers"]))
    wrong = places(key + "x")[place]
    for answer in (stack.chat(**wrong), stack.ask("/keyed/x", **wrong)):
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_api_key")


def test_a_key_in_the_address_counts_where_that_is_switched_on(stack: Stack) -> None:
    key = stack.it.key
    stack.vllm.reset()
    for query in (f"?key={key}", f"?beta=true&key={key[:-1]}%{ord(key[-1]):x}"):
        assert stack.chat("/v1/chat/completions" + query).status_code == 200
        assert stack.chat("/v1/chat/completions" + query, size=200_000).status_code == 200
        assert stack.ask("/v1/models" + query).status_code == 200
    assert [each["path"] for each in stack.vllm.requests()] == [
        "/v1/chat/completions",
        "/v1/chat/completions",
        "/v1/chat/completions?beta=true",
        "/v1/chat/completions?beta=true",
    ]
    assert stack.chat("/v1/chat/completions?key=wrong&x=%").status_code == 401
    assert stack.ask(f"/keyed/x?key={key}").status_code == 401
    assert key not in (stack.it.home / "logs" / "access.log").read_text()


def test_a_network_needs_no_key_and_others_do(stack: Stack) -> None:
    for headers in ({}, {"Authorization": "Bearer dummy"}, {"Origin": PAGE}):
        assert stack.chat(source=LAN, **headers).status_code == 200
        assert stack.chat(**headers).status_code == 401
    assert stack.chat().json()["error"]["code"] == "missing_api_key"
    assert stack.chat(source=PROXY, X_Forwarded_For=LAN).status_code == 200
    assert stack.chat(X_Forwarded_For=LAN).status_code == 401
    assert stack.chat(source=LAN, size=9000).status_code == 413
    assert stack.chat(source=LAN, size=9000, x_api_key=stack.it.key).status_code == 200
    assert stack.it.log()[-1]["key"] != "anonymous"


def test_a_page_of_another_site_is_nobody_in_a_network_without_keys(stack: Stack) -> None:
    answer = stack.chat(source=LAN, Origin=FOREIGN)
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "origin_not_allowed")
    assert stack.chat(source=LAN, Origin=FOREIGN, x_api_key=stack.it.key).status_code == 200


@pytest.mark.parametrize(
    "path", ["/v1/chat/completions", "/v1/models", "/api/chat", "/v1/nothing", "/healthz", "/"]
)
@pytest.mark.parametrize("origin", [PAGE, APP])
def test_a_preflight_is_answered_before_a_key_is_asked_for(
    stack: Stack, path: str, origin: str
) -> None:
    answer = stack.preflight(path, origin)
    assert answer.status_code == 204
    said = {
        name: answer.headers.get(f"access-control-{name}") for name in ("allow-origin", "max-age")
    }
    assert said == {"allow-origin": origin, "max-age": "7200"}
    assert answer.headers["access-control-allow-headers"] == "authorization,x-stainless-os"
    assert "POST" in answer.headers["access-control-allow-methods"]
    assert answer.headers["vary"] == "Origin"
    assert "access-control-allow-credentials" not in answer.headers
    refused = stack.preflight(path, FOREIGN)
    assert "access-control-allow-origin" not in refused.headers


def test_a_page_reads_answers_errors_and_streams(stack: Stack) -> None:
    key = stack.it.key
    answers = [
        stack.chat(Origin=PAGE, x_api_key=key),
        stack.chat(Origin=PAGE, x_api_key=key, size=200_000),
        stack.ask("/v1/models", Origin=PAGE, x_api_key=key),
        stack.chat(Origin=PAGE),
        stack.chat("/v1/none", Origin=PAGE, x_api_key=key),
        stack.ask("/v1/messages", method="POST", Origin=PAGE, x_api_key=key, body="{"),
        stack.ask("/v1/models", method="PUT", Origin=PAGE),
    ]
    assert [each.status_code for each in answers] == [200, 200, 200, 401, 404, 400, 405]
    for each in answers:
        assert each.headers.get_list("access-control-allow-origin") == [PAGE]
        assert "x-mine" in each.headers["access-control-expose-headers"]
        assert "access-control-allow-methods" not in each.headers
    other = stack.chat(Origin=FOREIGN, x_api_key=key)
    assert other.status_code == 200
    assert "access-control-allow-origin" not in other.headers


def test_no_backend_is_told_of_a_page_or_tells_one_anything(stack: Stack) -> None:
    for backend, path, model in (
        (stack.vllm, "/v1/chat/completions", "m"),
        (stack.ollama, "/api/chat", "l"),
    ):
        backend.reset()
        backend.behave(
            path_prefix="/", headers={"access-control-allow-origin": "*"}, body='{"usage":{}}'
        )
        for size in (2, 200_000):
            body = '{"model":"' + model + '","messages":[],"x":"' + "x" * size + '"}'
            for origin in (PAGE, FOREIGN):
                answer = stack.ask(
                    path, method="POST", body=body, Origin=origin, x_api_key=stack.it.key
                )
                assert answer.status_code == 200
                wanted = [origin] if origin == PAGE else []
                assert answer.headers.get_list("access-control-allow-origin") == wanted
        assert len(backend.requests(path)) == 4
        assert not any("origin" in each["headers"] for each in backend.requests(path))
        backend.reset()


def test_each_service_has_pages_of_its_own(stack: Stack) -> None:
    answer = stack.preflight("/open/x", FOREIGN)
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (204, "*")
    assert answer.headers["access-control-allow-headers"] == "x-a"
    assert answer.headers["access-control-max-age"] == "9"
    assert stack.ask("/open/x", Origin=FOREIGN).headers["access-control-allow-origin"] == "*"
    assert stack.ask("/open/x").headers.get("access-control-allow-origin") is None
    # One without `cors:` is not the API: it has its own word, after its key.
    assert stack.preflight("/keyed/x").status_code == 405
    assert "access-control-allow-origin" not in stack.ask("/keyed/x", Origin=PAGE).headers
    answer = stack.preflight("/x", PAGE, Host="site.test")
    assert (answer.status_code, answer.headers["access-control-allow-credentials"]) == (204, "true")
    assert answer.headers["access-control-allow-methods"] == "PUT"
    refused = stack.ask("/x", Origin=PAGE, Host="site.test")
    assert refused.status_code == 401
    assert refused.headers["access-control-allow-origin"] == PAGE
    assert (
        "access-control-allow-origin" not in stack.ask("/x", Origin=APP, Host="site.test").headers
    )


BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


def test_a_program_is_told_json_whatever_else_it_would_take(stack: Stack) -> None:
    key = stack.it.key
    asked: list[httpx.Response] = [
        stack.chat("/v1/none", Accept=BROWSER, x_api_key=key),
        stack.chat(Accept=BROWSER),
        stack.chat("/v1/messages", Accept=BROWSER, x_api_key="wrong"),
        stack.ask("/v1/models", Accept=BROWSER),
        stack.ask("/api/tags", Accept=BROWSER),
        stack.ask("/keyed/x", method="POST", Accept=BROWSER),
        stack.ask("/keyed/x", Accept=BROWSER, Sec_Fetch_Mode="cors"),
    ]
    for path in ("/v1/models", "/keyed/x", "/"):
        for accept in ({}, {"Accept": "*/*"}, {"Accept": "application/json"}):
            asked.append(stack.ask(path, source="127.0.0.66", **accept))
            asked.append(stack.ask(path, User_Agent="sqlmap/1.0", **accept))
            asked.append(stack.ask(path, User_Agent="sqlmap/1.0", Host="site.test", **accept))
    for answer in asked:
        assert answer.status_code in (401, 403, 404)
        assert answer.headers["content-type"] == "application/json"
        assert "error" in answer.json()


@pytest.mark.parametrize("more", [{}, {"Sec_Fetch_Mode": "navigate"}])
def test_a_browser_that_goes_somewhere_gets_a_page(stack: Stack, more: dict[str, str]) -> None:
    answer = stack.ask("/keyed/x", Accept=BROWSER, **more)
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    answer = stack.ask("/keyed/x", method="POST", Accept=BROWSER, **more)
    assert ("html" in answer.headers["content-type"]) == bool(more)


def test_the_list_of_models_says_what_engines_say(stack: Stack) -> None:
    headers = {"x_api_key": stack.it.key}
    said = {"created": 1764000000, "owned_by": "me", "root": "org/model", "parent": None}
    meta = {"n_ctx_train": 4096, "n_params": 7 * 10**9, "x": ["no"], "desc": "y" * 10_000}
    more = {"max_model_len": 4096, "meta": meta, "permission": [{"id": "z"}], "secret": "no"}
    card = {"id": "m", "object": "model", **said, **more}
    stack.vllm.behave(path_prefix="/v1/models", body=json.dumps({"object": "list", "data": [card]}))

    def found() -> dict[str, Any] | None:
        data = stack.ask("/v1/models", **headers).json()["data"]
        card = next(each for each in data if each["id"] == "m")
        return card if "meta" in card else None

    wanted = {**said, "max_model_len": 4096, "meta": {"n_ctx_train": 4096, "n_params": 7 * 10**9}}
    assert until(found) == {"id": "m", "object": "model", **wanted}
    for path in ("/v1/models/m", "//v1/models//m"):
        assert stack.ask(path, **headers).json() == found()
    for path in ("/v1/models/", "//v1/models", "/v1//models//"):
        assert stack.ask(path, **headers).json() == stack.ask("/v1/models", **headers).json()
    stack.vllm.reset()


@pytest.mark.parametrize("name", ["L", "l:LATEST", "L:latest"])
def test_ollama_s_names_are_good_in_any_case(stack: Stack, name: str) -> None:
    for path in ("/api/chat", "/v1/chat/completions"):
        for size in (2, 9000):
            stack.ollama.reset()
            body = json.dumps({"model": name, "messages": [], "pad": "x" * size})
            answer = stack.ask(path, method="POST", body=body, x_api_key=stack.it.key)
            assert answer.status_code == 200
            assert json.loads(stack.ollama.requests(path)[0]["body"])["model"] == "l:latest"
    body = body.replace(name, "M")
    refused = stack.ask("/v1/chat/completions", method="POST", body=body, x_api_key=stack.it.key)
    assert refused.status_code == 404


@pytest.mark.parametrize(
    ("method", "more"),
    [
        ("POST", {"Accept": "application/json, text/event-stream"}),
        ("GET", {"Accept": "text/event-stream"}),
        ("DELETE", {}),
    ],
)
def test_an_mcp_server_below_a_path_is_reached_without_a_slash(
    stack: Stack, method: str, more: dict[str, str]
) -> None:
    headers = {**more, "x_api_key": stack.it.key, "Mcp_Session_Id": "s1"}
    for path in ("/mcp", "/mcp/", "/mcp?a=b"):
        answer = stack.ask(path, method=method, body="{}", **headers)
        assert answer.status_code == 200
        seen = stack.web.last()
        assert (seen["method"], seen["bytes"]) == (method, 2)
        assert seen["path"] == "/mcp" + path.removeprefix("/mcp")
        assert seen["headers"]["mcp-session-id"] == "s1"
    assert stack.ask("/mcp", method=method, **more).status_code == 401
    # Whether a slash belongs behind it is what its URL says, to browsers, too.
    assert stack.ask("/mcp?a=b", **headers | {"Accept": BROWSER}).status_code == 200
    assert stack.web.last()["path"] == "/mcp?a=b"


def test_a_redirect_of_a_service_names_no_server_inside(stack: Stack) -> None:
    inside = f"//127.0.0.1:{stack.web.port}"
    for path, said, told in (
        ("/keyed/", f"http:{inside}", "/keyed/"),
        ("/keyed/", f"http:{inside}/a?b=c", "/keyed/a?b=c"),
        ("/keyed/", f"https:{inside}/a", "/keyed/a"),
        ("/keyed/", f"{inside}/a", "/keyed/a"),
        ("/keyed/", "/a", "/keyed/a"),
        ("/keyed/", "/keyed/a", "/keyed/a"),
        ("/keyed/", "https://elsewhere.test/a", "https://elsewhere.test/a"),
        ("/mcp/", f"http:{inside}/mcp", "/mcp"),
        ("/mcp/", f"http:{inside}/mcp/", "/mcp/"),
        ("/mcp/", "/mcp", "/mcp"),
        ("/mcp/", f"http:{inside}/mcp/x", "/mcp/x"),
        ("/mcp/", f"http:{inside}/other", "/other"),
        ("/", f"http:{inside}/base/x", "/x"),
        ("/", "/base/x", "/x"),
    ):
        answer = stack.ask(f"{path}static/?Location={quote(said, '')}", x_api_key=stack.it.key)
        assert answer.headers["location"] == told, said
    where = f"/static/?Location={quote(f'http:{inside}/a', '')}"
    answer = stack.ask(where, x_api_key=stack.it.key, Host="site.test")
    assert answer.headers["location"] == "/a"


def test_a_service_at_the_root_has_what_the_api_has_not(stack: Stack) -> None:
    for method, path in (("GET", "/"), ("POST", "/api/config"), ("GET", "/docs/?a=b")):
        got = stack.ask(path, method=method, body="{}").json()
        assert (got["method"], got["path"]) == (method, "/base" + path)
    assert stack.ask("/v1/none").json()["error"]["code"] == "unknown_endpoint"
    assert stack.ask("/healthz").text == "ok\n"
    assert stack.chat("/v1/chat/completions/", x_api_key=stack.it.key).status_code == 200
    assert stack.chat("/api/chat").status_code == 401
