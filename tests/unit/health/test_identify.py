"""`engine: auto`: what runs there is told by the engine's own signs."""

from __future__ import annotations

import pytest

from infergate.health.ask import Target, make_client
from infergate.health.engines import PROFILES
from infergate.health.probe import identify

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("kind", list(PROFILES))
async def test_each_engine_is_recognised(box, engine_answers, kind) -> None:
    server = await box(engine_answers[kind])
    client = make_client()
    assert await identify(client, Target(server.url, timeout_s=2)) == kind


async def test_vllm_with_an_api_key_we_do_not_have_is_recognised(box, engine_answers) -> None:
    server = await box({**engine_answers["vllm"], "/v1/models": (401, {"error": "Unauthorized"})})
    client = make_client()
    assert await identify(client, Target(server.url, timeout_s=2)) == "vllm"


async def test_infinity_without_its_url_prefix_is_recognised(box) -> None:
    listing = {"data": [{"id": "bge-small", "owned_by": "infinity"}], "object": "list"}
    server = await box({"/health": (200, {"unix": 1.0}), "/models": (200, listing)})
    client = make_client()
    assert await identify(client, Target(server.url, timeout_s=2)) == "infinity"


async def test_tgi_is_not_taken_for_tei(box) -> None:
    """Both have /info, with much the same in it; TGI writes text, and lists it as OpenAI does."""
    info = {
        "model_id": "teknium/OpenHermes-2.5-Mistral-7B",
        "model_pipeline_tag": "text-generation",
        "max_concurrent_requests": 128,
        "max_client_batch_size": 4,
        "max_total_tokens": 4096,
        "router": "text-generation-router",
        "version": "3.3.4",
    }
    listing = {"data": [{"id": info["model_id"], "owned_by": info["model_id"]}], "object": "list"}
    server = await box({"/health": (200, b""), "/info": (200, info), "/v1/models": (200, listing)})
    client = make_client()
    assert await identify(client, Target(server.url, timeout_s=2)) == "openai"


async def test_a_server_that_answers_200_to_everything_is_no_special_engine(box) -> None:
    anything = (200, {"error": "Unexpected endpoint or method. Returning 200 anyway"})
    paths = ("/-/healthz", "/api/version", "/api/tags", "/info", "/props", "/version", "/health")
    server = await box(dict.fromkeys(paths, anything))
    client = make_client()
    assert await identify(client, Target(server.url, timeout_s=2)) == "openai"


async def test_a_kind_whose_liveness_path_is_missing_is_not_believed(box) -> None:
    server = await box({"/v1/models": (200, {"data": [{"id": "m", "owned_by": "vllm"}]})})
    client = make_client()
    assert await identify(client, Target(server.url, timeout_s=2)) == "openai"
