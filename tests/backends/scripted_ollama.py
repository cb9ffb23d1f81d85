"""Ollama's own API as its documentation has it: what it lists, and its NDJSON streams."""

from __future__ import annotations

_DETAILS = {
    "parent_model": "",
    "format": "gguf",
    "family": "llama",
    "families": ["llama"],
    "parameter_size": "8.0B",
    "quantization_level": "Q4_0",
}
_WHEN = "2026-01-01T00:00:00Z"
_COUNTS = {
    "done_reason": "stop",
    "total_duration": 5_000_000,
    "load_duration": 1_000_000,
    "prompt_eval_count": 7,
    "prompt_eval_duration": 1_000_000,
    "eval_count": 5,
    "eval_duration": 3_000_000,
}


class Memory:
    """Which models are loaded. Until it is said how many it holds, the first one of all is, always.

    holds: how many; who was asked for least lately goes. loads: what was loaded, in order.
    """

    def __init__(self) -> None:
        self.holds: int | None = None
        self._loaded: list[str] = []
        self.loads: list[str] = []

    def set(self, holds: int, loaded: list[str]) -> None:
        """From now on, with nothing counted yet."""
        self.holds, self._loaded, self.loads = holds, list(loaded), []

    def of(self, models: list[str]) -> list[str]:
        """Those of the models that are loaded."""
        return models[:1] if self.holds is None else [*self._loaded]

    def use(self, model: str) -> None:
        """It is asked something."""
        if self.holds is None:
            return
        if model in self._loaded:
            self._loaded.remove(model)
        else:
            self.loads.append(model)
            del self._loaded[: len(self._loaded) + 1 - self.holds]
        self._loaded.append(model)


def get(path: str, models: list[str], memory: Memory) -> dict | None:
    """The answer to a GET; None if Ollama has no such path."""
    if path == "/api/version":
        return {"version": "0.12.0"}
    if path == "/api/tags":
        return {"models": [{**_card(model), "modified_at": _WHEN} for model in models]}
    if path == "/api/ps":
        loaded = {"expires_at": _WHEN, "size_vram": 1, "context_length": 4096}
        return {"models": [{**_card(model), **loaded} for model in memory.of(models)]}
    return None


def _card(model: str) -> dict:
    return {"name": model, "model": model, "size": 1, "digest": "d", "details": _DETAILS}


def post(path: str, asked: dict, name: str, chunks: int) -> dict | list[dict] | None:
    """The answer to a POST or DELETE: an object, or the lines of a stream. None: no such path."""
    model = asked.get("model") or asked.get("name")
    streamed = asked.get("stream", True)
    if path in ("/api/chat", "/api/generate"):
        texts = [f"{name}{number} " for number in range(chunks)] if streamed else [name]
        lines = [_said(path, model, text) for text in texts]
        lines[-1] |= {"done": True, **_COUNTS}
        return lines if streamed else lines[0]
    if path == "/api/embed":
        given = asked.get("input", "")
        vectors = [[0.25, 0.5]] * (len(given) if isinstance(given, list) else 1)
        return {"model": model, "embeddings": vectors, "prompt_eval_count": 7}
    if path == "/api/embeddings":
        return {"embedding": [0.25, 0.5]}
    if path == "/api/show":
        return {"model": model, "details": _DETAILS, "capabilities": ["completion"], "from": name}
    if path in ("/api/pull", "/api/push", "/api/create"):
        states = ["pulling manifest", "verifying sha256 digest", "success"]
        return [{"status": state} for state in states] if streamed else {"status": "success"}
    if path in ("/api/copy", "/api/delete"):
        return {"status": "success"}
    return None


def _said(path: str, model: str | None, text: str) -> dict:
    said = (
        {"message": {"role": "assistant", "content": text}}
        if path == "/api/chat"
        else {"response": text}
    )
    return {"model": model, "created_at": _WHEN, **said, "done": False}
