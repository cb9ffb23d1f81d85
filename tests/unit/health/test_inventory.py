"""Reading what a backend has, and surviving what it may send instead."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infergate.health.ask import Target, make_client
from infergate.health.inventory import (
    MAX_MODELS,
    Inventory,
    ModelInfo,
    Unreadable,
    declared,
    ollama_models,
    openai_models,
    owner,
    steady,
    tei_models,
    version,
)
from infergate.health.probe import list_models
from infergate.kinds import KINDS

pytestmark = pytest.mark.anyio


async def listed(server: Any, kind: Any) -> Inventory | Unreadable:
    client = make_client()
    return await list_models(client, Target(server.url, kind, 3.0))


@pytest.mark.parametrize(
    ("kind", "version", "model"),
    [
        ("vllm", "0.32.0", ModelInfo("qwen", 32768, loaded=True)),
        ("llamacpp", None, ModelInfo("tiny.gguf", 2048)),
        ("sglang", None, ModelInfo("qwen", 4096, loaded=True)),
        ("tei", "1.8.2", ModelInfo("BAAI/bge-m3", 8192, loaded=True)),
        ("infinity", None, ModelInfo("bge-small", loaded=True)),
        ("ray", None, ModelInfo("llm", loaded=True)),
        ("openai", None, ModelInfo("gpt-x")),
        ("tgi", "3.3.4", ModelInfo("teknium/OpenHermes-2.5-Mistral-7B", loaded=True)),
        ("lmdeploy", None, ModelInfo("internlm2_5-7b-chat", loaded=True)),
        ("trtllm", "1.1.0", ModelInfo("TinyLlama-1.1B-Chat-v1.0", loaded=True)),
        ("triton", None, ModelInfo("llama-3.1-8b-instruct", loaded=True)),
        ("nim", "1.8.0", ModelInfo("meta/llama-3.1-8b-instruct", 131072, loaded=True)),
        ("production-stack", "0.1.8", ModelInfo("qwen", loaded=True)),
    ],
)
async def test_models_of_each_engine(box, engine_answers, kind, version, model) -> None:
    found = await listed(await box(engine_answers[kind]), kind)
    assert found == Inventory(kind, version, (model,))


@pytest.mark.parametrize(
    ("kind", "models"),
    [
        (
            "lmstudio",
            (
                ModelInfo("qwen2-vl-7b-instruct", 32768, loaded=False),
                ModelInfo("meta-llama-3.1-8b-instruct", 8192, loaded=True),
            ),
        ),
        ("localai", (ModelInfo("qwen3-8b", loaded=True), ModelInfo("gemma-3-4b", loaded=False))),
    ],
)
async def test_what_loads_models_on_demand_tells_which_are_loaded(
    box, engine_answers, kind, models
) -> None:
    found = await listed(await box(engine_answers[kind]), kind)
    assert isinstance(found, Inventory)
    assert found.models == models


async def test_ollama_tells_which_models_are_loaded_and_its_own_entries_are_kept(
    box, engine_answers
) -> None:
    found = await listed(await box(engine_answers["ollama"]), "ollama")
    assert isinstance(found, Inventory)
    assert found.version == "0.12.6"
    loaded, other = found.models
    assert (loaded.id, loaded.loaded, loaded.context_length) == ("llama3:latest", True, 4096)
    assert loaded.tag is not None
    assert loaded.tag["size"] == 4661224676
    assert loaded.running is not None
    assert loaded.running["size_vram"] == 5137025024
    assert (other.id, other.loaded, other.running) == ("phi4:14b", False, None)


async def test_ollama_without_api_ps_says_nothing_about_loading(box, engine_answers) -> None:
    server = await box({**engine_answers["ollama"], "/api/ps": (500, b"")})
    found = await listed(server, "ollama")
    assert isinstance(found, Inventory)
    assert [model.loaded for model in found.models] == [None, None]


def test_llama_cpps_router_tells_by_model_what_is_in_memory() -> None:
    cards = [
        {"id": name, "owned_by": "llamacpp", "status": {"value": name}}
        for name in ("loaded", "unloaded", "sleeping", "loading")
    ]
    found = openai_models({"data": cards}, KINDS["llamacpp"])
    assert found is not None
    assert [model.loaded for model in found] == [True, False, False, False]


async def test_a_known_version_is_not_asked_again(box, engine_answers) -> None:
    server = await box(engine_answers["vllm"])
    client = make_client()
    await list_models(client, Target(server.url, "vllm", 2.0), known_version="0.31.0")
    assert server.paths == ["/v1/models"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not json",
        b"\xff\xfe\x00",
        b"[" * 100_000,
        b'{"data": [' + b"9" * 10_000 + b"]}",
        b'{"data": NaN}',
        b'"data"',
        b"null",
        b"[]",
        b'{"data": {"id": "x"}}',
        b'{"models": "many"}',
    ],
)
@pytest.mark.parametrize("kind", ["vllm", "ollama", "tei", "openai"])
async def test_garbage_is_unreadable_or_empty_and_never_an_exception(box, body, kind) -> None:
    profile = KINDS[kind]
    paths = (profile.models_path, profile.loaded_path or "/", profile.version_path or "/")
    found = await listed(await box(dict.fromkeys(paths, (200, body))), kind)
    assert isinstance(found, Unreadable) or found.models == ()


async def test_a_model_list_of_10_mb_is_refused(box) -> None:
    cards = [{"id": f"model-{n}", "owned_by": "vllm", "x": "y" * 1000} for n in range(10_000)]
    server = await box({"/v1/models": (200, {"data": cards}), "/version": (200, {})})
    found = await listed(server, "vllm")
    assert found == Unreadable("an answer from /v1/models of more than 4 MB")


@pytest.mark.parametrize(
    "entry",
    [
        None,
        7,
        "name",
        [],
        {},
        {"id": None},
        {"id": 7},
        {"id": ""},
        {"id": "x" * 257},
        {"id": "line\nbreak"},
        {"id": "half \ud800"},
        {"id": "fine", "max_model_len": "long", "meta": 3, "status": [], "owned_by": {}},
        {"id": "fine", "max_model_len": -5, "meta": {"n_ctx": True}},
    ],
)
def test_a_strange_entry_costs_only_itself(entry: Any) -> None:
    found = openai_models({"data": [entry, {"id": "good"}]}, KINDS["openai"])
    assert found is not None
    assert ModelInfo("good") in found
    assert set(found) <= {ModelInfo("good"), ModelInfo("fine")}


@pytest.mark.parametrize("running", [None, [], {"models": None}, {"models": [None, 3, {}]}])
def test_a_strange_api_ps_costs_nothing(running: Any) -> None:
    found = ollama_models({"models": [{"name": "m"}, {"name": 3}, {"name": "\ud800"}]}, running)
    assert found is not None
    assert [model.id for model in found] == ["m"]


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["data", "models", "id", "name", "meta", "status", "value", "n_ctx",
                             "owned_by", "model_id", "version", "max_model_len"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)  # fmt: skip


@given(_JSON, _JSON)
def test_no_json_whatsoever_raises(body: Any, running: Any) -> None:
    for found in (
        openai_models(body, KINDS["llamacpp"]),
        ollama_models(body, running),
        tei_models(body),
    ):
        assert found is None or all(isinstance(model, ModelInfo) for model in found)
    assert version(body) is None or isinstance(version(body), str)
    assert owner(body) is None or owner(body) in KINDS


def test_a_model_listed_twice_is_one() -> None:
    found = openai_models({"data": [{"id": "m"}, {"id": "m"}]}, KINDS["vllm"])
    assert found == (ModelInfo("m", loaded=True),)


def test_an_absurdly_long_list_is_cut() -> None:
    cards = [{"id": str(n)} for n in range(MAX_MODELS + 500)]
    found = openai_models(json.loads(json.dumps({"data": cards})), KINDS["vllm"])
    assert found is not None
    assert len(found) == MAX_MODELS


async def test_infinity_without_its_prefix_is_explained(box) -> None:
    found = await listed(await box(), "infinity")
    assert found == Unreadable("HTTP 404 from /v1/models: start Infinity with --url-prefix /v1")


def test_models_of_the_configuration_get_the_details_that_are_known() -> None:
    found = (ModelInfo("a", 4096, loaded=True), ModelInfo("c"))
    assert declared(["b", "a"], found) == (ModelInfo("b"), ModelInfo("a", 4096, loaded=True))


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    "more",
    [
        {"x": nested(500)},
        {"details": nested(500)},
        {"details": {"families": nested(500), "x": 1}},
        {"details": {"families": ["f"] * 10_000}},
        {"digest": "d" * 10_000},
        {"digest": "\x1b[31m", "size": 2**70, "size_vram": -1},
        {"capabilities": [{}]},
    ],
)
def test_of_ollamas_entries_only_known_fields_of_known_sizes_are_passed_on(more: Any) -> None:
    real = {"name": "m", "model": "m", "size": 7, "details": {"family": "llama", "families": None}}
    found = ollama_models({"models": [{**real, **more}]}, {"models": [{**real, **more}]})
    assert found is not None
    for passed in (found[0].tag, found[0].running):
        assert passed is not None
        assert len(json.dumps(passed)) < 300
        assert passed["name"] == "m"
        assert "\x1b" not in str(passed)


def test_the_entries_of_one_box_are_bounded_and_its_models_are_known_all_the_same() -> None:
    entry = {"digest": "é" * 128, "modified_at": "é" * 128, "details": {"family": "é" * 128}}
    listed = {"models": [{**entry, "name": str(n)} for n in range(2000)]}
    found = ollama_models(listed, listed)
    assert found is not None
    assert len(found) == 2000
    tags = [model.tag for model in found if model.tag is not None]
    assert 500 < len(tags) < 1000
    assert len(json.dumps(tags, ensure_ascii=False).encode()) < 600_000


@pytest.mark.parametrize("name", ["a\x1b[0m", "a\x07", "a\x9b31m", "a\u202eb", "a\u2028b", "a\nb"])
def test_a_name_that_a_terminal_would_obey_is_no_model(name: str) -> None:
    assert openai_models({"data": [{"id": name}]}, KINDS["vllm"]) == ()
    assert version({"version": name}) is None


def test_what_llama_cpp_calls_a_model_besides_and_says_it_is_for_is_known() -> None:
    said: dict[str, Any] = {"aliases": ["m", "fim"], "tags": ["chat"]}
    (info,) = openai_models({"data": [{"id": "m", **said}]}, KINDS["llamacpp"]) or ()
    assert (info.aliases, info.card) == (("fim",), said)
    for bad in ("fim", [1], ["a\x1b[0m"], [["x"]], ["x"] * 100, [""], {"fim": 1}):
        (info,) = openai_models({"data": [{"id": "m", "aliases": bad}]}, KINDS["llamacpp"]) or ()
        assert (info.aliases, info.card) == ((), {})


def test_what_an_engine_says_of_a_model_is_passed_on_and_when_it_began_stays() -> None:
    """vLLM and llama.cpp say the time of the question: nothing changes by that."""

    def said(created: int) -> tuple[ModelInfo, ...]:
        entry = {"id": "m", "created": created, "root": "org/m", "secret": "no", "meta": {"x": 1}}
        found = openai_models({"data": [entry]}, KINDS["vllm"])
        assert found is not None
        return found

    first = said(1)
    assert first[0].card == {"created": 1, "root": "org/m", "meta": {}}
    assert steady(first, said(2))[0].card == first[0].card
    assert steady((), said(2))[0].card == {"created": 2, "root": "org/m", "meta": {}}
