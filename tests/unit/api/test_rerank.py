"""Documents are ranked by servers that have another name for it, or other words."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infergate.api.dialects import table
from infergate.api.dialects.doc import has
from infergate.api.dialects.translation import Translation
from infergate.api.refusal import Refused
from infergate.contract.dialects import TRANSLATED
from infergate.kinds import KINDS
from tests.json_near import near

ASKED: dict[str, Any] = {
    "model": "m",
    "query": "q",
    "documents": ["a", {"text": "b"}],
    "top_n": 1,
    "return_documents": True,
}
PATHS = ("/v1/rerank", "/rerank", "/v2/rerank")


def made(path: str, body: dict[str, Any]) -> Translation:
    found = table.translation("POST", path, {}, body)
    assert found is not None
    return found


def test_cohere_s_is_the_common_one() -> None:
    found = made("/v2/rerank", ASKED)
    assert found.target == "/v1/rerank"
    assert found.body == {"model": "m", "query": "q", "documents": ["a", "b"]}
    rows = [{"index": 0, "relevance_score": 0.1}, {"index": 1, "relevance_score": 0.9}]
    answer = found.answer({"id": "r", "results": rows})
    assert (answer["id"], answer["results"]) == ("r", [{"index": 1, "relevance_score": 0.9}])


def test_hugging_face_s_own_words() -> None:
    found = made("/v1/rerank", ASKED)
    assert found.target == "/rerank"
    assert found.body["texts"] == found.body["documents"] == ["a", "b"]
    rows = [{"index": 1, "score": 0.9}, {"index": 0, "score": 0.1}]
    best = {"index": 1, "relevance_score": 0.9, "document": {"text": "b"}}
    assert found.answer({"results": rows})["results"] == [best]


def test_jina_s_is_the_common_one_without_what_stands_before() -> None:
    assert made("/rerank", ASKED).target == "/v1/rerank"


def test_documents_that_are_no_text_are_refused_with_their_place() -> None:
    with pytest.raises(Refused) as refused:
        made("/rerank", {**ASKED, "documents": ["a", {"image": "x"}]})
    assert refused.value.param == "documents.1"


@given(near(ASKED), near({"results": [{"index": 0, "score": 0.5}]}), st.sampled_from(PATHS))
def test_anything_is_ranked_or_refused(body: Any, answer: Any, path: str) -> None:
    with suppress(Refused):
        found = made(path, body).answer(answer)
        assert all(0 <= each["index"] < len(body["documents"]) for each in found["results"])


def test_no_kind_of_server_is_sent_in_circles() -> None:
    for kind in KINDS.values():
        for entry in table.ENTRIES:
            path = entry.path
            for _ in table.ENTRIES:
                if path not in TRANSLATED or has(kind, path):
                    break
                path = table.BY_PATH[path].target.split("`")[0]
            else:
                pytest.fail(f"{kind.title}: {entry.path}")
