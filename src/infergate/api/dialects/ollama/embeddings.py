"""/api/embed and the older /api/embeddings on /v1/embeddings."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Literal, TypeGuard

from infergate.api.dialects import chat, given
from infergate.api.dialects.translation import Body, InOnePiece
from infergate.api.refusal import Refused

PATH = "/v1/embeddings"


class Embed(InOnePiece):
    """/api/embed: one vector or several."""

    method: Literal["GET", "POST"] = "POST"
    target = PATH

    def __init__(self, _: Mapping[str, str], body: Body) -> None:
        """Raises Refused."""
        self.body: Body = {
            "model": given.text(body.get("model"), "model"),
            "input": _texts(body.get("input")),
            "encoding_format": "float",
        }
        if body.get("dimensions") is not None:
            self.body["dimensions"] = given.whole_number(body["dimensions"], "dimensions", 1)
        self._since = time.monotonic_ns()

    def answer(self, answer: Body) -> Body:
        used = chat.usage(answer) or chat.ChatUsage()
        return {
            "model": self.body["model"],
            "embeddings": vectors(answer),
            "total_duration": time.monotonic_ns() - self._since,
            "load_duration": 0,
            "prompt_eval_count": used.prompt,
        }


class Embeddings(InOnePiece):
    """/api/embeddings: one vector."""

    method: Literal["GET", "POST"] = "POST"
    target = PATH

    def __init__(self, _: Mapping[str, str], body: Body) -> None:
        """Raises Refused."""
        prompt = given.text(body.get("prompt"), "prompt")
        model = given.text(body.get("model"), "model")
        self.body: Body = {"model": model, "input": prompt, "encoding_format": "float"}

    def answer(self, answer: Body) -> Body:
        return {"embedding": next(iter(vectors(answer)), [])}


def _texts(value: Any) -> str | list[str]:
    if isinstance(value, str):
        return value
    return [given.text(each, "input") for each in given.sequence(value, "input")]


def vectors(answer: Body) -> list[list[float]]:
    """In the order of what was given. Raises Refused where the answer has none."""
    data = answer.get("data")
    rows = [each for each in data if isinstance(each, dict)] if isinstance(data, list) else []
    rows.sort(key=lambda row: chat.count(row.get("index")))
    found = [each for row in rows if _is_vector(each := row.get("embedding"))]
    if not isinstance(data, list) or len(found) != len(rows):
        raise Refused("The backend's answer has no embeddings.", status=502, code="bad_answer")
    return found


def _is_vector(value: Any) -> TypeGuard[list[float]]:
    return isinstance(value, list) and all(
        isinstance(each, int | float) and not isinstance(each, bool) for each in value
    )
