"""The API of a small proxy before one vLLM, for clients that were written for such a one: its
paths, and its errors. Needs `takes: [/, /health, /version, /rerank, /score]`."""

from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from fastapi import HTTPException

from infergate.api.endpoints import Call, endpoint

VERSION = "1.0.0"


def shape(status: int, message: Any, path: str) -> dict[str, Any]:
    return {"error": HTTPStatus(status).phrase, "details": message, "path": path}


async def ask(call: Any, method: str, path: str, body: Any = None) -> Any:
    answer = await call.http.request(method, path, json=body)
    if answer.status_code != 200:
        error = answer.json().get("error", {})
        raise HTTPException(answer.status_code, error.get("message", answer.text))
    return answer.json()


async def model(call: Any) -> str:
    models = (await ask(call, "GET", "/v1/models"))["data"]
    if not models:
        raise HTTPException(503, "No model is there.")
    return str(models[0]["id"])


@endpoint("GET", "/", errors=shape)
async def root(call: Call) -> dict[str, Any]:
    now = datetime.now(UTC).isoformat()
    name = await model(call)
    return {"message": "The proxy runs.", "timestamp": now, "version": VERSION, "model": name}


@endpoint("GET", "/health", timeout=10, errors=shape)
async def health(call: Call) -> dict[str, Any]:
    try:
        await ask(call, "POST", "/tokenize", {"model": await model(call), "prompt": "a"})
    except HTTPException as problem:
        raise HTTPException(503, f"vLLM does not answer: {problem.detail}") from None
    return {"status": "ok", "message": "vLLM answers.", "version": VERSION}


@endpoint("GET", "/version", errors=shape)
async def version(call: Call) -> dict[str, Any]:
    return {"version": (await ask(call, "GET", "/version")).get("version"), "proxy": VERSION}


@endpoint("POST", "/rerank", timeout=600, errors=shape)
async def rerank(body: dict[str, Any], call: Call) -> Any:
    return await ask(call, "POST", "/rerank", body)


@endpoint("POST", "/score", timeout=600, errors=shape)
async def score(body: dict[str, Any], call: Call) -> Any:
    return await ask(call, "POST", "/score", body)
