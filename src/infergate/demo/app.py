"""The demo's endpoints: models, chat completions, completions and embeddings.

`/v1/responses` is in `responses`, as its events are a language of their own. Built on Starlette
alone: FastAPI would add half a second to the quick start and check nothing that we need.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from infergate.demo import responses
from infergate.demo.answers import (
    DIMENSIONS,
    MODEL,
    DemoReply,
    as_base64,
    reply,
    text_of,
    tokens,
    vector,
)
from infergate.demo.wire import WireRefused, data_event, error, event_stream, flag, limit, read


def create_app(*, word_delay_s: float = 0.02) -> Starlette:
    """The demo backend as an ASGI application. word_delay_s: the pause before a streamed word."""
    routes = [
        Route("/health", _health),
        Route("/v1/models", _models),
        Route("/v1/models/{name}", _model),
        Route("/v1/chat/completions", _chat, methods=["POST"]),
        Route("/v1/completions", _completion, methods=["POST"]),
        Route("/v1/responses", responses.respond, methods=["POST"]),
        Route("/v1/embeddings", _embeddings, methods=["POST"]),
    ]
    app = Starlette(routes=routes, exception_handlers={WireRefused: _refused, HTTPException: _http})
    app.state.word_delay_s = word_delay_s
    return app


async def _refused(_: Request, problem: Exception) -> Response:
    assert isinstance(problem, WireRefused)  # noqa: S101  Starlette calls it for nothing else
    return error(problem.status, problem.message, problem.param, problem.code)


async def _http(request: Request, problem: Exception) -> Response:
    assert isinstance(problem, HTTPException)  # noqa: S101
    return error(problem.status_code, f"The demo has no {request.method} {request.url.path}.")


async def _health(_: Request) -> Response:
    return JSONResponse({"status": "ok"})


_CARD = {"id": MODEL, "object": "model", "created": 1767225600, "owned_by": "infergate-demo"}


async def _models(_: Request) -> Response:
    return JSONResponse({"object": "list", "data": [_CARD]})


async def _model(request: Request) -> Response:
    if request.path_params["name"] != MODEL:
        raise WireRefused(404, "There is no such model.", param="model", code="model_not_found")
    return JSONResponse(_CARD)


async def _chat(request: Request) -> Response:
    asked = await read(request)
    messages = asked.get("messages")
    if not isinstance(messages, list) or not messages:
        raise WireRefused(
            400, "messages must be a list with at least one message.", param="messages"
        )
    if not all(isinstance(message, dict) for message in messages):
        raise WireRefused(400, "Each message must be an object.", param="messages")
    texts = [text_of(message.get("content")) for message in messages]
    said = [t for m, t in zip(messages, texts, strict=True) if m.get("role") == "user"]
    answer = reply(
        said[-1] if said else "",
        "\n".join(texts),
        limit(asked, "max_completion_tokens", "max_tokens"),
    )
    head = _head("chatcmpl", "chat.completion")
    if flag(asked, "stream"):
        return event_stream(_chat_events(head, answer, asked, request.app.state.word_delay_s))
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": answer.text, "refusal": None},
        "logprobs": None,
        "finish_reason": _finish_reason(answer),
    }
    return JSONResponse({**head, "choices": [choice], "usage": _usage(answer)})


async def _chat_events(
    head: dict[str, Any], answer: DemoReply, asked: dict[str, Any], delay_s: float
) -> AsyncIterator[str]:
    head = {**head, "object": "chat.completion.chunk"}

    def chunk(delta: dict[str, Any], finish_reason: str | None = None) -> str:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return data_event({**head, "choices": [choice]})

    yield chunk({"role": "assistant", "content": ""})
    for word in answer.words:
        await asyncio.sleep(delay_s)
        yield chunk({"content": word})
    yield chunk({}, _finish_reason(answer))
    if _wants_usage(asked):
        yield data_event({**head, "choices": [], "usage": _usage(answer)})
    yield "data: [DONE]\n\n"


async def _completion(request: Request) -> Response:
    asked = await read(request)
    prompt = asked.get("prompt", "")
    if isinstance(prompt, list) and all(isinstance(part, str) for part in prompt):
        prompt = "\n".join(prompt)
    if not isinstance(prompt, str):
        raise WireRefused(400, "prompt must be a text or a list of texts.", param="prompt")
    answer = reply(prompt, prompt, limit(asked, "max_tokens"))
    head = _head("cmpl", "text_completion")
    if flag(asked, "stream"):
        delay_s = request.app.state.word_delay_s
        return event_stream(_completion_events(head, answer, asked, delay_s))
    choice = _text_choice(answer.text, _finish_reason(answer))
    return JSONResponse({**head, "choices": [choice], "usage": _usage(answer)})


async def _completion_events(
    head: dict[str, Any], answer: DemoReply, asked: dict[str, Any], delay_s: float
) -> AsyncIterator[str]:
    for word in answer.words:
        await asyncio.sleep(delay_s)
        yield data_event({**head, "choices": [_text_choice(word, None)]})
    yield data_event({**head, "choices": [_text_choice("", _finish_reason(answer))]})
    if _wants_usage(asked):
        yield data_event({**head, "choices": [], "usage": _usage(answer)})
    yield "data: [DONE]\n\n"


async def _embeddings(request: Request) -> Response:
    asked = await read(request)
    texts = _embedding_inputs(asked.get("input"))
    if asked.get("dimensions") not in (None, DIMENSIONS):
        raise WireRefused(400, f"The demo's vectors have {DIMENSIONS} numbers.", param="dimensions")
    encoding = asked.get("encoding_format") or "float"
    if encoding not in ("float", "base64"):
        raise WireRefused(400, "encoding_format must be float or base64.", param="encoding_format")
    vectors = (vector(text) for text in texts)
    data = [
        {
            "object": "embedding",
            "index": index,
            "embedding": as_base64(each) if encoding == "base64" else each,
        }
        for index, each in enumerate(vectors)
    ]
    counted = sum(tokens(text) for text in texts)
    usage = {"prompt_tokens": counted, "total_tokens": counted}
    return JSONResponse({"object": "list", "data": data, "model": MODEL, "usage": usage})


def _embedding_inputs(given: Any) -> list[str]:
    """The texts to embed. Token lists, which LangChain sends by default, are taken as texts."""
    inputs = given if isinstance(given, list) and not _is_token_list(given) else [given]
    if not inputs or not all(isinstance(i, str) or _is_token_list(i) for i in inputs):
        raise WireRefused(400, "input must be a text or a list of texts.", param="input")
    return [i if isinstance(i, str) else " ".join(map(str, i)) for i in inputs]


def _is_token_list(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(t, int) for t in value)


def _head(prefix: str, kind: str) -> dict[str, Any]:
    answer_id = f"{prefix}-{uuid.uuid4().hex}"
    return {"id": answer_id, "object": kind, "created": int(time.time()), "model": MODEL}


def _text_choice(text: str, finish_reason: str | None) -> dict[str, Any]:
    return {"index": 0, "text": text, "logprobs": None, "finish_reason": finish_reason}


def _finish_reason(answer: DemoReply) -> str:
    return "length" if answer.cut else "stop"


def _usage(answer: DemoReply) -> dict[str, int]:
    return {
        "prompt_tokens": answer.prompt_tokens,
        "completion_tokens": answer.completion_tokens,
        "total_tokens": answer.prompt_tokens + answer.completion_tokens,
    }


def _wants_usage(asked: dict[str, Any]) -> bool:
    options = asked.get("stream_options")
    return isinstance(options, dict) and options.get("include_usage") is True
