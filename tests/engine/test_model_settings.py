"""What an operator says of a model beside where it is served."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.backends.servers import Scripted, scripted
from tests.gateway import Gateway, gateway, until

LARGE = 30_000
"""A body that is searched and not parsed (njs/scan.js)."""


@dataclass
class Stack:
    gateway: Gateway
    chat: Scripted
    box: Scripted
    hub: Scripted
    ranked: Scripted


CONFIG = """
backends:
  chat: {{ url: {chat}, engine: vllm }}
  box: {{ url: {box}, engine: ollama }}
  ranked: {{ url: {ranked}, engine: vllm, pass_priority: true }}
  hub:
    url: {hub}
    engine: ollama
    model_filter: {{ include: ["GOOD*"], exclude: ["*embed*"] }}
models:
  "*": {{ backends: [hub] }}
  secret: {{ backends: [box], upstream_name: "llama3:latest", unlisted: true, aliases: [hidden] }}
  plain: {{ backends: [chat], upstream_name: qwen }}
  tuned:
    backends: [chat]
    upstream_name: qwen
    params:
      set: {{ temperature: 0.25, chat_template_kwargs: {{ enable_thinking: false }} }}
      default: {{ top_p: 0.9, max_tokens: 77, stop: [END] }}
      strip: [seed, logit_bias]
  falls: {{ backends: [box], params: {{ set: {{ top_k: 1 }} }}, fallback: [tuned] }}
  long: {{ backends: [ranked], upstream_name: qwen, params: {{ set: {{ max_tokens: 1000 }} }} }}
  bare: {{ backends: [ranked], upstream_name: qwen }}
  tried: {{ backends: [chat], upstream_name: qwen, canary: {{ model: long, percent: 100 }} }}
  short:
    backends: [chat]
    upstream_name: qwen
    params: {{ set: {{ max_tokens: 5, n: 1 }} }}
    canary: {{ model: bare, percent: 100 }}
  twice:
    backends: [chat]
    upstream_name: qwen
    validation: "off"
    params: {{ default: {{ max_tokens: 6, max_completion_tokens: 6 }} }}
  falls-long: {{ backends: [box], upstream_name: "llama3:latest", fallback: [long] }}
  copied:
    backends: [chat]
    canary: {{ model: bare, percent: 100 }}
    shadow: {{ backend: box }}
  silent:
    backends: [chat, box]
    upstream_name: qwen
    upstream_names: {{ box: "llama3:latest" }}
    params: {{ strip: [max_tokens, stop, seed] }}
  embeds:
    backends: [chat]
    upstream_name: qwen
    params: {{ set: {{ dimensions: 2 }} }}
    cache: {{ ttl: 1h }}
  both: {{ backends: [chat, box], upstream_name: qwen, upstream_names: {{ box: "llama3:latest" }} }}
  "llama3:latest":
    backends: [box]
    params:
      set: {{ temperature: 0.25, keep_alive: -1 }}
      default: {{ max_tokens: 77, seed: 1 }}
      strip: [top_p]
"""


@pytest.fixture(scope="module")
def stack(engine: str) -> Iterator[Stack]:
    with (
        scripted(name="chat", models=("qwen",)) as chat,
        scripted(engine="ollama", name="box", models=("llama3:latest",)) as box,
        scripted(engine="ollama", name="hub", models=("good:1", "good-embed:1", "bad:1")) as hub,
        scripted(name="ranked", models=("qwen",)) as ranked,
        gateway(
            engine,
            CONFIG.format(chat=chat.url, box=box.url, hub=hub.url, ranked=ranked.url),
        ) as it,
    ):
        for backend in (chat, box, hub, ranked):
            backend.reset()
        yield Stack(it, chat, box, hub, ranked)


def sent(backend: Scripted, path: str) -> list[dict[str, Any]]:
    return [json.loads(each["body"].encode("latin-1")) for each in backend.requests(path)]


def padded(body: bytes, size: int) -> bytes:
    """The body with a text so long in it."""
    return body.replace(b"TEXT", b"x" * size)


@pytest.mark.parametrize("size", [2, LARGE])
def test_parameters_are_set_defaulted_and_stripped(stack: Stack, size: int) -> None:
    """And nothing else of the body changes, whichever way it takes."""
    stack.chat.reset()
    body = padded(
        b'{"temperature":1, "model" : "tuned", "seed":3,"big":12345678901234567890,'
        b'"Logit_Bias":{"1":2}, "logit_bias":{},'
        b' "messages": [{"role":"user","content":"\\u00e9 TEXT \xc3\xa9"}],'
        b'"top_p":null,"temperature":2 , "stream": false}',
        size,
    )
    assert stack.gateway.post("/v1/chat/completions", body).status_code == 200
    assert stack.chat.requests("/v1/chat/completions")[0]["body"].encode("latin-1") == padded(
        b'{"temperature":0.25,"chat_template_kwargs":{"enable_thinking":false},"top_p":0.9,'
        b'"max_tokens":77,"stop":["END"],"model" : "qwen","big":12345678901234567890,'
        b'"messages": [{"role":"user","content":"\\u00e9 TEXT \xc3\xa9"}],"stream": false}',
        size,
    )


@pytest.mark.parametrize("size", [2, LARGE])
@pytest.mark.parametrize(
    ("path", "said", "wanted"),
    [
        ("/v1/chat/completions", {"max_completion_tokens": 5}, {"max_completion_tokens": 5}),
        ("/v1/completions", {"max_tokens": 5}, {"max_tokens": 5}),
        ("/v1/completions", {"max_tokens": None}, {"max_tokens": 77}),
        ("/v1/responses", {}, {"max_output_tokens": 77}),
        ("/v1/responses", {"max_output_tokens": 5}, {"max_output_tokens": 5}),
        ("/v1/messages", {"max_tokens": 5, "stop_sequences": ["X"]}, {"max_tokens": 5}),
    ],
)
def test_the_default_length_has_the_name_that_the_endpoint_reads(
    stack: Stack, path: str, said: dict[str, Any], wanted: dict[str, Any], size: int
) -> None:
    stack.chat.reset()
    body = {"model": "tuned", "prompt": "x" * size, "input": "x", "messages": [], **said}
    if path != "/v1/completions":
        body["messages"] = [{"role": "user", "content": "x" * size}]
    assert stack.gateway.post(path, body).status_code == 200
    got = sent(stack.chat, path)[0]
    assert {name: got[name] for name in got if name.startswith("max_")} == wanted
    stop = "stop_sequences" if path == "/v1/messages" else "stop"
    assert got[stop] == said.get(stop, ["END"])
    assert got["temperature"] == 0.25


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("/v1/chat/completions", '{"max_tokens":6,"max_completion_tokens":6,"model":"qwen"}'),
        ("/v1/completions", '{"max_tokens":6,"model":"qwen"}'),
        ("/v1/responses", '{"max_output_tokens":6,"model":"qwen"}'),
    ],
)
def test_two_names_that_are_one_elsewhere_stand_there_once(
    stack: Stack, path: str, wanted: str
) -> None:
    stack.chat.reset()
    assert stack.gateway.post(path, b'{"model":"twice"}').status_code == 200
    assert stack.chat.requests(path)[0]["body"] == wanted


@pytest.mark.parametrize("size", [2, LARGE])
@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        (None, {"temperature": 0.25, "num_predict": 77, "seed": 1}),
        ({"temperature": 2, "top_p": 1, "seed": 3, "num_predict": 5, "num_ctx": 9},
         {"temperature": 0.25, "num_predict": 5, "seed": 3, "num_ctx": 9}),
    ],
)  # fmt: skip
def test_ollama_s_own_api_gets_them_in_its_options(
    stack: Stack, options: dict[str, Any] | None, wanted: dict[str, Any], size: int
) -> None:
    stack.box.reset()
    messages = [{"role": "user", "content": "x" * size}]
    body = {"model": "llama3", "messages": messages, "stream": False, "options": options}
    assert stack.gateway.post("/api/chat", body).status_code == 200
    got = sent(stack.box, "/api/chat")[0]
    assert got["options"] == wanted
    assert (got["keep_alive"], got["messages"]) == (-1, messages)


def test_a_key_s_maximum_holds_for_what_the_operator_defaults(stack: Stack) -> None:
    small = stack.gateway.new_key("small", "--max-tokens", "10")
    stack.chat.reset()
    answer = stack.gateway.chat("tuned", key=small)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "max_tokens_too_large")
    assert stack.gateway.chat("tuned", key=small, max_tokens=5).status_code == 200
    assert [each["max_tokens"] for each in sent(stack.chat, "/v1/chat/completions")] == [5]


@pytest.mark.parametrize("model", ["tried", "falls-long"])
def test_whichever_model_gets_it_the_priority_is_the_operator_s(stack: Stack, model: str) -> None:
    """And not its client's, who may say it of a model that has none."""
    stack.ranked.reset()
    stack.box.behave(path_prefix="/v1/chat", status=503)
    said = b'{"model":"%s","priority":-5,"pr\\u0069ority":-6,"messages":[]}' % model.encode()
    answer = stack.gateway.post("/v1/chat/completions", said)
    stack.box.reset()
    stack.gateway.forget_failures()
    assert answer.status_code == 200
    body = stack.ranked.requests("/v1/chat/completions")[0]["body"]
    assert (body.count("ority"), json.loads(body)["priority"]) == (1, 1)


@pytest.mark.parametrize(
    ("model", "said", "wanted"),
    [
        ("tried", "", {"max_tokens": 10}),
        ("tried", ',"max_tokens":3,"n":3', {"max_tokens": 3, "n": 3}),
        ("falls-long", "", {"max_tokens": 10}),
        ("short", ',"max_tokens":1000000', {"max_tokens": 10}),
        ("short", ',"max_completion_tokens":1000000', {"max_tokens": 10}),
        ("short", ',"max_tokens":1,"max_tokens":1000,"n":1,"n":99', {"max_tokens": 10}),
    ],
)
def test_whichever_model_gets_it_a_key_s_maximum_holds(
    stack: Stack, model: str, said: str, wanted: dict[str, Any]
) -> None:
    """Of a model that a canary or a fallback leads to, its params, or its want of them."""
    small = stack.gateway.new_key(f"small-{model}", "--max-tokens", "10")
    stack.ranked.reset()
    stack.box.behave(path_prefix="/v1/chat", status=503)
    body = f'{{"model":"{model}","messages":[]{said}}}'.encode()
    answer = stack.gateway.post("/v1/chat/completions", body, key=small)
    stack.box.reset()
    stack.gateway.forget_failures()
    assert answer.status_code == 200, answer.text
    got = stack.ranked.requests("/v1/chat/completions")[0]["body"]
    assert got.count("max_") == 1
    asked = json.loads(got)
    assert {name: asked[name] for name in asked if name == "n" or "max_" in name} == wanted


def test_a_shadow_s_copy_is_of_the_model_that_was_asked_for(stack: Stack) -> None:
    """Whoever the canary gives the request to."""
    stack.box.reset()
    assert stack.gateway.chat("copied").status_code == 200
    assert [each["model"] for each in until(lambda: sent(stack.box, "/v1/chat"))] == ["copied"]
    stack.box.reset()


@pytest.mark.parametrize(
    ("path", "said", "left"),
    [
        ("/v1/chat/completions", {"max_tokens": 1, "stop": "x"}, set()),
        ("/v1/chat/completions", {"max_completion_tokens": 1}, {"max_completion_tokens"}),
        ("/v1/responses", {"max_output_tokens": 1, "max_tokens": 1}, set()),
        ("/v1/messages", {"stop_sequences": ["x"]}, set()),
    ],
)
def test_what_is_stripped_is_so_in_every_dialect(
    stack: Stack, path: str, said: dict[str, Any], left: set[str]
) -> None:
    stack.chat.reset()
    stack.box.reset()
    body = {"model": "silent", "messages": [{"role": "user", "content": "x"}], "input": "x"}
    assert stack.gateway.post(path, {**body, **said}).status_code == 200
    got = (sent(stack.chat, path) + sent(stack.box, path))[0]
    assert got.keys() - body.keys() == left


@pytest.mark.parametrize(
    ("model", "options", "wanted"),
    [
        ("silent", '"options":{"num_predict":5,"stop":["x"],"num_ctx":9}', [{"num_ctx": 9}]),
        ("silent", '"options":{"seed":5},"Options":{"seed":6}', [{}, {}]),
        (
            "llama3",
            '"options":{"top_p":1,"seed":3},"options":{"num_predict":2},"options":null',
            [{"seed": 3}, {"num_predict": 2, "seed": 1, "temperature": 0.25}],
        ),
    ],
)
def test_options_that_are_there_twice_hide_nothing(
    stack: Stack, model: str, options: str, wanted: list[dict[str, Any]]
) -> None:
    """Ollama puts together what several of them say."""
    stack.box.reset()
    body = f'{{"model":"{model}","messages":[],"stream":false,{options}}}'.encode()
    assert stack.gateway.post("/api/chat", body).status_code == 200
    got = json.loads(
        stack.box.requests("/api/chat")[0]["body"].encode("latin-1"), object_pairs_hook=list
    )
    assert [dict(value) for name, value in got if name.lower() == "options"] == wanted


@pytest.mark.parametrize(
    ("path", "left"),
    [
        ("/v1/messages/count_tokens", set()),
        ("/v1/embeddings", {"temperature", "chat_template_kwargs", "top_p", "stop"}),
    ],
)
def test_an_endpoint_gets_nothing_that_it_has_not(stack: Stack, path: str, left: set[str]) -> None:
    """Anthropic's count of tokens refuses what it does not know; a vector has no length."""
    stack.chat.reset()
    body = {"model": "tuned", "messages": [{"role": "user", "content": "x"}], "input": "x"}
    assert stack.gateway.post(path, {**body, "seed": 1}).status_code == 200
    assert sent(stack.chat, path)[0].keys() - body.keys() == left


def test_a_stream_of_such_a_model_is_still_counted(stack: Stack) -> None:
    stack.chat.reset()
    answer = stack.gateway.chat("tuned", stream=True)
    assert answer.text.endswith("data: [DONE]\n\n")
    assert '"usage"' not in answer.text
    got = sent(stack.chat, "/v1/chat/completions")[0]
    assert (got["stream_options"], got["temperature"]) == ({"include_usage": True}, 0.25)


def test_the_model_that_is_fallen_back_to_has_its_own(stack: Stack) -> None:
    stack.chat.reset()
    stack.box.behave(path_prefix="/v1/chat", status=503)
    assert stack.gateway.chat("falls", seed=1).status_code == 200
    stack.box.reset()
    stack.gateway.forget_failures()
    got = sent(stack.chat, "/v1/chat/completions")[0]
    assert (got["temperature"], "top_k" in got, "seed" in got) == (0.25, False, False)


def test_kept_answers_are_to_what_was_meant(stack: Stack) -> None:
    stack.chat.reset()
    body = {"model": "embeds", "input": "x", "dimensions": 9}
    first, second = (stack.gateway.post("/v1/embeddings", body) for _ in range(2))
    assert (first.status_code, second.content) == (200, first.content)
    assert [each["dimensions"] for each in sent(stack.chat, "/v1/embeddings")] == [2]


def test_what_was_changed_is_explained(stack: Stack) -> None:
    request = stack.gateway.chat("tuned").headers["x-infergate-request-id"]
    stack.gateway.log()
    assert "params seed logit_bias temperature" in stack.gateway.run("explain", request).stdout


@pytest.mark.parametrize("size", [2, LARGE])
def test_each_backend_is_asked_by_the_name_that_it_knows(stack: Stack, size: int) -> None:
    stack.chat.reset()
    stack.box.reset()
    # Of different prompts: one that a backend has answered goes there again.
    said = [[{"role": "user", "content": each * size}] for each in "abcd"]
    for each in said:
        body = {"model": "both", "messages": each}
        assert stack.gateway.post("/v1/chat/completions", body).status_code == 200
    got: list[Any] = []
    for backend, name in ((stack.chat, "qwen"), (stack.box, "llama3:latest")):
        asked = sent(backend, "/v1/chat/completions")
        assert [each["model"] for each in asked] == [name] * 2
        got += [each["messages"] for each in asked]
    assert sorted(got, key=str) == said


def test_a_retry_asks_the_other_backend_by_its_own_name(stack: Stack) -> None:
    stack.box.reset()
    stack.chat.behave(path_prefix="/v1/chat", status=503)
    answers = [stack.gateway.chat("both").status_code for _ in range(2)]
    stack.chat.reset()
    stack.gateway.forget_failures()
    assert answers == [200, 200]
    assert {each["model"] for each in sent(stack.box, "/v1/chat/completions")} == {"llama3:latest"}


def listed(stack: Stack) -> set[str]:
    models = {each["id"] for each in stack.gateway.get("/v1/models").json()["data"]}
    tags = {each["name"] for each in stack.gateway.get("/api/tags").json()["models"]}
    return models | tags


def test_of_what_a_backend_has_only_what_its_filter_lets_is_served(stack: Stack) -> None:
    until(lambda: "good:1" in listed(stack))
    assert not {"good-embed:1", "bad:1"} & listed(stack)
    assert stack.gateway.chat("good:1").status_code == 200
    for model in ("good-embed:1", "bad:1", "bad"):
        assert stack.gateway.chat(model).status_code == 404
        answer = stack.gateway.post("/api/chat", {"model": model, "messages": []})
        assert answer.status_code == 404


def test_an_unlisted_model_is_served_and_stands_in_no_list(stack: Stack) -> None:
    until(lambda: "llama3:latest" in listed(stack))
    assert not {"secret", "hidden"} & listed(stack)
    for name in ("secret", "hidden"):
        assert stack.gateway.chat(name).status_code == 200
        assert stack.gateway.post("/api/show", {"model": name}).status_code == 200
        assert stack.gateway.get(f"/v1/models/{name}").json()["id"] == name
    assert not {"secret", "hidden"} & {
        each["name"] for each in stack.gateway.get("/api/ps").json()["models"]
    }


@pytest.mark.parametrize("name", ["llama3:latest/", "llama3", "LLaMA3", "LLAMA3:LATEST//"])
def test_a_model_is_looked_at_by_every_name_that_is_served(stack: Stack, name: str) -> None:
    assert stack.gateway.chat(name.rstrip("/")).status_code == 200
    assert stack.gateway.get(f"/v1/models/{name}").json()["id"] == "llama3:latest"
    other = stack.gateway.new_key(f"other-{len(name)}", "--models", "plain")
    assert stack.gateway.get(f"/v1/models/{name}", key=other).status_code == 404
