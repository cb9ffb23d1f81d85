"""Other clients, and other engines: nothing is said about their models, all of it is discovered."""

from __future__ import annotations

import ollama
import openai
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from llama_index.embeddings.openai import OpenAIEmbedding
from llama_index.llms.openai_like import OpenAILike

from tests.e2e.conftest import Front


def test_engines_and_models_are_recognised(discovered: Front) -> None:
    found = {b["name"]: (b["kind"], b["models"]) for b in discovered.gateway.status()["backends"]}
    assert found["llama"] == ("llamacpp", ["tiny-llama"])
    assert found["minilm"] == ("openai", ["all-minilm"])
    assert found["ollama"] == ("ollama", ["llama3:latest"])


def test_openai_client_to_llama_cpp(discovered: Front) -> None:
    client = openai.OpenAI(base_url=discovered.base_url, api_key=discovered.key)
    asked = {"model": "tiny-llama", "messages": [{"role": "user", "content": "hello"}]}
    answer = client.chat.completions.create(**asked, max_tokens=5)
    assert answer.choices[0].message.content
    chunks = list(client.chat.completions.create(**asked, max_tokens=5, stream=True))
    assert sum(bool(c.choices and c.choices[0].delta.content) for c in chunks) >= 3


def test_real_vectors_are_near_for_near_sentences(discovered: Front) -> None:
    client = openai.OpenAI(base_url=discovered.base_url, api_key=discovered.key)
    texts = ["A cat sits on the mat.", "A kitten rests on a rug.", "The bond market fell."]
    answer = client.embeddings.create(model="all-minilm", input=texts)
    cat, kitten, bonds = (each.embedding for each in answer.data)
    assert _dot(cat, kitten) > _dot(cat, bonds) + 0.2


def _dot(a: list[float], b: list[float]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))


def test_langchain(discovered: Front) -> None:
    chat = ChatOpenAI(
        model="tiny-llama", base_url=discovered.base_url, api_key=discovered.key, max_tokens=5
    )
    assert "".join(str(chunk.content) for chunk in chat.stream("hello"))
    vectors = OpenAIEmbeddings(
        model="all-minilm",
        base_url=discovered.base_url,
        api_key=discovered.key,
        check_embedding_ctx_length=False,
    )
    assert len(vectors.embed_query("hello")) == 384


def test_llama_index(discovered: Front) -> None:
    llm = OpenAILike(
        model="tiny-llama",
        api_base=discovered.base_url,
        api_key=discovered.key,
        is_chat_model=True,
        max_tokens=5,
        context_window=1000,
    )
    assert llm.complete("hello").text
    vectors = OpenAIEmbedding(
        model_name="all-minilm", api_base=discovered.base_url, api_key=discovered.key
    )
    assert len(vectors.get_text_embedding("hello")) == 384


def test_the_ollama_client(discovered: Front) -> None:
    client = ollama.Client(host=discovered.gateway.url, headers=discovered.gateway.headers())
    message = {"role": "user", "content": "hello"}
    assert client.chat(model="llama3", messages=[message]).message.content
    assert len(list(client.chat(model="llama3", messages=[message], stream=True))) == 5
    assert client.list().models[0].model == "llama3:latest"
    assert client.embed(model="llama3", input="hello").embeddings
