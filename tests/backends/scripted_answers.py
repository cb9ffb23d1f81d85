"""What the scripted backend answers: the documented shapes of each engine's API."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from scripted_http import Request

_OWNERS = {"vllm": "vllm", "llamacpp": "llamacpp", "ollama": "library"}
_USAGE = {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}


@dataclass(frozen=True)
class Answer:
    """A whole body, or the pieces of a stream."""

    status: int = 200
    body: bytes = b""
    chunks: list[bytes] | None = None
    content_type: str = "application/json"


class Answers:
    """The answers of one double."""

    def __init__(self, engine: str, name: str, models: list[str]) -> None:
        self.engine, self.name, self.models = engine, name, models

    def to(self, request: Request, *, chunks: int) -> Answer:
        path = request.path.partition("?")[0]
        if request.method == "GET":
            return self._get(path)
        if "multipart/" in request.headers.get("content-type", ""):
            found = re.search(rb'name="model"\r\n\r\n(.*?)\r\n', request.body)
            model = found[1].decode() if found else None
            return _json({"text": self.name, "model": model})
        asked = json.loads(request.body)
        if path.startswith("/api/"):
            return self._ollama(path, asked, chunks)
        return self._openai(path, asked, chunks)

    def _get(self, path: str) -> Answer:
        if path == "/v1/models":
            owner = _OWNERS.get(self.engine, "somebody")
            return _json(
                {
                    "object": "list",
                    "data": [
                        {"id": m, "object": "model", "created": 0, "owned_by": owner}
                        for m in self.models
                    ],
                }
            )
        if self.engine == "ollama":
            if path == "/api/version":
                return _json({"version": "0.12.0"})
            if path == "/api/tags":
                return _json(
                    {
                        "models": [
                            {"name": m, "model": m, "size": 1, "digest": "d", "details": {}}
                            for m in self.models
                        ]
                    }
                )
            if path == "/api/ps":
                return _json(
                    {"models": [{"name": m, "model": m, "size_vram": 1} for m in self.models[:1]]}
                )
        elif path in ("/health", "/version", "/props"):
            return _json({"status": "ok", "version": "0.0.1"})
        return _json({"error": "not found"}, 404)

    def _openai(self, path: str, asked: dict, chunks: int) -> Answer:
        model = asked.get("model")
        if path == "/v1/embeddings":
            data = [{"object": "embedding", "index": 0, "embedding": [0.25, 0.5]}]
            return _json({"object": "list", "model": model, "data": data, "usage": _USAGE})
        if path in ("/v1/rerank", "/v1/score", "/tokenize", "/detokenize"):
            return _json({"model": model, "path": path, "from": self.name})
        base = {"id": "chatcmpl-1", "created": 0, "model": model}
        if not asked.get("stream"):
            choice = {
                "index": 0,
                "message": {"role": "assistant", "content": self.name},
                "text": self.name,
                "finish_reason": "stop",
            }
            return _json(
                {**base, "object": "chat.completion", "choices": [choice], "usage": _USAGE}
            )
        events = [
            {
                **base,
                "object": "chat.completion.chunk",
                "choices": [
                    {"index": 0, "delta": {"content": f"{self.name}{n} "}, "finish_reason": None}
                ],
            }
            for n in range(chunks)
        ]
        if (asked.get("stream_options") or {}).get("include_usage"):
            events.append(
                {**base, "object": "chat.completion.chunk", "choices": [], "usage": _USAGE}
            )
        lines = [f"data: {json.dumps(event)}\n\n".encode() for event in events]
        return Answer(chunks=[*lines, b"data: [DONE]\n\n"], content_type="text/event-stream")

    def _ollama(self, path: str, asked: dict, chunks: int) -> Answer:
        model = asked.get("model") or asked.get("name")
        if path in ("/api/chat", "/api/generate"):
            pieces = [
                {
                    "model": model,
                    "message": {"role": "assistant", "content": f"{self.name}{n} "},
                    "response": f"{self.name}{n} ",
                    "done": n == chunks - 1,
                }
                for n in range(chunks)
            ]
            if asked.get("stream", True):
                lines = [json.dumps(piece).encode() + b"\n" for piece in pieces]
                return Answer(chunks=lines, content_type="application/x-ndjson")
            return _json(
                {
                    **pieces[-1],
                    "message": {"role": "assistant", "content": self.name},
                    "response": self.name,
                }
            )
        if path == "/api/embed":
            return _json({"model": model, "embeddings": [[0.25, 0.5]]})
        if path == "/api/embeddings":
            return _json({"embedding": [0.25, 0.5]})
        return _json({"status": "success", "path": path, "model": model, "from": self.name})


def _json(value: object, status: int = 200) -> Answer:
    return Answer(status, json.dumps(value).encode())
