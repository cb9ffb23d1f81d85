"""The official clients of three dialects at a real llama.cpp: asked natively, and as a server that
has chat completions alone. The same script passes at both; without chance it says the same."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import anthropic
import ollama
import openai
import pytest

from tests.backends.servers import Server
from tests.e2e.conftest import Front
from tests.gateway import gateway, until

BOTH = ("native", "translated")
OLD = {"anthropic-version": "2023-06-01"}
"""In which a temperature may be given."""
GREEDY = {"temperature": 0}
HELLO: Any = [{"role": "user", "content": "hello"}]


@pytest.fixture(scope="module")
def front(llama: Server) -> Iterator[Front]:
    """What is said to be TGI has neither Anthropic's endpoints nor /v1/responses."""
    config = f"""
backends:
  native: {{ url: {llama.url}, engine: llamacpp }}
  chat: {{ url: {llama.url}, engine: tgi }}
models:
  native: {{ backends: [native], upstream_name: tiny-llama }}
  translated: {{ backends: [chat], upstream_name: tiny-llama }}
api: {{}}
"""
    # Forked: the tier is another user, who may not enter the folder where a test's Python is.
    with gateway("embedded", config, forked=True) as it:
        until(lambda: {each["state"] for each in it.status()["backends"]} == {"up"})
        yield Front(it)


@pytest.fixture(scope="module")
def claude(front: Front) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(
        base_url=front.gateway.url, api_key=front.key, max_retries=0, timeout=60
    ) as client:
        yield client


@pytest.fixture(scope="module")
def gpt(front: Front) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(
        base_url=front.base_url, api_key=front.key, max_retries=0, timeout=60
    ) as client:
        yield client


def test_a_message_is_the_same_whole_and_streamed(claude: anthropic.Anthropic) -> None:
    found = []
    for model in BOTH:
        asked: Any = {
            "model": model,
            "max_tokens": 9,
            "system": "Be kind.",
            "messages": HELLO,
            "extra_body": GREEDY,
            "extra_headers": OLD,
        }
        whole = claude.messages.create(**asked)
        with claude.messages.stream(**asked) as stream:
            pieces = list(stream.text_stream)
            last = stream.get_final_message()
        assert "".join(pieces) == last.content[0].text == whole.content[0].text  # type: ignore[union-attr]
        assert len(pieces) > 1
        assert whole.stop_reason == last.stop_reason == "max_tokens"
        for used in (whole.usage, last.usage):
            assert used.output_tokens == 9
            assert used.input_tokens + (used.cache_read_input_tokens or 0) > 0
        found.append(whole.content[0].text)  # type: ignore[union-attr]
    assert found[0] == found[1]


def test_tokens_are_counted_alike(claude: anthropic.Anthropic) -> None:
    asked: Any = {"system": "Be kind.", "messages": HELLO}
    native, translated = (
        claude.messages.count_tokens(model=model, **asked).input_tokens for model in BOTH
    )
    assert native == translated > 0


@pytest.mark.parametrize("model", BOTH)
def test_errors_are_anthropic_s(claude: anthropic.Anthropic, model: str) -> None:
    with pytest.raises(anthropic.NotFoundError):
        claude.messages.create(model="none", max_tokens=9, messages=HELLO)
    long: Any = [{"role": "user", "content": "hello " * 5000}]
    with pytest.raises(anthropic.BadRequestError) as refused:
        claude.messages.create(model=model, max_tokens=9, messages=long)
    # llama.cpp's own is one that Anthropic has not.
    wanted = {"native": "exceed_context_size_error", "translated": "invalid_request_error"}
    assert refused.value.body["error"]["type"] == wanted[model]  # type: ignore[index]
    assert "context" in refused.value.message


def test_a_response_is_the_same_whole_and_streamed(gpt: openai.OpenAI) -> None:
    found = []
    for model in BOTH:
        asked: Any = {"model": model, "input": "hello", "max_output_tokens": 9, "temperature": 0}
        whole = gpt.responses.create(**asked, store=False)
        events = list(gpt.responses.create(**asked, stream=True, store=False))
        deltas = [each.delta for each in events if each.type == "response.output_text.delta"]
        assert "".join(deltas) == whole.output_text
        last = events[-1]
        assert last.type in ("response.incomplete", "response.completed")
        assert whole.usage is not None
        assert whole.usage.output_tokens == 9
        found.append(whole.output_text)
    assert found[0] == found[1]


@pytest.mark.parametrize("model", BOTH)
def test_ollama_s_client(front: Front, model: str) -> None:
    """llama.cpp has nothing of Ollama's: both are translated."""
    client = ollama.Client(front.gateway.url, headers=front.gateway.headers(), timeout=60)
    options = {"num_predict": 9, "temperature": 0}
    whole = client.chat(model, HELLO, options=options)
    lines = list(client.chat(model, HELLO, options=options, stream=True))
    assert "".join(each.message.content or "" for each in lines) == whole.message.content
    assert (lines[-1].done_reason, lines[-1].eval_count) == ("length", 9)
    assert client.generate(model, "hello", options=options).response == whole.message.content
    assert client.generate(model, "hello", raw=True, options=options).eval_count == 9
    assert client.show(model).modelinfo["unknown.context_length"] == 4096  # type: ignore[index]
    with pytest.raises(ollama.ResponseError) as refused:
        client.chat("none", HELLO)
    assert refused.value.status_code == 404
