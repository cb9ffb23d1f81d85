"""What the scripted backend answers: the documented shapes of OpenAI's and each engine's API."""

from __future__ import annotations

import base64
import json
import re
import struct
from dataclasses import dataclass

import scripted_ollama
import scripted_tools
from scripted_http import Request

_OWNERS = {"vllm": "vllm", "llamacpp": "llamacpp", "ollama": "library"}
_USAGE = {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}
_VECTOR = [0.25, 0.5]


@dataclass(frozen=True)
class Answer:
    """A whole body, or the pieces of a stream."""

    status: int = 200
    body: bytes = b""
    chunks: list[bytes] | None = None
    content_type: str = "application/json"

    def pieces(self) -> list[bytes]:
        """What is written at a time; a whole body in two halves."""
        if self.chunks is not None:
            return self.chunks
        middle = len(self.body) // 2
        return [self.body[:middle], self.body[middle:]]


class Answers:
    """The answers of one double."""

    def __init__(self, engine: str, name: str, models: list[str]) -> None:
        self.engine, self.name, self.models = engine, name, models
        self.memory = scripted_ollama.Memory()

    def to(self, request: Request, chunks: int) -> Answer:
        """The true answer. chunks: pieces of text, if it is a stream."""
        path = request.path.partition("?")[0]
        if request.method in ("GET", "HEAD"):
            return self._get(path)
        if "multipart/" in request.headers.get("content-type", ""):
            return self._form(request.body)
        try:
            asked = json.loads(request.body or b"{}")
        except ValueError as problem:
            return _json(_error(f"the body is not JSON: {problem}"), 400)
        if self.engine == "ollama" and isinstance(asked.get("model"), str):
            self.memory.use(asked["model"])
        if path.startswith("/api/"):
            return self._ollama(path, asked, chunks)
        return self._openai(path, asked, chunks)

    def _get(self, path: str) -> Answer:
        if path == "/v1/models":
            return _json({"object": "list", "data": [self._card(model) for model in self.models]})
        if path.startswith("/v1/models/"):
            model = path.removeprefix("/v1/models/")
            if model in self.models:
                return _json(self._card(model))
            return _json(_error(f"The model `{model}` does not exist."), 404)
        if self.engine == "ollama":
            if path == "/":
                return Answer(body=b"Ollama is running", content_type="text/plain")
            if (found := scripted_ollama.get(path, self.models, self.memory)) is not None:
                return _json(found)
        elif path in ("/health", "/version", "/props"):
            return _json({"status": "ok", "version": "0.0.1"})
        return _json({"error": "not found"}, 404)

    def _card(self, model: str) -> dict:
        owner = _OWNERS.get(self.engine, "somebody")
        return {"id": model, "object": "model", "created": 0, "owned_by": owner}

    def _form(self, body: bytes) -> Answer:
        """Audio comes as a form."""
        found = re.search(rb'name="model"\r\n\r\n(.*?)\r\n', body)
        return _json({"text": self.name, "model": found[1].decode() if found else None})

    def _ollama(self, path: str, asked: dict, chunks: int) -> Answer:
        if self.engine != "ollama":
            return _json({"detail": "Not Found"}, 404)
        found = scripted_ollama.post(path, asked, self.name, chunks)
        if found is None:
            return _json({"error": "not found"}, 404)
        if isinstance(found, dict):
            return _json({**found, "seen": self._seen(path, asked)})
        lines = [json.dumps(each).encode() + b"\n" for each in found]
        return Answer(chunks=lines, content_type="application/x-ndjson")

    def _seen(self, path: str, asked: dict) -> dict:
        """What was asked, short enough to read in a failed test."""
        messages = asked.get("messages")
        last = messages[-1] if messages and isinstance(messages, list) else {}
        said = last.get("content") if isinstance(last, dict) else last
        prompt = said or asked.get("prompt", asked.get("input"))
        return {"backend": self.name, "path": path, "model": asked.get("model"), "prompt": prompt}

    def _openai(self, path: str, asked: dict, chunks: int) -> Answer:
        model = asked.get("model")
        base = {"created": 0, "model": model, "seen": self._seen(path, asked)}
        if path == "/v1/embeddings":
            return _json({**base, **_embeddings(asked)})
        if path == "/v1/audio/speech":
            return Answer(body=b"ID3" + self.name.encode() * 100, content_type="audio/mpeg")
        if path in ("/v1/rerank", "/rerank", "/v2/rerank"):
            documents = asked.get("documents") or []
            if not isinstance(documents, list):
                return _json(_error("documents is a list"), 400)
            scores = [{"index": n, "relevance_score": 1 / (n + 1)} for n in range(len(documents))]
            return _json({**base, "path": path, "from": self.name, "results": scores})
        if path in ("/v1/score", "/score"):
            scores = [{"index": 0, "object": "score", "score": 0.5}]
            return _json({**base, "path": path, "from": self.name, "data": scores})
        if path in ("/tokenize", "/detokenize"):
            tokens = list(range(len(str(asked.get("prompt", "")).split())))
            more = {"count": len(tokens), "tokens": tokens, "max_model_len": 4096}
            return _json({**base, "path": path, "from": self.name, **more})
        if path == "/v1/responses":
            return _responses(base, asked, self.name, chunks)
        return _completion(path, base, asked, self, chunks)


_LAST = {
    "vllm": {"system_fingerprint": "fp_1"},
    "llamacpp": {"timings": {"prompt_n": 7, "prompt_ms": 0.5}},
}
"""What engines tell in the last event they make: of the usage, where it is asked for."""


def _completion(path: str, base: dict, asked: dict, by: Answers, chunks: int) -> Answer:
    """/v1/chat/completions and /v1/completions, whole or streamed."""
    name = by.name
    chat = path != "/v1/completions"
    kind = "chat.completion" if chat else "text_completion"
    base = {"id": "chatcmpl-1" if chat else "cmpl-1", **base}
    of_tools = scripted_tools.message(asked) if chat else None
    if not asked.get("stream"):
        said = {"message": {"role": "assistant", "content": name}} if chat else {"text": name}
        choice = {"index": 0, **said, "finish_reason": "stop"}
        if of_tools is not None:
            choice |= {"message": of_tools[0], "finish_reason": of_tools[1]}
        return _json({**base, "object": kind, "choices": [choice], "usage": _USAGE})

    def event(choices: list[dict], **more: object) -> dict:
        return {**base, "object": kind + ".chunk" if chat else kind, "choices": choices, **more}

    events = []
    if of_tools is not None:
        each = [(delta, None) for delta in scripted_tools.deltas(of_tools[0])]
        pieces = [*each, ({}, of_tools[1])]
        events = [event([{"index": 0, "delta": d, "finish_reason": f}]) for d, f in pieces]
    for number in range(chunks if of_tools is None else 0):
        text = f"{name}{number} "
        said = {"delta": {"content": text}} if chat else {"text": text}
        finish = "stop" if number == chunks - 1 else None
        events.append(event([{"index": 0, **said, "finish_reason": finish}]))
    options = asked.get("stream_options") or {}
    if options.get("include_usage"):
        if options.get("continuous_usage_stats"):
            events = [{**each, "usage": _USAGE} for each in events]
        events.append(event([], usage=_USAGE))
    events[-1] |= _LAST.get(by.engine, {})
    lines = [f"data: {json.dumps(each)}\n\n".encode() for each in events]
    return Answer(chunks=[*lines, b"data: [DONE]\n\n"], content_type="text/event-stream")


def _responses(base: dict, asked: dict, name: str, chunks: int) -> Answer:
    """/v1/responses, whole or as its named events."""
    usage = {"input_tokens": 7, "output_tokens": 5, "total_tokens": 12}

    def whole(status: str, text: str, **more: object) -> dict:
        content = [{"type": "output_text", "text": text, "annotations": []}]
        message = {"id": "msg_1", "type": "message", "role": "assistant", "status": status}
        output = [{**message, "content": content}] if text else []
        head = {"id": "resp_1", "object": "response", "created_at": 0, "status": status}
        tools = {"parallel_tool_calls": True, "tool_choice": "auto", "tools": []}
        return {**base, **head, **tools, "output": output, **more}

    if not asked.get("stream"):
        return _json(whole("completed", name, usage=usage))
    texts = [f"{name}{number} " for number in range(chunks)]
    place = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    events = [
        {"type": "response.created", "response": whole("in_progress", "")},
        *({"type": "response.output_text.delta", **place, "delta": text} for text in texts),
        {"type": "response.completed", "response": whole("completed", "".join(texts), usage=usage)},
    ]
    lines = [
        f"event: {event['type']}\ndata: {json.dumps({**event, 'sequence_number': number})}\n\n"
        for number, event in enumerate(events)
    ]
    return Answer(chunks=[line.encode() for line in lines], content_type="text/event-stream")


def _embeddings(asked: dict) -> dict:
    """One vector for each input; a list of numbers is one input, as tokens."""
    given = asked.get("input", "")
    several = isinstance(given, list) and not (given and isinstance(given[0], int))
    vector: object = _VECTOR
    if asked.get("encoding_format") == "base64":
        vector = base64.b64encode(struct.pack("<2f", *_VECTOR)).decode()
    data = [
        {"object": "embedding", "index": index, "embedding": vector}
        for index in range(len(given) if several else 1)
    ]
    return {"object": "list", "data": data, "usage": {"prompt_tokens": 7, "total_tokens": 7}}


def _error(message: str) -> dict:
    said = {"message": message, "type": "invalid_request_error", "param": None, "code": None}
    return {"error": said}


def _json(value: object, status: int = 200) -> Answer:
    return Answer(status, json.dumps(value).encode())
