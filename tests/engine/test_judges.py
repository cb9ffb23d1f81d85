"""Guardrails: a model that judges what is asked and answered."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.gateway import until
from tests.guardrails import Running, asked, is_refused, only, pieces, streamed, verdict


def test_a_judge_is_asked_once_as_the_caller(guarded: Running) -> None:
    """Who need not be allowed its model, and whose request it is counted with."""
    it, a, j = guarded
    key = it.new_key("judged", "--models", "judged")
    only(j, raw=verdict("safe\n"))
    until(lambda: asked(it, "hi there", "judged", key=key).status_code == 200)
    assert "hi there" in j.requests()[-1]["body"]
    assert len(j.requests()) == 1
    assert asked(it, "hi", "judge", key=key).status_code == 404
    only(j, raw=verdict("unsafe\nS1"))
    a.reset()
    assert is_refused(asked(it, "hi", "judged", key=key))
    assert a.requests() == []
    lines = it.log()
    outer = [each for each in lines if each.get("blocked") == "judged.judge.requests"][-1]
    its = [each for each in lines if each.get("parent") == outer["id"]]
    assert [each["gen_ai.request.model"] for each in its] == ["judge"]
    text = until(lambda: (t := httpx.get(f"{it.url}/metrics").text).count("judged") and t)
    assert 'guardrail="judged",what="judge",side="requests"' in text


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 500},
        {"hang": "before_headers"},
        {"die": "before_headers"},
        {"raw": verdict("Safe? I cannot say that it is safe.")},
        {"raw": verdict("")},
        {"body": "no JSON"},
    ],
)
def test_a_judge_that_does_not_say_refuses(guarded: Running, fault: dict[str, Any]) -> None:
    it, a, j = guarded
    only(j, **fault)
    assert is_refused(asked(it, "hi", "judged"))
    assert a.requests() == []
    if "raw" not in fault:  # unless it is told otherwise
        assert asked(it, "hi", "trusting").status_code == 200


def test_a_judge_of_answers_sees_all_of_it_first(guarded: Running) -> None:
    it, a, j = guarded
    only(a, raw=pieces("some", "thing", " else"))
    only(j, raw=verdict("safe"))
    assert streamed(it, "judged-answers")[:2] == ("something else", ["stop"])
    assert "something else" in j.requests()[-1]["body"]
    only(j, raw=verdict("unsafe"))
    assert streamed(it, "judged-answers")[:2] == ("", ["content_filter"])
