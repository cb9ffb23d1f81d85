"""The HTTP of a simulated engine: vLLM's paths and metrics, or Ollama's. A stream has its head at
once, a piece with the first token when it is there, and one at the end, none between."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from bench.routing.engine import Engine, Job
from bench.routing.prompts import CHARACTERS, blocks_of

if TYPE_CHECKING:
    from bench.routing.fleet import Simulated

_STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
    b"transfer-encoding: chunked\r\n\r\n"
)
_TEXT = "text/plain; version=0.0.4; charset=utf-8"


class Connection(asyncio.Protocol):
    """One connection of a router: a request, its answer, the next request."""

    def __init__(self, to: Simulated) -> None:
        self._to = to
        self._buffer = bytearray()
        self._job: Job | None = None
        self._asked: dict[str, Any] = {}
        self._last = False
        """The request said that no other one comes on this connection."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        if self._to.dead:
            transport.abort()
            return
        self._to.connections.add(self)

    def connection_lost(self, _: Exception | None) -> None:
        self._to.connections.discard(self)
        if self._job is not None:
            self._to.left(self._job)

    def abort(self) -> None:
        """As when the process is gone: the peer sees a reset."""
        self._job = None
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        try:
            while self._job is None and (request := self._next()) is not None:
                self._answer(*request)
        except ValueError:  # SGLang's router asks first whether it is gRPC, in HTTP/2
            self._reply({"detail": "Invalid HTTP request received."}, status="400 Bad Request")
            self._transport.close()

    def _next(self) -> tuple[str, str, bytes] | None:
        """Method, path and body of the next request, once it is there."""
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return None
        lines = self._buffer[:end].decode("latin-1").split("\r\n")
        told = (line.partition(":") for line in lines)
        headers = {name.lower(): value.strip() for name, _, value in told}
        start = end + 4
        if "chunked" in headers.get("transfer-encoding", "").lower():
            body, after = self._chunks(start)
        else:
            after = start + int(headers.get("content-length", 0))
            body = bytes(self._buffer[start:after]) if len(self._buffer) >= after else None
        if body is None:
            return None
        self._last = headers.get("connection", "").lower() == "close"
        del self._buffer[:after]
        method, path, _ = lines[0].split(" ")
        return method, path.partition("?")[0], body

    def _chunks(self, at: int) -> tuple[bytes | None, int]:
        parts = []
        while (end := self._buffer.find(b"\r\n", at)) >= 0:
            size = int(self._buffer[at:end].split(b";")[0], 16)
            at = end + 4 + size
            if len(self._buffer) < at:
                break
            if not size:
                return b"".join(parts), at
            parts.append(bytes(self._buffer[end + 2 : at - 2]))
        return None, at

    def _answer(self, method: str, path: str, body: bytes) -> None:
        if method == "POST" and path == "/v1/chat/completions":
            self._chat(json.loads(body))
            return
        self._to.asked += 1
        answer = (_ollama if self._to.kind == "ollama" else _vllm)(self._to, path)
        if answer is None:
            self._reply({"detail": "Not Found"}, status="404 Not Found")
        else:
            self._reply(answer, without_body=method == "HEAD")

    def _chat(self, asked: dict[str, Any]) -> None:
        to, hardware = self._to, self._to.engine.hardware
        content = "".join(each["content"] for each in asked["messages"])
        answer_tokens = asked.get("max_tokens") or asked.get("max_completion_tokens") or 16
        model = asked["model"] if hardware.models_in_memory else ""
        prompt_tokens = max(1, len(content) // CHARACTERS)
        if prompt_tokens + answer_tokens > hardware.kv_tokens:
            error = {"message": "longer than the KV cache", "type": "BadRequestError", "code": 400}
            self._reply({"object": "error", **error, "error": error}, status="400 Bad Request")
            return
        self._asked = asked
        self._job = Job(
            asked.get("seed", -1),
            blocks_of(content, hardware.block_tokens, model),
            prompt_tokens,
            answer_tokens,
            to.fleet.clock.now(),
            model,
        )
        if asked.get("stream"):
            self._transport.write(_STREAM_HEAD)
        to.submit(self._job, self)

    def first(self) -> None:
        if self._asked.get("stream"):
            self._transport.write(self._event([{"index": 0, "delta": {"content": "a"}}]))

    def end(self, job: Job) -> None:
        self._job = None
        usage = {
            "prompt_tokens": job.prompt_tokens,
            "completion_tokens": job.output_tokens,
            "total_tokens": job.prompt_tokens + job.output_tokens,
            "prompt_tokens_details": {"cached_tokens": job.hit},
        }
        if self._asked.get("stream"):
            last = self._event([{"index": 0, "delta": {"content": "z"}, "finish_reason": "stop"}])
            if (self._asked.get("stream_options") or {}).get("include_usage"):
                last += self._event([], usage=usage)
            self._write_last(last + b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n")
        else:
            message = {"role": "assistant", "content": "az"}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            self._reply({**self._base("chat.completion"), "choices": [choice], "usage": usage})
        self.data_received(b"")

    def _base(self, what: str) -> dict[str, Any]:
        return {"id": "chatcmpl-1", "object": what, "created": 1, "model": self._asked["model"]}

    def _event(self, choices: list[dict[str, Any]], **more: Any) -> bytes:
        chunk = {**self._base("chat.completion.chunk"), "choices": choices, **more}
        data = b"data: %s\n\n" % json.dumps(chunk).encode()
        return b"%x\r\n%s\r\n" % (len(data), data)

    def _reply(self, answer: object, *, status: str = "200 OK", without_body: bool = False) -> None:
        text = isinstance(answer, str)
        data = answer.encode() if isinstance(answer, str) else json.dumps(answer).encode()
        kind = _TEXT if text else "application/json"
        head = f"HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {len(data)}\r\n\r\n"
        self._write_last(head.encode() + (b"" if without_body else data))

    def _write_last(self, data: bytes) -> None:
        self._transport.write(data)
        if self._last:
            self._transport.close()


def _models(to: Simulated, owner: str) -> dict[str, Any]:
    cards = [
        {"id": each, "object": "model", "created": 1, "owned_by": owner, "max_model_len": 131_072}
        for each in to.fleet.models
    ]
    return {"object": "list", "data": cards}


def _vllm(to: Simulated, path: str) -> object | None:
    if path in ("/health", "/ping"):
        return ""
    return {
        "/v1/models": lambda: _models(to, "vllm"),
        "/version": lambda: {"version": "0.11.0"},
        "/metrics": lambda: metrics(to.engine, to.fleet.models[0]),
    }.get(path, lambda: None)()


def metrics(engine: Engine, model: str) -> str:
    """vLLM's names (vllm/v1/metrics/loggers.py); the KV cache is told in blocks, as there."""
    label = f'engine="0",model_name="{model}"'
    cache = f'enable_prefix_caching="True",num_gpu_blocks="{engine.hardware.kv_blocks}",engine="0"'
    size = f'block_size="{engine.hardware.block_tokens}"'
    lines = [f"vllm:cache_config_info{{{size},{cache}}} 1.0"]
    for name, kind, value in (
        ("num_requests_running", "gauge", engine.running),
        ("num_requests_waiting", "gauge", len(engine.waiting)),
        ("kv_cache_usage_perc", "gauge", engine.kv_usage),
        ("prefix_cache_queries_total", "counter", engine.prompt_tokens),
        ("prefix_cache_hits_total", "counter", engine.cached_tokens),
        ("prompt_tokens_total", "counter", engine.prompt_tokens),
        ("generation_tokens_total", "counter", engine.generated_tokens),
    ):
        lines.append(f"# TYPE vllm:{name} {kind}\nvllm:{name}{{{label}}} {float(value)}")
    return "\n".join(["# TYPE vllm:cache_config_info gauge", *lines, ""])


def _ollama(to: Simulated, path: str) -> object | None:
    def cards(names: object) -> dict[str, Any]:
        details = {"format": "gguf", "family": "llama", "parameter_size": "8.0B"}
        return {
            "models": [
                {"name": each, "model": each, "size": 1, "digest": each, "details": details}
                for each in names  # type: ignore[attr-defined]
            ]
        }

    return {
        "/": lambda: "Ollama is running",
        "/health": lambda: "",  # Ollama has none; routers that know no other sign need it
        "/api/version": lambda: {"version": "0.12.0"},
        "/api/tags": lambda: cards(to.fleet.models),
        "/api/ps": lambda: cards(to.engine.models),
        "/v1/models": lambda: _models(to, "library"),
    }.get(path, lambda: None)()
