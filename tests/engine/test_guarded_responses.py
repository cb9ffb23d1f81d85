"""Guardrails and responses that are kept: neither is a way round the other."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.gateway import Gateway, until
from tests.guardrails import BAD, Running, is_refused, only, pieces, posted

PATH = "/v1/responses"


def respond(it: Gateway, said: Any, model: str = "m", **more: Any) -> httpx.Response:
    return it.post(PATH, {"model": model, "input": said, **more}, timeout=60)


@pytest.mark.parametrize("stream", [False, True])
def test_what_is_asked_is_looked_through(guarded: Running, stream: bool) -> None:
    it, a, _ = guarded
    assert is_refused(respond(it, BAD, stream=stream))
    assert is_refused(respond(it, "hi", instructions=BAD, stream=stream))
    assert posted(a) == []
    fine = respond(it, "hi", stream=stream)
    assert fine.status_code == 200
    assert len(posted(a)) == 1


def test_what_is_made_in_the_background_is_looked_through(guarded: Running) -> None:
    it, a, _ = guarded
    made = respond(it, BAD, background=True).json()

    def over() -> dict[str, Any]:
        found: dict[str, Any] = httpx.get(
            f"{it.url}{PATH}/{made['id']}", headers=it.headers(), timeout=30
        ).json()
        return found if found["status"] not in ("queued", "in_progress") else {}

    found = until(over)
    assert found["status"] == "failed"
    assert "words" in found["error"]["message"]
    assert posted(a) == []


def test_a_conversation_that_began_without_a_guardrail_is_looked_through(guarded: Running) -> None:
    """Natively kept ones are the backend's own; this one is kept by the gateway."""
    it, a, _ = guarded
    key = it.new_key("guarded", "--guardrails", "before")
    begun = it.post(PATH, {"model": "m", "input": "a crimson bird"}, timeout=60, key=it.key).json()
    assert begun["id"].startswith("resp_ig_")
    a.reset()
    on = {"model": "before", "input": "and then?", "previous_response_id": begun["id"]}
    assert is_refused(it.post(PATH, on, timeout=60))
    item = [{"type": "item_reference", "id": begun["output"][0]["id"]}]
    assert it.post(PATH, {"model": "before", "input": item}, timeout=60).status_code == 200
    of_another = it.post(PATH, on, timeout=60, key=key).json()["error"]
    assert of_another["code"] == "previous_response_not_found"
    assert len(posted(a)) == 1


def test_what_is_kept_of_an_answer_is_what_passed(guarded: Running) -> None:
    it, a, _ = guarded
    only(a, raw=pieces("of project", " bluebird", " no more"))
    answer = respond(it, "hi", stream=True)
    assert "bluebird" not in answer.text
    assert '"type":"response.' in answer.text.replace('": "', '":"')
    line = next(each for each in answer.text.splitlines() if "resp_ig_" in each)
    id_ = "resp_ig_" + line.split("resp_ig_")[1].split('"')[0]
    kept = httpx.get(f"{it.url}{PATH}/{id_}", headers=it.headers(), timeout=30)
    assert "bluebird" not in kept.text
