"""What a command said is in force answers the first request, and every later one: also where the
control plane, or another command, comes between its steps with what it knew before."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from infergate.changes import apply
from infergate.files import locked
from infergate.operate import backends
from infergate.paths import Home
from tests.backends.servers import Scripted, scripted
from tests.gateway import Gateway, gateway, until

pytestmark = pytest.mark.parametrize("engine", ["embedded"], indirect=True, scope="module")
"""What our processes do beside nginx: one engine tells as much as two."""

CONFIG = """
backends: {{ a: {{ url: {a}, engine: vllm }}, b: {{ url: {b}, engine: vllm }} }}
health: {{ interval: 300ms, timeout: 300ms, rise: 1, fall: 2, slow_start: 0s }}
"""
Boxes = tuple[Gateway, Scripted, Scripted]


@pytest.fixture(scope="module")
def running(engine: str) -> Iterator[Boxes]:
    with ExitStack() as stack:
        a = stack.enter_context(scripted(name="a", models=["m", "only-a"]))
        b = stack.enter_context(scripted(name="b", models=["m"]))
        yield stack.enter_context(gateway(engine, CONFIG.format(a=a.url, b=b.url))), a, b


@pytest.fixture
def boxes(running: Boxes) -> Iterator[Boxes]:
    it, a, b = running
    text = it.file.read_text()
    yield running
    for box, models in ((a, ("m", "only-a")), (b, ("m",))):
        box.behave()
        box.set_models(*models)
    it.file.write_text(text)
    it.run("reload")
    until(lambda: it.chat("only-a").status_code == 200)


def the_control_plane_has_news(box: Scripted) -> None:
    """It has found another model there, and has had the time to publish that."""
    box.behave(health="fail")
    seen = len(box.requests("/health"))
    until(lambda: len(box.requests("/health")) > seen + 3)  # it is down
    box.set_models("m", "new")
    lists = len(read_lists(box))
    box.behave()
    until(lambda: len(read_lists(box)) > lists)
    seen = len(box.requests("/health"))
    until(lambda: len(box.requests("/health")) > seen + 3)


def read_lists(box: Scripted) -> list[dict[str, Any]]:
    return [each for each in box.requests("/v1/models") if each["ended_s"]]


def test_a_model_goes_on_while_the_list_that_has_it_is_read_anew(boxes: Boxes) -> None:
    """After a start of the control plane a backend is up before its models are read."""
    it, a, b = boxes
    until(lambda: '"only-a"' in Home(it.home).health.read_text())
    a.behave(path_prefix="/v1/models", hold=True)
    asked = len(a.requests("/v1/models"))
    os.kill(it.status()["processes"]["control"], signal.SIGKILL)
    until(lambda: len(a.requests("/v1/models")) > asked)  # it is up, and asked for its list
    b.set_models("m", "new")
    until(lambda: it.chat("new").status_code == 200)
    assert it.chat("only-a").status_code == 200
    assert "only-a" in it.get("/v1/models").text


def test_a_backend_that_was_asked_before_it_came_keeps_its_models_until_it_is_asked_again(
    boxes: Boxes, monkeypatch: pytest.MonkeyPatch
) -> None:
    it, a, b = boxes

    def published(*arguments: Any) -> int:
        count = publish_all(*arguments)
        a.behave(path_prefix="/v1/models", hold=True)
        return count

    publish_all = apply.publish_all
    monkeypatch.setattr(apply, "publish_all", published)
    it.write(CONFIG.replace("a:", "other:").format(a=a.url, b=b.url))
    it.run("apply", "--window", "0s")
    assert it.chat("only-a").status_code == 200
    until(lambda: it.backend("other")["state"] == "up")
    assert it.chat("only-a").status_code == 200


def test_what_the_control_plane_knew_before_does_not_undo_an_apply(
    boxes: Boxes, monkeypatch: pytest.MonkeyPatch
) -> None:
    it, a, b = boxes
    publish_all = apply.publish_all

    def published(*arguments: Any) -> int:
        """Before the control plane is told, it has something to publish."""
        count = publish_all(*arguments)
        the_control_plane_has_news(b)
        codes.append(it.chat("renamed").status_code)
        return count

    codes: list[int] = []
    monkeypatch.setattr(apply, "publish_all", published)
    models = "models: { renamed: { backends: [a], upstream_name: m } }\n"
    it.write(CONFIG.format(a=a.url, b=b.url) + models)
    it.run("apply", "--window", "0s")
    assert [*codes, it.chat("renamed").status_code] == [200, 200]


def test_a_command_that_is_slow_does_not_undo_what_another_did_meanwhile(
    boxes: Boxes, start: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    it, _, _ = boxes
    one = start(scripted, name="one", models=["of-one"])
    two = start(scripted, name="two", models=["of-two"])
    follow = backends.follow
    others = iter([("two", two)])

    def slow(*arguments: Any) -> Any:
        followed = follow(*arguments)
        for name, box in others:
            it.run("backend", "add", name, box.url, "--engine", "vllm")
            until(lambda: it.chat("of-two").status_code == 200)
        return followed

    monkeypatch.setattr(backends, "follow", slow)
    it.run("backend", "add", "one", one.url, "--engine", "vllm")
    try:
        assert it.chat("of-two").status_code == 200
        until(lambda: it.chat("of-one").status_code == 200)
        assert it.chat("of-two").status_code == 200
    finally:
        it.run("backend", "remove", "one")
        it.run("backend", "remove", "two")


def test_a_backend_that_was_removed_stays_so_whatever_the_control_plane_has_to_publish(
    boxes: Boxes, monkeypatch: pytest.MonkeyPatch
) -> None:
    it, _, b = boxes
    until(lambda: it.chat("only-a").status_code == 200)
    follow = backends.follow
    with ExitStack() as held:

        def followed(*arguments: Any) -> Any:
            found = follow(*arguments)
            held.enter_context(locked(Home(it.home).run / "follow.lock"))
            return found

        monkeypatch.setattr(backends, "follow", followed)
        it.run("backend", "remove", "a")
        assert it.chat("only-a").status_code == 404
        the_control_plane_has_news(b)
        assert it.chat("only-a").status_code == 404
    monkeypatch.undo()
    until(lambda: it.chat("new").status_code == 200)
    assert it.chat("only-a").status_code == 404
    it.run("backend", "reset", "a")


def test_what_the_api_tier_answers_is_answered_as_soon_as_it_is_in_force(
    boxes: Boxes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The supervisor, which begins it, is late."""
    it, a, b = boxes
    supervisor = it.status()["processes"]["supervisor"]
    publish_all = apply.publish_all

    def published(*arguments: Any) -> int:
        threading.Timer(1.0, os.kill, (supervisor, signal.SIGCONT)).start()
        return publish_all(*arguments)

    monkeypatch.setattr(apply, "publish_all", published)
    translated = CONFIG.format(a=a.url, b=b.url).replace("engine: vllm", "engine: tgi", 1)
    asked = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
    for api in ("api: {}\n", "", "api: { workers: 2 }\n"):
        it.write(translated + "models: { m: [a] }\n" + api)
        os.kill(supervisor, signal.SIGSTOP)
        it.run("apply", "--window", "0s")
        answer = it.post("/v1/messages", asked)
        assert (answer.status_code, answer.json().get("type") == "message") == (200, bool(api))
