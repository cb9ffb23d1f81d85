"""Reranking, which servers have under other names: Cohere's, Jina's, and Hugging Face's own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from infergate.api.dialects import chat, given
from infergate.api.dialects.translation import Body, InOnePiece
from infergate.api.refusal import Refused

COMMON = "/v1/rerank"
SHORT = "/rerank"
COHERES = "/v2/rerank"


class Rerank(InOnePiece):
    """One request, at another endpoint than it was sent to."""

    method: Literal["GET", "POST"] = "POST"

    def __init__(self, path: str, target: str, body: Body) -> None:
        """path: of the client's request. Raises Refused."""
        self.target, self._path = target, path
        documents = given.sequence(body.get("documents"), "documents")
        self._texts = [_text(each, f"documents.{n}") for n, each in enumerate(documents)]
        self._returns = given.flag(body.get("return_documents"), "return_documents")
        self._top = len(self._texts)
        if body.get("top_n") is not None:
            self._top = given.whole_number(body["top_n"], "top_n", 1)
        self.body: Body = {
            "model": given.text(body.get("model"), "model"),
            "query": given.text(body.get("query"), "query"),
            "documents": self._texts,
        }
        if target == SHORT:  # Text Embeddings Inference's word; each reads its own
            self.body["texts"] = self._texts

    def answer(self, answer: Body, /) -> Body:
        """An array, as Text Embeddings Inference answers, stands under `results`."""
        rows = answer.get("results")
        if not isinstance(rows, list) or not all(isinstance(each, dict) for each in rows):
            raise Refused("The backend's answer ranks nothing.", status=502, code="bad_answer")
        found = [self._row(each) for each in rows]
        found.sort(key=lambda row: row["relevance_score"], reverse=True)
        said: Body = {"results": found[: self._top]}
        if self._path != COHERES:
            used = answer.get("usage")
            return {"model": self.body["model"], **said, "usage": used or {"total_tokens": 0}}
        identity = chat.word(answer.get("id")) or "rerank"
        return {"id": identity, **said, "meta": {"api_version": {"version": "2"}}}

    def _row(self, row: Body) -> Body:
        index, score = row.get("index"), row.get("relevance_score", row.get("score"))
        if not _is_number(score) or not isinstance(index, int) or not 0 <= index < len(self._texts):
            raise Refused("The backend's answer ranks nothing.", status=502, code="bad_answer")
        found: Body = {"index": index, "relevance_score": score}
        if self._returns and self._path != COHERES:
            found["document"] = {"text": self._texts[index]}
        return found


def by_common_name(path: str, _: Mapping[str, str], body: Body) -> Rerank:
    """What most servers have. Raises Refused."""
    return Rerank(path, COMMON, body)


def by_short_name(path: str, _: Mapping[str, str], body: Body) -> Rerank:
    """What those have that have nothing else. Raises Refused."""
    return Rerank(path, SHORT, body)


def _text(value: Any, where: str) -> str:
    return given.text(value.get("text") if isinstance(value, dict) else value, where)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
