"""What runs on a backend and which models it has, kept current."""

from __future__ import annotations

import pytest

from infergate.health import watch
from infergate.kinds import KINDS

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("kind", list(KINDS))
async def test_probing_only_ever_gets_and_never_asks_for_a_completion(
    box, engine_answers, kind, running, until
) -> None:
    server = await box(engine_answers[kind])
    async with running({"a": server.url, "b": {"url": server.url, "engine": kind}}) as monitor:
        await until(lambda: monitor.status("a").models and monitor.status("b").checks > 3)
        assert monitor.status("a").kind == kind
    assert {method for method, _ in server.requests} == {"GET"}
    assert set(server.paths) <= {
        "/health", "/-/healthz", "/v1/models", "/models", "/api/version", "/api/tags", "/api/ps",
        "/version", "/info", "/props", "/model_info", "/get_model_info", "/metrics",
        "/v1/metadata", "/v1/metrics", "/v1/health/ready", "/health/ready", "/prometheus/metrics",
        "/engines", "/system", "/readyz", "/.well-known/localai.json", "/api/v0/models",
    }  # fmt: skip
    if kind == "sglang":
        assert "/health" not in server.paths  # SGLang generates a token for it
    if kind == "llamacpp":
        assert "/metrics" not in server.paths  # it would wake a server that sleeps


async def test_a_new_model_is_known_within_ten_seconds(box, engine_answers, running, until) -> None:
    server = await box(engine_answers["ollama"])
    async with running({"a": server.url}) as monitor:
        await until(lambda: monitor.status("a").models)
        server.answers["/api/tags"] = (200, {"models": [{"name": "new:1b"}]})
        await until(lambda: [m.id for m in monitor.status("a").models] == ["new:1b"])


async def test_a_list_that_cannot_be_read_keeps_the_previous_one(
    box, engine_answers, monkeypatch, running, until
) -> None:
    monkeypatch.setattr(watch, "DISCOVERY_INTERVAL_S", 0.1)
    server = await box(engine_answers["vllm"])
    async with running({"a": server.url}) as monitor:
        await until(lambda: monitor.status("a").models)
        server.answers["/v1/models"] = (200, b"<html>")
        await until(lambda: monitor.status("a").models_problem)
        status = monitor.status("a")
        assert status.models_problem == "the answer of /v1/models is not a list of models"
        assert [model.id for model in status.models] == ["qwen"]
        assert (status.state, status.version) == ("up", "0.32.0")
        server.answers["/v1/models"] = (200, {"data": []})
        await until(lambda: monitor.status("a").models == ())
        assert monitor.status("a").models_problem is None


async def test_a_backend_that_went_down_keeps_its_models(
    box, engine_answers, running, until
) -> None:
    server = await box(engine_answers["vllm"])
    async with running({"a": server.url}) as monitor:
        await until(lambda: monitor.status("a").models)
        await server.stop()
        await until(lambda: monitor.status("a").state == "down")
        assert [model.id for model in monitor.status("a").models] == ["qwen"]


async def test_another_engine_on_the_same_port_is_recognised(
    box, engine_answers, monkeypatch, running, until
) -> None:
    monkeypatch.setattr(watch, "DISCOVERY_INTERVAL_S", 0.2)
    server = await box(engine_answers["ollama"])
    async with running({"a": server.url}) as monitor:
        await until(lambda: monitor.status("a").kind == "ollama")
        server.answers = engine_answers["vllm"]
        await until(
            lambda: monitor.status("a").kind == "vllm" and monitor.status("a").version == "0.32.0"
        )
        assert [model.id for model in monitor.status("a").models] == ["qwen"]
        assert monitor.status("a").state == "up"


async def test_an_engine_too_busy_to_say_what_it_is_is_asked_again(
    box, engine_answers, monkeypatch, running, until, silence
) -> None:
    monkeypatch.setattr(watch, "DISCOVERY_INTERVAL_S", 0.2)
    monkeypatch.setattr(watch, "DISCOVERY_TIMEOUT_S", 0.3)
    server = await box({**engine_answers["ollama"], "/api/tags": silence})
    async with running({"a": server.url}) as monitor:
        await until(lambda: monitor.status("a").models)
        assert (monitor.status("a").kind, monitor.status("a").state) == (
            None,
            "up",
        )  # served, if generically
        server.answers = engine_answers["ollama"]
        await until(
            lambda: monitor.status("a").kind == "ollama" and monitor.status("a").models[0].tag
        )


async def test_an_engine_that_never_answers_some_paths_is_served_all_the_same(
    box, engine_answers, monkeypatch, running, until, silence
) -> None:
    monkeypatch.setattr(watch, "DISCOVERY_INTERVAL_S", 0.1)
    monkeypatch.setattr(watch, "DISCOVERY_TIMEOUT_S", 0.2)
    server = await box({**engine_answers["openai"], "/info": silence, "/props": silence})
    async with running({"a": server.url}) as monitor:
        await until(lambda: monitor.status("a").kind == "openai")
        assert [model.id for model in monitor.status("a").models] == ["gpt-x"]


async def test_models_of_the_configuration_win(box, engine_answers, running, until) -> None:
    server = await box(engine_answers["vllm"])
    backends = {"a": {"url": server.url, "models": ["qwen", "other"]}}
    async with running(backends) as monitor:
        assert [m.id for m in monitor.status("a").models] == ["qwen", "other"]  # before any answer
        await until(lambda: monitor.status("a").models[0].context_length == 32768)
        assert [m.id for m in monitor.status("a").models] == ["qwen", "other"]


async def test_a_backend_that_cannot_list_its_declared_models_is_no_problem(
    box, running, until
) -> None:
    server = await box()
    async with running({"a": {"url": server.url, "models": ["m"]}}) as monitor:
        await until(lambda: monitor.status("a").kind == "openai" and monitor.status("a").checks > 2)
        assert (monitor.status("a").state, monitor.status("a").models_problem) == ("up", None)
