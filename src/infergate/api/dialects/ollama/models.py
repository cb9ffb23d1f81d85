"""What Ollama says of a model, from an entry of /v1/models."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal
from urllib.parse import quote

from infergate.api.dialects import chat, given
from infergate.api.dialects.translation import Body, InOnePiece
from infergate.api.refusal import Refused
from infergate.kinds.kind import COMMON_CONTEXT


class _OfModel(InOnePiece):
    """A look at one model, which makes it do nothing."""

    method: Literal["GET", "POST"] = "GET"

    def __init__(self, model: str) -> None:
        if any(part in ("", ".", "..") for part in model.split("/")):
            raise Refused(f"model '{model}' not found", status=404, code="model_not_found")
        self.target = "/v1/models/" + quote(model, safe="/:@", errors="replace")
        self.body: Body = {}
        self.model = model


class Show(_OfModel):
    """/api/show."""

    def __init__(self, _: Mapping[str, str], body: Body) -> None:
        """Raises Refused. `name` is what `model` was called before."""
        super().__init__(given.text(body.get("model", body.get("name")), "model"))

    def answer(self, answer: Body) -> Body:
        length = next((found for name in COMMON_CONTEXT if (found := _at(answer, name))), 0)
        made = chat.count(answer.get("created"))
        return {
            "modelfile": "",
            "parameters": "",
            "template": "",
            "details": {
                "parent_model": chat.word(answer.get("parent")),
                "format": "",
                "family": "",
                "families": [],
                "parameter_size": "",
                "quantization_level": "",
            },
            # Ollama puts the architecture in front of each name, and it is not known here.
            "model_info": {
                "general.architecture": "unknown",
                **({"unknown.context_length": length} if length else {}),
            },
            "capabilities": ["completion"],
            "modified_at": datetime.fromtimestamp(min(made, 2**32), UTC).isoformat(),
        }


class Loaded(_OfModel):
    """A request without a prompt: Ollama loads the model, or unloads it for `keep_alive: 0`. A
    server of OpenAI's API keeps it as it was started to."""

    def __init__(self, model: str, body: Body, *, is_chat: bool) -> None:
        super().__init__(model)
        self._reason = "unload" if body.get("keep_alive") in (0, "0", "0s") else "load"
        self._is_chat = is_chat

    def answer(self, _: Body) -> Body:
        said: Body = {"response": ""}
        if self._is_chat:
            said = {"message": {"role": "assistant", "content": ""}}
        now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        done = {"done": True, "done_reason": self._reason}
        return {"model": self.model, "created_at": now, **said, **done}


def _at(entry: Body, name: str) -> int:
    """`a.b` for b in a; 0 where it is no number."""
    value: Any = entry
    for part in name.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return chat.count(value)
