"""`engine: auto`: what runs there is told by the engine's own signs."""

from __future__ import annotations

import pytest

from infergate.health.ask import Target, make_client
from infergate.health.probe import identify
from infergate.kinds import KINDS

pytestmark = pytest.mark.anyio


def test_each_kind_has_a_captured_answer(engine_answers) -> None:
    assert set(engine_answers) == set(KINDS)


@pytest.mark.parametrize("kind", list(KINDS))
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
