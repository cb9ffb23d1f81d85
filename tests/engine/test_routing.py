"""Which backend gets a request, and what it reads there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest

from tests.backends.servers import Scripted, scripted
from tests.gateway import Gateway, gateway, until


@dataclass
class Stack:
    gateway: Gateway
    chat: Scripted
    embed: Scripted
    ollama: Scripted


@pytest.fixture(scope="module")
def stack(engine: str) -> Iterator[Stack]:
    with (
        scripted(name="chat", models=("qwen",)) as chat,
        scripted(name="embed", models=("BAAI/bge-m3",)) as embed,
        scripted(engine="ollama", name="ollama", models=("llama3:latest", "phi")) as ollama,
        gateway(
            engine,
            f"""
backends:
  chat: {{ url: {chat.url}, engine: vllm, api_key: "${{TEST_BACKEND_KEY}}" }}
  embed:
    url: {embed.url}/v1
    engine: vllm
    api_key: "${{TEST_BACKEND_KEY}}"
    api_key_header: api-key
    headers: {{ X-Tenant: "a b", Cookie: "of=ours" }}
  ollama: {{ url: {ollama.url}, engine: ollama }}
models:
  qwen: {{ backends: [chat], aliases: [gpt-3.5-turbo] }}
  text-embedding-ada-002: {{ backends: [embed], upstream_name: BAAI/bge-m3 }}
  "*": {{ backends: [ollama] }}
""",
            start=False,
        ) as it,
    ):
        import os

        os.environ["TEST_BACKEND_KEY"] = "backend-secret"
        it.up()
        for backend in (chat, embed, ollama):
            backend.reset()
        yield Stack(it, chat, embed, ollama)


def model_of(request: dict) -> str:
    return json.loads(request["body"])["model"]


@pytest.mark.parametrize(
    "path",
    [
        "/v1/chat/completions",
        "/v1/completions",
        "/v1/embeddings",
        "/v1/responses",
        "/v1/rerank",
        "/v1/score",
        "/tokenize",
        "/v1/messages",
        "/v1/audio/speech",
    ],
)
def test_the_body_s_model_decides_on_every_inference_path(stack: Stack, path: str) -> None:
    stack.chat.reset()
    answer = stack.gateway.post(path, {"model": "qwen", "input": "x"})
    assert answer.status_code == 200
    posted = [each["path"] for each in stack.chat.requests("/") if each["method"] == "POST"]
    assert posted == [path]


def test_an_alias_and_an_upstream_name_are_put_in_place_and_nothing_else_changes(
    stack: Stack,
) -> None:
    stack.chat.reset()
    stack.embed.reset()
    stack.gateway.post(
        "/v1/chat/completions",
        b'{ "top_p": 0.50, "model" : "gpt-3.5-turbo","big":12345678901234567890}',
    )
    stack.gateway.post(
        "/v1/embeddings",
        b'{"input":"\\u00e9 \\"model\\" \xc3\xa9","model":"text-embedding-ada-002"}',
    )
    assert (
        stack.chat.requests()[0]["body"]
        == '{ "top_p": 0.50, "model" : "qwen","big":12345678901234567890}'
    )
    body = stack.embed.requests("/v1/embeddings")[0]["body"].encode("latin-1")
    assert body == b'{"input":"\\u00e9 \\"model\\" \xc3\xa9","model":"BAAI/bge-m3"}'


def test_the_client_s_key_never_reaches_a_backend_and_the_backend_s_own_does(stack: Stack) -> None:
    stack.chat.reset()
    stack.gateway.post(
        "/v1/chat/completions", {"model": "qwen"}, headers={"x-api-key": "k", "Cookie": "c=1"}
    )
    seen = stack.chat.requests()[0]["headers"]
    assert seen["authorization"] == "Bearer backend-secret"
    assert not {"x-api-key", "api-key", "cookie"} & set(seen)
    assert stack.gateway.key not in json.dumps(seen)


@pytest.mark.parametrize("size", [2, 30_000])
def test_a_backend_gets_the_headers_that_it_wants_and_no_other_does(
    stack: Stack, size: int
) -> None:
    """Probes too; and none of a client's own of these names."""
    said = "x" * size
    sent = {"x-api-key": "k", "api-key": "k", "cookie": "c=1", "x-tenant": "evil", "x-mine": "m"}
    for model, path in (("text-embedding-ada-002", "/v1/embeddings"), ("qwen", "/v1/completions")):
        body = {"model": model, "input": said, "prompt": said}
        assert stack.gateway.post(path, body, headers=sent).status_code == 200
    wanted = {"api-key": "backend-secret", "x-tenant": "a b", "cookie": "of=ours"}
    names = {*wanted, "authorization", "x-api-key", "x-mine"}
    seen = stack.embed.requests("/v1/embeddings")[-1]["headers"]
    assert {name: seen[name] for name in names & set(seen)} == {**wanted, "x-mine": "m"}
    seen = stack.chat.requests("/v1/completions")[-1]["headers"]
    assert {name: seen[name] for name in names & set(seen)} == {
        "authorization": "Bearer backend-secret",
        "x-mine": "m",
    }
    probe = until(lambda: stack.embed.requests("/health"))[0]["headers"]
    assert {name: probe[name] for name in wanted} == wanted


def test_an_unknown_model_is_404_in_openai_s_shape(stack: Stack) -> None:
    answer = stack.gateway.chat("nope")
    assert answer.status_code == 404
    error = answer.json()["error"]
    assert (error["code"], error["type"], error["param"]) == (
        "model_not_found",
        "invalid_request_error",
        "model",
    )


def test_errors_have_the_shape_of_the_dialect(stack: Stack) -> None:
    assert stack.gateway.post("/api/chat", {"model": "nope"}).json().keys() == {"error"}
    assert isinstance(stack.gateway.post("/api/chat", {"model": "nope"}).json()["error"], str)
    anthropic = stack.gateway.post("/v1/messages", {"model": "nope"}).json()
    assert (anthropic["type"], anthropic["error"]["type"]) == ("error", "not_found_error")


def test_models_are_listed_with_aliases_and_discovered_ones(stack: Stack) -> None:
    ids = {each["id"] for each in stack.gateway.get("/v1/models").json()["data"]}
    assert ids == {"qwen", "gpt-3.5-turbo", "text-embedding-ada-002", "llama3:latest", "phi"}
    assert stack.gateway.get("/v1/models/qwen").json()["id"] == "qwen"
    assert stack.gateway.get("/v1/models/nope").status_code == 404


def test_a_key_for_some_models_sees_and_uses_only_those(stack: Stack) -> None:
    key = stack.gateway.new_key("some", "--models", "qwen,phi")
    ids = {each["id"] for each in stack.gateway.get("/v1/models", key=key).json()["data"]}
    assert ids == {"qwen", "gpt-3.5-turbo", "phi"}
    assert stack.gateway.chat("qwen", key=key).status_code == 200
    assert stack.gateway.chat("text-embedding-ada-002", key=key).status_code == 404


def test_a_model_named_like_a_flag_of_the_key_s_policy_is_no_way_in(stack: Stack) -> None:
    key = stack.gateway.new_key("flags", "--models", "qwen", "--manage")
    for name in ("m", "*", ""):
        assert stack.gateway.chat(name, key=key).status_code in (400, 404)


def test_ollama_s_own_api_goes_to_ollama_only(stack: Stack) -> None:
    stack.ollama.reset()
    streamed = stack.gateway.post("/api/chat", {"model": "llama3", "messages": []})
    assert streamed.headers["content-type"] == "application/x-ndjson"
    assert model_of(stack.ollama.requests("/api/chat")[0]) == "llama3:latest"
    for path in ("/api/generate", "/api/embed", "/api/embeddings", "/api/show"):
        assert stack.gateway.post(path, {"model": "phi"}).status_code == 200
    assert stack.gateway.post("/api/show", {"name": "phi"}).json()["model"] == "phi"
    assert stack.gateway.post("/api/chat", {"model": "qwen"}).status_code == 400
    names = {each["name"] for each in stack.gateway.get("/api/tags").json()["models"]}
    assert names == {"llama3:latest", "phi"}
    assert stack.gateway.get("/api/version").json() == {"version": "0.12.0"}
    assert [m["name"] for m in stack.gateway.get("/api/ps").json()["models"]] == ["llama3:latest"]


def test_managing_models_needs_a_key_that_may(stack: Stack) -> None:
    stack.ollama.reset()
    for path in ("/api/pull", "/api/push", "/api/create", "/api/copy"):
        assert stack.gateway.post(path, {"model": "x"}).status_code == 403
    # GET is our own question after what is loaded.
    assert [each for each in stack.ollama.requests("/api/") if each["method"] == "POST"] == []
    manager = stack.gateway.new_key("manager", "--manage")
    assert stack.gateway.post("/api/pull", {"model": "x"}, key=manager).status_code == 200


@pytest.mark.parametrize("model", ["qwen", "gpt-3.5-turbo"])
def test_an_upload_is_routed_by_its_form_and_stays_binary(stack: Stack, model: str) -> None:
    stack.chat.reset()
    audio = bytes(range(256)) * 40
    answer = httpx.post(
        stack.gateway.url + "/v1/audio/transcriptions",
        headers=stack.gateway.headers(),
        files={"file": ("a.wav", audio, "audio/wav")},
        data={"model": model, "language": "en"},
    )
    assert answer.json() == {"text": "chat", "model": "qwen"}
    assert audio in stack.chat.requests("/v1/audio")[0]["body"].encode("latin-1")


def test_a_form_that_names_two_models_is_refused(stack: Stack) -> None:
    for second in ("model", "Model", "MODEL"):
        answer = httpx.post(
            stack.gateway.url + "/v1/audio/transcriptions",
            headers=stack.gateway.headers(),
            files=[("model", (None, "qwen")), (second, (None, "phi")), ("file", ("a", b"x"))],
        )
        assert answer.status_code == 400, second


def test_what_is_no_endpoint_is_404_and_a_wrong_method_405(stack: Stack) -> None:
    assert stack.gateway.get("/v1/nothing").json()["error"]["code"] == "unknown_endpoint"
    assert stack.gateway.get("/v1/chat/completions").status_code == 405
    for path in ("/v1/models", "/v1/models/qwen", "/models/qwen/", "/api/tags", "/version"):
        for method in ("POST", "DELETE"):
            answer = httpx.request(
                method, stack.gateway.url + path, headers=stack.gateway.headers(), timeout=60
            )
            assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")
    assert httpx.get(stack.gateway.url + "/healthz").headers["x-infergate"] == "ok"


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_a_body_makes_no_other_method_a_post(stack: Stack, method: str) -> None:
    asked = len(stack.chat.requests("/"))
    body = {"model": "qwen", "messages": [], "input": "x", "prompt": "x", "max_tokens": 5}
    paths = ("/v1/chat/completions", "/chat/completions", "/v1/embeddings", "/v1/messages")
    for path in paths:
        for more in ({}, {"x": "y" * 200_000}):  # the short way, and the long one
            url = stack.gateway.url + path
            content = json.dumps({**body, **more}).encode()
            answer = httpx.request(
                method, url, content=content, headers=stack.gateway.headers(), timeout=60
            )
            assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
            assert httpx.request(method, url, content=content, timeout=60).status_code == 401
    seen = [(each["method"], each["path"]) for each in stack.chat.requests("/")[asked:]]
    assert not {(method, path) for path in paths} & set(seen), "no backend was asked"


def test_the_access_log_is_one_json_object_a_request(stack: Stack) -> None:
    stack.gateway.chat("gpt-3.5-turbo")
    entry = stack.gateway.log()[-1]
    assert (entry["v"], entry["status"], entry["gen_ai.request.model"], entry["backend"]) == (
        2,
        200,
        "qwen",
        "chat",
    )
    assert entry["key"].startswith("test-")
    assert stack.gateway.key not in (stack.gateway.home / "logs" / "access.log").read_text()
