"""How long an answer may be, in every dialect's words, and what limits of tokens count for it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.backends.servers import Scripted, scripted
from tests.gateway import Gateway, gateway, until

CONFIG = """
backends:
  a: {{ url: {a}, engine: vllm }}
  o: {{ url: {o}, engine: ollama }}
  s: {{ url: {s}, engine: vllm }}
  c: {{ url: {c}, engine: llamacpp }}
models:
  m: [a]
  c: {{ backends: [c], upstream_name: m }}
  w: {{ backends: [a], upstream_name: m, timeouts: {{ first_byte: 100s }} }}
  l: {{ backends: [o], upstream_name: m }}
  t: {{ backends: [a], upstream_name: m, limits: {{ tokens_per_minute: 100000 }} }}
  copied: {{ backends: [a], upstream_name: m, shadow: {{ backend: s }} }}
"""
CHAT, COMPLETIONS, RESPONSES = "/v1/chat/completions", "/v1/completions", "/v1/responses"
BATCH = "/v1/chat/completions/batch"
OLLAMA = "/api/chat"
LLAMACPP = "/completion"

Limited = tuple[Gateway, Scripted, Scripted, str]

others: dict[str, tuple[Scripted, Scripted]] = {}
"""By the gateway's address: who gets the copies, and the llama.cpp."""


def posts(limited: Limited) -> list[str]:
    """The bodies that backends got; what they got before this is forgotten."""
    it, a, o, _ = limited
    backends = a, o, others[it.url][1]
    found = [each for backend in backends for each in backend.requests("/")]
    for backend in backends:
        backend.reset()
    return [each["body"] for each in found if each["method"] == "POST"]


@pytest.fixture(scope="module")
def limited(engine: str) -> Iterator[Limited]:
    with ExitStack() as stack:
        a = stack.enter_context(scripted(name="a", models=("m",)))
        o = stack.enter_context(scripted(name="o", engine="ollama", models=("m",)))
        s = stack.enter_context(scripted(name="s", models=("m",)))
        c = stack.enter_context(scripted("llamacpp", name="c", models=("m",)))
        urls = {"a": a.url, "o": o.url, "s": s.url, "c": c.url}
        it = stack.enter_context(gateway(engine, CONFIG.format(**urls)))
        others[it.url] = s, c
        yield it, a, o, it.new_key("short", "--max-tokens", "100")


def text(body: object) -> bytes:
    return body if isinstance(body, bytes) else json.dumps({"model": "m", **body}).encode()  # type: ignore[dict-item]


TOO_MUCH: list[tuple[str, Any]] = [
    (CHAT, {"max_tokens": 101}),
    (CHAT, {"max_tokens": "101"}),
    (CHAT, {"max_completion_tokens": 1, "max_tokens": 1000000}),
    (CHAT, {"max_completion_tokens": 1000000, "max_tokens": 1}),
    (CHAT, {"max_tokens": 1, "n_predict": 1000}),
    (CHAT, {"max_tokens": 10, "n": 11}),
    (CHAT, {"n": 128}),
    (COMPLETIONS, {"max_tokens": 10, "best_of": 11}),
    (COMPLETIONS, {"max_tokens": 10, "prompt": ["x"] * 11}),
    (COMPLETIONS, {"max_tokens": 10, "prompt": [[1]] * 11}),
    (COMPLETIONS, {"max_tokens": 10, "prompt_embeds": ["x"] * 11}),
    (COMPLETIONS, {"max_tokens": 10, "prompt": ["x"] * 6, "prompt_embeds": ["x"] * 5}),
    (LLAMACPP, {"model": "c", "n_predict": 101}),
    (LLAMACPP, {"model": "c", "n_predict": 10, "prompt": ["x"] * 11}),
    (LLAMACPP, {"model": "c", "n_predict": 10, "prompt": [[1], "x", {"prompt_string": ""}] * 4}),
    (BATCH, {"max_tokens": 101}),
    (BATCH, {"max_tokens": 10, "messages": [[]] * 11}),
    (RESPONSES, {"max_output_tokens": 101}),
    (OLLAMA, {"model": "l", "options": {"num_predict": 101}}),
    ("/v1/messages", {"max_tokens": 101}),
]
NO_NUMBER: list[tuple[str, Any]] = [
    (CHAT, {"max_tokens": -1}),
    (CHAT, {"max_tokens": 0}),
    (CHAT, {"max_tokens": -100000}),
    (CHAT, {"max_tokens": 1.5}),
    (CHAT, {"max_tokens": "ten"}),
    (CHAT, {"max_tokens": True}),
    (CHAT, {"max_tokens": [1]}),
    (CHAT, b'{"model":"m","max_tokens":1e400}'),
    (CHAT, {"max_tokens": 1, "n": -1}),
    (CHAT, {"Max_Tokens": 1000}),
    (CHAT, {"max_tokens": 1, "MAX_TOKENS": 1000}),
    (CHAT, {"max_token\u017f": 1000}),
    (CHAT, {"max_to\u212aens": 1000}),
    (CHAT, {"max_tokens": 1, "N": 100}),
    (CHAT, b'{"model":"m","max_tokens":1,"max_tokens":1000}'),
    (CHAT, b'{"model":"m","max_tokens":1000,"max_tokens":1}'),
    (CHAT, b'{"model":"m","max_tokens":1,"max_token\\u0073":1000}'),
    (CHAT, b'{"model":"m","max_token\\u0073":1,"max_token\\u0073":1000}'),
    (COMPLETIONS, b'{"model":"m","max_tokens":1,"prompt":["a","b"],"prompt":"x"}'),
    (COMPLETIONS, b'{"model":"m","max_tokens":1,"prompt_embeds":["a","b"],"prompt_embeds":"x"}'),
    (LLAMACPP, b'{"model":"c","n_predict":1,"prompt":["a","b"],"prompt":"x"}'),
    (BATCH, b'{"model":"m","max_tokens":1,"messages":[[],[]],"messages":[[]]}'),
    (OLLAMA, {"model": "l", "options": {"num_predict": -1}}),
    (OLLAMA, {"model": "l", "options": {"Num_Predict": 1000}}),
    (OLLAMA, {"model": "l", "Options": {"num_predict": 1000}}),
    (OLLAMA, b'{"model":"l","options":{"num_predict":1},"options":{"num_predict":1000}}'),
    (OLLAMA, b'{"model":"l","options":{"num_predict":1,"num_predict":1000}}'),
]


@pytest.mark.parametrize("pad", ["", "x" * 5000], ids=["small", "large"])
@pytest.mark.parametrize(
    ("path", "body", "code"),
    [
        *((path, body, "max_tokens_too_large") for path, body in TOO_MUCH),
        *((path, body, "invalid_request") for path, body in NO_NUMBER),
    ],
)
def test_a_longer_answer_than_a_key_may_have_is_refused_in_every_spelling(
    limited: Limited, path: str, body: Any, code: str, pad: str
) -> None:
    it, _, _, key = limited
    posts(limited)
    padded = text(body).replace(b"{", b'{"pad":"%s",' % pad.encode(), 1) if pad else text(body)
    answer = it.post(path, padded, key=key)
    assert answer.status_code == 400, answer.text
    if path not in (OLLAMA, "/v1/messages"):
        assert answer.json()["error"]["code"] in (code, "invalid_request")
    assert posts(limited) == []


FILLED = [
    (CHAT, '{"model":"m"}', '{"max_tokens":100,"model":"m"}'),
    (CHAT, '{"model":"m","n":3}', '{"max_tokens":33,"model":"m","n":3}'),
    (CHAT, '{"max_tokens": null ,"model":"m"}', '{"max_tokens": 100 ,"model":"m"}'),
    (CHAT, '{"model":"w","max_tokens":null}', '{"model":"m","max_tokens":100}'),
    (CHAT, '{"max_tokens":null,"model":"w"}', '{"max_tokens":100,"model":"m"}'),
    (
        CHAT,
        '{"model":"m","max_completion_tokens":7}',
        '{"max_tokens":7,"model":"m","max_completion_tokens":7}',
    ),
    (CHAT, '{"model":"m","max_tokens":9}', '{"model":"m","max_tokens":9}'),
    (CHAT, '{"model":"m","max_tokens":"9"}', '{"model":"m","max_tokens":"9"}'),
    (
        COMPLETIONS,
        '{"model":"m","prompt":["a","b"]}',
        '{"max_tokens":50,"model":"m","prompt":["a","b"]}',
    ),
    (BATCH, '{"model":"m","messages":[[],[]]}', '{"max_tokens":50,"model":"m","messages":[[],[]]}'),
    (
        LLAMACPP,
        '{"model":"c","prompt":["a","b"]}',
        '{"n_predict":50,"model":"m","prompt":["a","b"]}',
    ),
    (RESPONSES, '{"model":"m"}', '{"max_output_tokens":100,"model":"m"}'),
    (OLLAMA, '{"model":"l"}', '{"options":{"num_predict":100},"model":"m"}'),
    (OLLAMA, '{"model":"l","options":{}}', '{"model":"m","options":{"num_predict":100}}'),
    (
        OLLAMA,
        '{"model":"l","options":{"a":[1]}}',
        '{"model":"m","options":{"num_predict":100,"a":[1]}}',
    ),
    (
        OLLAMA,
        '{"options":{"num_predict":null},"model":"l"}',
        '{"options":{"num_predict":100},"model":"m"}',
    ),
    (OLLAMA, '{"model":"l","options":null}', '{"model":"m","options":{"num_predict":100}}'),
    ("/v1/embeddings", '{"model":"m","input":"x"}', '{"model":"m","input":"x"}'),
]


@pytest.mark.parametrize("pad", ["", "x" * 5000], ids=["small", "large"])
@pytest.mark.parametrize(("path", "body", "sent"), FILLED)
def test_a_key_s_maximum_is_written_in_where_the_request_says_none(
    limited: Limited, path: str, body: str, sent: str, pad: str
) -> None:
    it, _, _, key = limited
    posts(limited)
    end = f',"pad":"{pad}"}}' if pad else "}"
    answer = it.post(path, (body[:-1] + end).encode(), key=key)
    assert answer.status_code == 200, answer.text
    assert posts(limited) == [sent[:-1] + end]


def test_a_stream_gets_the_maximum_and_is_asked_for_its_usage(limited: Limited) -> None:
    it, a, _, key = limited
    a.reset()
    assert it.chat(key=key, stream=True).status_code == 200
    sent = json.loads(a.requests()[0]["body"])
    assert (sent["max_tokens"], sent["stream_options"]) == (100, {"include_usage": True})


@pytest.mark.parametrize("asked", [-100000, 0, "-5", -1e12, 1.5])
@pytest.mark.parametrize("model", ["m", "t"])
def test_nothing_is_added_to_a_limit_by_asking_for_less_than_nothing(
    limited: Limited, model: str, asked: Any
) -> None:
    it, _, _, _ = limited
    key = it.new_key("tokens", "--tpm", "1000")
    before = int(it.chat(model, key=key, max_tokens=1).headers["x-ratelimit-remaining-tokens"])
    assert it.chat(model, key=key, max_tokens=asked).status_code == 400
    after = it.chat(model, key=key, max_tokens=1).headers["x-ratelimit-remaining-tokens"]
    assert 0 <= int(after) <= before + 50


@pytest.mark.parametrize("told", ["1e308", "-1e9", "10000000000000000000", "5000"])
def test_whatever_a_backend_tells_a_minute_pays_for_it(limited: Limited, told: str) -> None:
    it, a, _, _ = limited
    key = it.new_key("told", "--tpm", "600")
    usage = f'{{"prompt_tokens":{told},"completion_tokens":1}}'
    a.behave(path_prefix=CHAT, body=f'{{"id":"x","choices":[],"usage":{usage}}}')
    first = it.chat(key=key, max_tokens=1)
    a.reset()
    assert first.status_code == 200
    refused = it.chat(key=key, max_tokens=1)
    if refused.status_code == 429:
        assert int(refused.headers["retry-after"]) <= 60
    else:
        assert 0 <= int(refused.headers["x-ratelimit-remaining-tokens"]) <= 600


def test_answers_asked_for_at_once_are_all_counted(limited: Limited) -> None:
    it, _, _, _ = limited
    key = it.new_key("many", "--tpm", "10000")
    answer = it.chat(key=key, max_tokens=100, n=50)
    assert 4000 < int(answer.headers["x-ratelimit-remaining-tokens"]) < 5000


def test_without_limits_of_tokens_a_backend_gets_what_it_understands(limited: Limited) -> None:
    it, a, _, _ = limited
    a.reset()
    assert it.chat(max_tokens=-1).status_code == 200  # llama.cpp: no end
    assert json.loads(a.requests()[0]["body"])["max_tokens"] == -1


@pytest.mark.parametrize(("said", "gets"), [({}, 100), ({"max_tokens": 60}, 60)])
def test_a_shadow_s_copy_has_the_key_s_maximum_as_the_original_has(
    limited: Limited, said: dict[str, int], gets: int
) -> None:
    it, a, _, key = limited
    copies, _ = others[it.url]
    copies.reset()
    assert it.chat("copied", key=key, **said).status_code == 200
    sent = json.loads(a.requests(CHAT)[-1]["body"])
    (copy,) = until(lambda: copies.requests(CHAT))
    assert sent["max_tokens"] == json.loads(copy["body"])["max_tokens"] == gets
