"""The paths that clients ask for: which are the same, who has them, and who is told what."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import httpx
import openai
import pytest

from tests.access_log import tokens
from tests.backends.private_ca import PrivateCa
from tests.backends.servers import Scripted, free_port, scripted
from tests.engine.one_of_each import Stack
from tests.gateway import Gateway, gateway, until


@pytest.mark.parametrize("path", ["/health", "/v1/health", "/ping", "/health/", "//ping"])
def test_health_checks_of_engines_are_answered_without_a_key(stack: Stack, path: str) -> None:
    for method in ("GET", "HEAD", "POST"):
        answer = httpx.request(method, stack.gateway.url + path)
        assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")


def test_the_version_is_the_engine_s_and_ours_for_those_with_a_key(stack: Stack) -> None:
    told = stack.gateway.get("/version").json()
    assert told["version"] == told["engines"]["vllm"] == "0.0.1"
    assert told["engines"]["ollama"] == "0.12.0"
    assert told["infergate"]
    assert httpx.get(stack.gateway.url + "/version").status_code == 401
    assert stack.gateway.get("/models/").json() == stack.gateway.get("/v1/models").json()


SAME = {
    "/v1/chat/completions": [
        "/chat/completions",
        "/v1/chat/completions/",
        "//v1//chat/completions",
        "/openai/deployments/vllm/chat/completions?api-version=2024-10-21",
        "/openai/v1/chat/completions",
    ],
    "/v1/completions": ["/completions", "/completions/", "//completions"],
    "/v1/embeddings": ["/embeddings", "/v1/embeddings/?api-version=1", "/v1//embeddings"],
    "/v1/responses": ["/responses", "/v1/responses//", "/openai/responses?api-version=preview"],
    "/v1/messages": ["/messages", "/v1/messages/"],
    "/tokenize": ["/v1/tokenize", "/tokenize/"],
    "/v1/audio/speech": [
        "/audio/speech",
        "/openai/deployments/a/audio/speech",
        "/v1/audio/speech/",
    ],
}


@pytest.mark.parametrize("path", SAME)
def test_a_path_without_v1_or_with_too_many_slashes_is_the_same(stack: Stack, path: str) -> None:
    for other in SAME[path]:
        for model in ("vllm", "vllm-long"):
            stack.backends["vllm"].reset()
            body = {"model": model, "input": "x", "messages": []}
            answer = stack.gateway.post(other, body)
            assert answer.status_code == 200, answer.text
            seen = stack.backends["vllm"].requests("/")
            assert [e["path"].split("?")[0] for e in seen if e["method"] == "POST"] == [path]
    refused = stack.gateway.post(SAME[path][-1], {"model": "none", "messages": []}).json()
    assert ("type" in refused) == (path == "/v1/messages")


def test_azure_s_client_is_answered_as_openai_s(stack: Stack) -> None:
    it = stack.gateway
    with openai.AzureOpenAI(
        azure_endpoint=it.url, api_key=it.key, api_version="2024-10-21", max_retries=0, timeout=60
    ) as client:
        messages: Any = [{"role": "user", "content": "hi"}]
        answer = client.chat.completions.create(model="vllm", messages=messages)
        assert answer.choices[0].message.content
        assert [each.id for each in client.models.list()]
        with pytest.raises(openai.NotFoundError) as refused:
            client.chat.completions.create(model="none", messages=messages)
        assert refused.value.code == "model_not_found"


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        *((path, "vllm") for path in ("/rerank", "/v2/rerank", "/score", "/pooling", "/classify")),
        *((path, "llamacpp") for path in ("/rerank", "/infill", "/apply-template", "/reranking")),
        ("/v1/chat/completions/batch", "vllm"),
        ("/v1/responses/input_tokens", "llamacpp"),
        ("/v1/chat/completions/input_tokens", "llamacpp"),
        ("/v1/completions/render", "vllm"),
    ],
)
def test_an_endpoint_of_some_engines_is_theirs_and_others_are_told_so(
    stack: Stack, path: str, kind: str
) -> None:
    it = stack.gateway
    key = it.new_key("some", "--models", f"{kind},ollama", "--max-tokens", "100")
    for sent in (path, path + "/", path.removeprefix("/v1")):
        answer = it.post(sent, {"model": kind, "prompt": "x"}, key=key)
        assert answer.status_code == 200, answer.text
        seen = stack.backends[kind].requests("/")
        assert [each["path"] for each in seen if each["method"] == "POST"][-1] == path
    for way in ("-long", ""):
        assert it.post(path, {"model": kind + way, "pad": "x" * 9000}).status_code == 200
    refused = it.post(path, {"model": "ollama"}, key=key)
    assert (refused.status_code, refused.json()["error"]["code"]) == (404, "unknown_endpoint")
    name = {"vllm": "vLLM", "llamacpp": "llama.cpp"}[kind]
    assert name in refused.json()["error"]["message"].split("served by")[0]
    assert "Ollama" in refused.json()["error"]["message"]
    other = {"vllm": "llamacpp", "llamacpp": "vllm"}[kind]
    assert it.post(path, {"model": other}, key=key).json()["error"]["code"] == "model_not_found"
    assert httpx.post(it.url + path, json={"model": kind}).status_code == 401


@pytest.mark.parametrize(
    "path", ["/v1/images/generations", "/v1/moderations", "/images/generations"]
)
def test_what_no_engine_here_has_is_404_that_says_which_would(stack: Stack, path: str) -> None:
    refused = stack.gateway.post(path, {"model": "vllm"})
    assert refused.status_code == 404
    assert "OpenAI" in refused.json()["error"]["message"]


def test_what_llama_cpp_itself_tells_of_tokens_is_counted(stack: Stack) -> None:
    it, backend = stack.gateway, stack.backends["llamacpp"]
    told = {"content": "x", "tokens_predicted": 5, "tokens_evaluated": 7}
    backend.behave(path_prefix="/infill", body=json.dumps({**told, "stop": True, "timings": {}}))
    assert it.post("/infill", {"model": "llamacpp"}).status_code == 200
    assert tokens(it.log()[-1]) == [7, 5, 0]
    backend.reset()
    events = [{"content": "x", "stop": False, "tokens_predicted": 1}, {**told, "stop": True}]
    text = "".join(f"data: {json.dumps(each)}\n\n" for each in events)
    backend.behave(path_prefix="/infill", body=text, headers={"content-type": "text/event-stream"})
    got = it.post("/infill", {"model": "llamacpp", "stream": True})
    assert got.text == text
    assert (tokens(it.log()[-1]), it.log()[-1]["error"]) == ([7, 5, 0], "")


@pytest.mark.parametrize(
    ("path", "end"),
    [
        ("/v1/v1/messages", "to end before /v1"),
        ("/v1/v1/models", "to end before /v1"),
        ("/v1/api/chat", "to end before /v1"),
        ("/v1/chat/completions/chat/completions", "to end with /v1"),
        ("/v1/nope", ""),
    ],
)
def test_who_has_too_much_in_a_base_url_is_told_so(stack: Stack, path: str, end: str) -> None:
    refused = stack.gateway.post(path, {"model": "vllm"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (404, "unknown_endpoint")
    message = refused.json()["error"]["message"]
    assert (end in message, "base URL" in message) == (True, end != "")


@pytest.mark.parametrize("path", ["/api/chat", "/api/generate", "/api/embed", "/api/show"])
def test_a_wrong_dialect_is_no_outage(stack: Stack, path: str) -> None:
    for model in ("vllm", "vllm-long", "llamacpp"):
        for size in (2, 9000, 200_000):
            refused = stack.gateway.post(path, {"model": model, "prompt": "x" * size})
            assert refused.status_code == 400
            assert "retry-after" not in refused.headers
            assert "/v1/" in refused.json()["error"]
            assert ("vLLM" in refused.json()["error"]) == model.startswith("vllm")
    assert stack.gateway.log()[-1]["error"] == "wrong_dialect"
    assert stack.gateway.post(path, {"model": "ollama"}).status_code == 200


def test_a_file_of_a_model_goes_to_its_box_for_keys_that_may_manage(stack: Stack) -> None:
    it, box = stack.gateway, stack.backends["ollama"]
    key = it.new_key("manager", "--manage")
    path = "/api/blobs/sha256:" + "a" * 64
    large = b"x" * 30_000_000
    box.behave(path_prefix="/api/blobs", body="{}")
    assert it.post(path, large, key=key).status_code == 200
    seen = box.requests("/api/blobs/")[-1]
    assert (seen["path"], len(seen["body"])) == (path, len(large))
    assert httpx.head(it.url + path, headers=it.headers(key)).status_code in (200, 404)
    assert box.requests("/api/blobs/")[-1]["method"] == "HEAD"
    refused = it.post(path, b"x")
    assert (refused.status_code, refused.json()["error"]) == (
        403,
        "This API key may not manage models.",
    )
    assert httpx.post(it.url + path).status_code == 401
    assert it.post("/api/blobs/../tags", b"x", key=key).status_code in (404, 405)
    assert it.post("/api/blobs/x", b"x", key=key).status_code == 404
    assert it.backend("o")["in_flight"] == 0


@dataclass
class Https:
    """A gateway before an Ollama that is near and one behind https, and a vLLM behind https whose
    WebSocket on /v1/responses is relayed."""

    gateway: Gateway
    near: Scripted
    far: Scripted
    vllm: Scripted


@pytest.fixture(scope="module")
def https(engine: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Https]:
    pair = PrivateCa(tmp_path_factory.mktemp("ca")).issue("box.test")
    ports = free_port(), free_port()
    with ExitStack() as stack:
        near = stack.enter_context(scripted("ollama", name="near"))
        far, vllm = (
            stack.enter_context(scripted(kind, name=kind, tls=(port, pair.certificate, pair.key)))
            for kind, port in zip(("ollama", "vllm"), ports, strict=True)
        )
        common = "verify_tls: false, api_key: hush"
        text = (
            f"backends:\n  near: {{ url: {near.url}, engine: ollama }}\n"
            f'  far: {{ url: "https://127.0.0.1:{ports[0]}/", engine: ollama, {common} }}\n'
            f'  v: {{ url: "https://127.0.0.1:{ports[1]}", engine: vllm, {common},'
            " websocket: true }\n"
        )
        it = stack.enter_context(gateway(engine, text))
        until(lambda: {each["state"] for each in it.status()["backends"]} == {"up"})
        yield Https(it, near, far, vllm)


def test_an_ollama_behind_https_is_managed_by_https(https: Https) -> None:
    it, near, far = https.gateway, https.near, https.far
    key = it.new_key("manager", "--manage")
    blob, to = "/api/blobs/sha256:" + "a" * 64, {"x-infergate-backend": "far"}
    far.behave(path_prefix="/api/blobs", body="{}")
    large = b"x" * 3_000_000
    assert it.post(blob, large, key=key, headers=to).status_code == 200
    for path in ("/api/pull", "/api/create", "/api/delete"):
        asked = it.post(path, {"model": "m", "stream": False}, key=key, headers=to)
        assert (asked.status_code, asked.json()["status"]) == (200, "success")
    seen = {each["path"]: each for each in far.requests("/api/") if each["method"] == "POST"}
    assert set(seen) == {blob, "/api/pull", "/api/create", "/api/delete"}
    assert len(seen[blob]["body"]) == len(large)
    assert {each["headers"]["authorization"] for each in seen.values()} == {"Bearer hush"}
    assert all(each["method"] == "GET" for each in near.requests("/api/"))
    refused = it.post("/api/pull", {"model": "m"}, key=key)
    assert refused.status_code == 400
    assert "near, far" in refused.json()["error"]
    assert it.post(blob, b"x", key=key, headers={"x-infergate-backend": "no"}).status_code == 400
    near.behave(path_prefix="/api/blobs", body="{}")
    assert it.post(blob, b"x", key=key, headers={"x-infergate-backend": "near"}).status_code == 200
    assert [each["path"] for each in near.requests("/api/blobs/")] == [blob]
    assert not any(each["in_flight"] for each in it.status()["backends"])


def test_an_answer_is_found_by_its_id_where_it_is_kept(stack: Stack) -> None:
    it, other = stack.gateway, stack.backends["other"]
    for each in (stack.backends["vllm"], other):
        each.behave(path_prefix="/v1/responses/", status=404, body='{"error":{}}')
    path = "/v1/responses/resp_1"
    missing = it.get(path)
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "response_not_found")
    other.reset()
    other.behave(path_prefix="/v1/responses/", body='{"id":"resp_1","pad":"' + "x" * 100_000 + '"}')
    for same in (path, path + "/", "/responses/resp_1", "//v1/responses//resp_1"):
        assert it.get(same).json()["id"] == "resp_1"
    assert it.post(path + "/cancel", b"").json()["id"] == "resp_1"
    seen = [(each["method"], each["path"]) for each in other.requests("/v1/responses/")]
    assert seen[-2:] == [("GET", path), ("POST", path + "/cancel")]
    assert it.get(path, key=it.new_key("some", "--models", "llamacpp")).status_code == 404
    assert it.get(path, key=it.new_key("none", "--models", "vllm")).status_code == 404
    assert it.post(path, b"").status_code == 405
    assert it.get("/v1/responses/a/b").status_code == 404
    assert httpx.get(it.url + path).status_code == 401
    assert it.backend("w")["in_flight"] == 0


UPGRADE = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}


def shaken(it: Gateway, path: str, key: str) -> bytes:
    """All that comes of asking for a WebSocket."""
    lines = [f"{name}: {value}" for name, value in {**it.headers(key), **UPGRADE}.items()]
    with socket.create_connection(("127.0.0.1", it.port), 60) as client:
        head = [f"GET {path} HTTP/1.1", "Host: x", "Origin: http://y", *lines]
        client.sendall("\r\n".join([*head, "", ""]).encode())
        return client.makefile("rb").read()


def test_a_websocket_on_responses_goes_to_a_backend_that_has_one(https: Https) -> None:
    it, backend = https.gateway, https.vllm
    raw = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nhi"
    backend.behave(path_prefix="/v1/responses", raw=raw)
    for path in ("/v1/responses", "/responses", "/v1/responses?x=y"):
        got = shaken(it, path, it.key)
        assert got.startswith(b"HTTP/1.1 101")
        assert got.endswith(b"\r\n\r\nhi")
        until(lambda: it.backend("v")["in_flight"] == 0)
    seen = backend.requests("/v1/responses")
    assert [each["path"] for each in seen] == ["/v1/responses"] * 3
    assert {each["headers"]["authorization"] for each in seen} == {"Bearer hush"}
    assert not any("origin" in each["headers"] for each in seen)
    line = until(lambda: [each for each in it.log() if each["status"] == 101])[-1]
    assert (line["backend"], line["attempts"][-1]["status"]) == ("v", 101)


def test_who_is_held_to_something_is_told_426_and_goes_on_by_http(https: Https) -> None:
    it = https.gateway
    https.vllm.reset()
    it.run("teams", "create", "some")
    for held in (
        ("--models", "m"),
        ("--models", "*m*"),
        ("--rpm", "9"),
        ("--max-tokens", "9"),
        ("--budget", "9-requests/day"),
        ("--team", "some"),
        ("--expires", "9d"),
    ):
        headers = {**it.headers(it.new_key("held", *held)), **UPGRADE}
        refused = httpx.get(it.url + "/v1/responses", headers=headers, timeout=60)
        assert (refused.status_code, refused.json()["error"]["code"]) == (426, "no_websocket"), held
        assert "use HTTP" in refused.json()["error"]["message"]
    assert not https.vllm.requests("/v1/responses")


def test_a_websocket_goes_to_a_model_whose_engine_has_it(stack: Stack) -> None:
    it, backend = stack.gateway, stack.backends["vllm"]
    key = it.new_key("some", "--models", "vllm-long,ollama", "--rpm", "9", "--concurrency", "1")
    raw = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nhi"
    backend.behave(path_prefix="/v1/realtime", raw=raw)
    for _ in range(2):
        with socket.create_connection(("127.0.0.1", it.port)) as client:
            lines = [f"{name}: {value}" for name, value in {**it.headers(key), **UPGRADE}.items()]
            head = ["GET /v1/realtime?model=vllm-long&x=y HTTP/1.1", "Host: x", "Origin: http://y"]
            client.sendall("\r\n".join([*head, *lines, "", ""]).encode())
            got = client.makefile("rb").read()
        assert got.startswith(b"HTTP/1.1 101")
        assert got.endswith(b"\r\n\r\nhi")
        until(lambda: it.backend("v")["in_flight"] == 0)
    seen = backend.requests("/v1/realtime")[-1]
    assert seen["path"] == "/v1/realtime?model=vllm"
    assert not {"authorization", "origin"} & set(seen["headers"])
    for query, status, code in (
        ("?model=ollama", 404, "unknown_endpoint"),
        ("?model=vllm", 404, "model_not_found"),
        ("", 400, "missing_model"),
    ):
        headers = {**it.headers(key), **UPGRADE}
        refused = httpx.get(it.url + "/v1/realtime" + query, headers=headers)
        assert (refused.status_code, refused.json()["error"]["code"]) == (status, code)
    assert httpx.get(it.url + "/v1/realtime", headers=it.headers()).status_code == 426
    assert httpx.get(it.url + "/v1/realtime", headers=UPGRADE).status_code == 401
