"""One probe of each engine: what counts as up, and what the reason says."""

from __future__ import annotations

import pytest

from infergate.config.backends import Backend
from infergate.health.ask import Target, make_client
from infergate.health.probe import probe
from infergate.kinds import KINDS

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("kind", list(KINDS))
async def test_each_engine_is_up_by_its_own_liveness_path(
    box, engine_answers, kind, probed
) -> None:
    server = await box(engine_answers[kind])
    result = await probed(server.url, kind)
    assert result.ok, result.reason
    assert server.requests == [("GET", KINDS[kind].liveness_path)]


async def test_llama_cpp_that_loads_its_model_is_not_up_and_says_so(box, probed) -> None:
    loading = {"error": {"code": 503, "message": "Loading model", "type": "unavailable_error"}}
    server = await box({"/health": (503, loading), "/v1/models": (503, loading)})
    for kind in ("llamacpp", None):
        result = await probed(server.url, kind)
        assert (result.ok, result.reason) == (False, "loading its model")


async def test_the_reason_names_status_and_path(box, probed) -> None:
    server = await box({"/health": (503, b"")})
    assert (await probed(server.url, "vllm")).reason == "HTTP 503 from /health"


async def test_a_wrong_engine_in_the_configuration_gets_a_hint(box, probed) -> None:
    server = await box()
    result = await probed(server.url, "vllm")
    assert not result.ok
    assert result.reason == "HTTP 404 from /health: is engine: vllm right?"


@pytest.mark.parametrize(("status", "ok"), [(200, True), (401, True), (404, True), (501, True),
                                            (500, False), (502, False), (503, False)])  # fmt: skip
async def test_a_generic_backend_is_up_unless_it_says_5xx(box, status, ok, probed) -> None:
    server = await box({"/v1/models": (status, b"?")})
    assert (await probed(server.url, "openai")).ok is ok


async def test_the_backends_api_key_is_sent_as_bearer(box) -> None:
    server = await box({"/health": (200, b"")})
    backend = Backend(url=server.url + "/v1", engine="vllm", api_key="s3cret")
    client = make_client()
    assert (await probe(client, Target.of(backend, 2.0))).ok
    assert server.headers[0]["authorization"] == "Bearer s3cret"


@pytest.mark.parametrize("key", ["line\nbreak", "schlüssel", "snow☃"])
async def test_a_key_no_header_can_carry_is_a_reason_and_no_crash(box, key, probed) -> None:
    server = await box({"/health": (200, b"")})
    result = await probed(server.url, "vllm", headers=(("authorization", key),))
    assert result.ok or "api_key" in result.reason


async def test_a_backend_below_a_path(box) -> None:
    server = await box({"/llm/health": (200, b"")})
    backend = Backend(url=server.url + "/llm/v1", engine="vllm")
    client = make_client()
    assert (await probe(client, Target.of(backend, 2.0))).ok


async def test_proxy_settings_of_the_environment_are_not_used(box, monkeypatch, probed) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    assert (await probed((await box({"/health": (200, b"")})).url, "vllm")).ok


async def test_cookies_of_one_backend_are_not_kept(box) -> None:
    server = await box({"/health": (200, b"", {"set-cookie": "session=1; Path=/"})})
    client = make_client()
    for _ in range(2):
        await probe(client, Target(server.url, "vllm", 2.0))
    assert "cookie" not in server.headers[1]
