"""A Serve application that stands for ray.serve.llm's, because vLLM under Ray needs a GPU: it takes
the same arguments and answers like OpenAI, a word every so often."""

# Annotations are not put off: FastAPI looks at them where Ray has unpickled the class.
import asyncio
import json
import os
from collections.abc import AsyncIterator
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from ray import serve
from ray.serve.deployment import Application

_WORD_S = float(os.environ.get("RAY_DOUBLE_WORD_S", "0.02"))
api = FastAPI()


# Before the class: Ray takes along what is there when it is decorated.
async def _stream(base: dict[str, Any], words: list[str]) -> AsyncIterator[str]:
    for index, word in enumerate(words):
        end = "length" if index == len(words) - 1 else None
        choice = {"index": 0, "delta": {"content": word}, "finish_reason": end}
        piece = {**base, "object": "chat.completion.chunk", "choices": [choice]}
        yield f"data: {json.dumps(piece)}\n\n"
        await asyncio.sleep(_WORD_S)
    yield "data: [DONE]\n\n"


@serve.deployment(max_ongoing_requests=64, ray_actor_options={"num_cpus": 0.1})
@serve.ingress(api)
class Double:
    """One replica."""

    def __init__(self, models: list[str]) -> None:
        self._models = models

    @api.get("/v1/models")
    def models(self) -> dict[str, Any]:
        listed = [{"id": name, "object": "model", "owned_by": "ray"} for name in self._models]
        return {"object": "list", "data": listed}

    @api.post("/v1/chat/completions")
    async def chat(self, request: Request) -> Response:
        body = await request.json()
        words = [f" w{index}" for index in range(int(body.get("max_tokens") or 4))]
        replica = serve.get_replica_context().replica_id.unique_id
        base = {"id": "chatcmpl-1", "created": 1, "model": body["model"]}
        base["system_fingerprint"] = replica
        if body.get("stream"):
            return StreamingResponse(_stream(base, words), media_type="text/event-stream")
        await asyncio.sleep(_WORD_S * len(words))
        message = {"role": "assistant", "content": "".join(words)}
        choice = {"index": 0, "finish_reason": "length", "message": message}
        usage = {"prompt_tokens": 1, "completion_tokens": len(words)}
        usage["total_tokens"] = len(words) + 1
        return JSONResponse(
            {**base, "object": "chat.completion", "choices": [choice], "usage": usage}
        )


def build_openai_app(args: dict) -> Application:  # type: ignore[type-arg]  # as Ray looks at it
    """Stands for ray.serve.llm.build_openai_app; of several models all are one deployment."""
    configs: list[dict[str, Any]] = args["llm_configs"]
    deployment = configs[0]["deployment_config"]
    return Double.options(
        num_replicas=deployment["num_replicas"],
        graceful_shutdown_timeout_s=deployment["graceful_shutdown_timeout_s"],
        max_replicas_per_node=1,
    ).bind([each["model_loading_config"]["model_id"] for each in configs])
