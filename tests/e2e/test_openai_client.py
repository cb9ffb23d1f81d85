"""The official OpenAI client through the gateway to real vLLM servers."""

from __future__ import annotations

import time

import httpx
import openai
import pytest

from tests.backends.servers import Server, fetch
from tests.e2e.conftest import Front

MESSAGES = [{"role": "user", "content": "hello"}]


@pytest.fixture
def client(texts_001: Front) -> openai.OpenAI:
    return openai.OpenAI(base_url=texts_001.base_url, api_key=texts_001.key, max_retries=0)


@pytest.mark.parametrize("model", ["qwen-1.5-7b-chat", "gpt-3.5-turbo"])
def test_chat(client: openai.OpenAI, model: str) -> None:
    answer = client.chat.completions.create(model=model, messages=MESSAGES, max_tokens=4)
    assert answer.usage is not None
    assert answer.usage.completion_tokens >= 1
    assert answer.choices[0].finish_reason in ("stop", "length")


def test_streamed_chat_with_usage(client: openai.OpenAI) -> None:
    chunks = list(
        client.chat.completions.create(
            model="qwen-1.5-7b-chat",
            messages=MESSAGES,
            max_tokens=6,
            stream=True,
            stream_options={"include_usage": True},
            extra_body={"ignore_eos": True},
        )
    )
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 6
    assert any(chunk.choices and chunk.choices[0].finish_reason == "length" for chunk in chunks)


def _share_after_first_token(client: openai.OpenAI, model: str) -> float:
    """Of an answer's whole time, the share that lies between its first and its last token."""
    began = time.monotonic()
    times = [
        time.monotonic()
        for chunk in client.chat.completions.create(
            model=model,
            messages=MESSAGES,
            max_tokens=400,
            stream=True,
            extra_body={"ignore_eos": True},
        )
        if chunk.choices
    ]
    assert len(times) > 100
    return (times[-1] - times[0]) / (times[-1] - began)


def test_tokens_arrive_as_vllm_generates_them(client: openai.OpenAI) -> None:
    # Collected on the way, all would arrive at once at the end. A share of the same request's time,
    # because vLLM's speed on a shared machine doubles and halves from one request to the next; a
    # small one, because there it may wait long before it begins.
    assert _share_after_first_token(client, "gpt-3.5-turbo") > 0.05


def test_embeddings_under_openai_s_name(client: openai.OpenAI) -> None:
    answer = client.embeddings.create(model="text-embedding-ada-002", input=["hello", "world"])
    assert len(answer.data) == 2
    assert len(answer.data[0].embedding) == 128


def test_responses(client: openai.OpenAI) -> None:
    answer = client.responses.create(model="qwen-1.5-7b-chat", input="hello", max_output_tokens=8)
    assert answer.status in ("completed", "incomplete")


def test_the_models_list(client: openai.OpenAI) -> None:
    assert {model.id for model in client.models.list()} == {
        "qwen-1.5-7b-chat",
        "gpt-3.5-turbo",
        "text-embedding-ada-002",
    }
    assert client.models.retrieve("gpt-3.5-turbo").id == "gpt-3.5-turbo"


def test_a_wrong_key_is_the_client_s_authentication_error(texts_001: Front) -> None:
    client = openai.OpenAI(base_url=texts_001.base_url, api_key="sk-wrong", max_retries=0)
    with pytest.raises(openai.AuthenticationError) as caught:
        client.models.list()
    assert (caught.value.status_code, caught.value.code) == (401, "invalid_api_key")


def test_an_unknown_model_is_the_client_s_not_found_error(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        client.chat.completions.create(model="nope", messages=MESSAGES)
    assert caught.value.code == "model_not_found"


def test_a_malformed_body_is_a_400(texts_001: Front) -> None:
    answer = texts_001.gateway.post("/v1/chat/completions", b'{"model": "qwen-1.5-7b-chat"')
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "invalid_request_error"


def test_what_vllm_itself_refuses_comes_through_unchanged(texts_001: Front) -> None:
    body = {"model": "qwen-1.5-7b-chat", "messages": MESSAGES, "max_tokens": -1}
    answer = texts_001.gateway.post("/v1/chat/completions", body)
    assert answer.status_code == 400
    assert "max_tokens" in answer.text


def test_a_client_that_leaves_stops_vllm(texts_001: Front, vllm_chat: Server) -> None:
    asked = 1900  # seconds of work: on two busy cores vLLM's own server runs behind its engine
    body = {
        "model": "gpt-3.5-turbo",
        "messages": MESSAGES,
        "max_tokens": asked,
        "stream": True,
        "ignore_eos": True,
    }
    before = _tokens_generated(vllm_chat)
    with httpx.stream(
        "POST",
        texts_001.base_url + "/chat/completions",
        json=body,
        headers=texts_001.gateway.headers(),
        timeout=30,
    ) as answer:
        assert answer.status_code == 200
        lines = answer.iter_lines()  # kept: httpx leaves when its iterator is forgotten
        next(lines)
    seen = [before, before + 1]
    while seen[-1] != seen[-2]:  # until it generates no more
        time.sleep(1)
        seen.append(_tokens_generated(vllm_chat))
    assert 0 < seen[-1] - before < 0.9 * asked


def _tokens_generated(server: Server) -> float:
    text = httpx.get(server.url + "/metrics", timeout=10).text
    name = "vllm:generation_tokens_total{"
    return float(next(line for line in text.splitlines() if line.startswith(name)).split()[-1])


def test_vllm_is_known_as_what_it_is(texts_001: Front, vllm_chat: Server) -> None:
    backend = texts_001.gateway.backend("qwen")
    assert (backend["state"], backend["kind"], backend["models"]) == ("up", "vllm", ["tiny-qwen2"])
    assert backend["version"] == fetch(vllm_chat.url + "/version")["version"]
