"""What is served now, by whatever route, is what `apply` protects."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack

import httpx
import pytest

from tests.backends.servers import free_port, scripted
from tests.engine.conftest import Pair
from tests.gateway import Gateway, gateway, until

pytestmark = pytest.mark.parametrize("engine", ["embedded"], indirect=True, scope="module")
"""What the control plane does beside nginx: one engine tells as much as two."""

CONFIG = """
backends: {{ a: {{ url: {a}, engine: vllm }}, b: {{ url: {b}, engine: vllm }} }}
"""


@pytest.fixture(scope="module")
def pair(engine: str) -> Iterator[Pair]:
    with ExitStack() as stack:
        a = stack.enter_context(scripted(name="a", models=["m", "only-a"]))
        b = stack.enter_context(scripted(name="b", models=["m"]))
        yield stack.enter_context(gateway(engine, CONFIG.format(a=a.url, b=b.url))), a, b


@pytest.fixture(autouse=True)
def as_it_was(pair: Pair) -> Iterator[None]:
    it, _, _ = pair
    text = it.file.read_text()
    yield
    it.file.write_text(text)
    it.run("apply", "--window", "0s")


def write(it: Gateway, backends: str) -> None:
    """The file with this instead of its line about backends."""
    lines = it.file.read_text().splitlines()
    it.file.write_text(
        "\n".join(backends.strip() if each.startswith("backends:") else each for each in lines)
    )


def refused(it: Gateway, backends: str) -> str:
    """Apply it; what it says against that."""
    before = it.status()["revision"]
    write(it, backends)
    said = it.run("apply", "--window", "0s", check=False)
    assert said.returncode == 1, said.stdout
    assert it.status()["revision"] == before
    return " ".join(said.stderr.split())


@pytest.mark.long
def test_a_model_that_no_line_names_does_not_die_of_a_change(pair: Pair) -> None:
    it, a, b = pair
    nowhere = f"http://127.0.0.1:{free_port()}"
    said = refused(it, CONFIG.format(a=nowhere, b=b.url))
    assert "'only-a'" in said
    assert "a: " in said
    said = refused(it, CONFIG.format(a=nowhere, b=nowhere))
    assert "m" in said
    assert it.chat("only-a").status_code == it.chat("m").status_code == 200
    # The other box has what this one lost: that is a change like any other.
    write(it, CONFIG.format(a=a.url, b=nowhere))
    it.run("apply", "--window", "0s")
    assert it.chat("m").status_code == 200


@pytest.mark.long
def test_the_first_move_to_a_list_of_backends_is_a_move_like_any_other(pair: Pair) -> None:
    it, a, _ = pair
    moved = "backends: { pool: { discover: { file: boxes.json }, engine: vllm } }\n"
    said = refused(it, moved)
    assert "boxes.json cannot be read" in said
    (it.folder / "boxes.json").write_text(json.dumps([f"http://127.0.0.1:{free_port()}"]))
    assert "'m'" in refused(it, moved.replace("pool", "second"))
    (it.folder / "boxes.json").write_text(json.dumps([a.url]))
    write(it, moved.replace("pool", "third"))
    it.run("apply", "--window", "0s")
    assert it.chat("only-a").status_code == 200


@pytest.mark.long
def test_a_model_that_a_silent_backend_may_have_is_awaited_and_not_denied(pair: Pair) -> None:
    it, _, _ = pair
    other = it.new_key("other", "--models", "m")
    hello = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 5}

    def asked(key: str) -> set[tuple[int, str | None]]:
        said = [
            it.post(path, {"model": "only-late", **hello}, key=key)
            for path in ("/v1/chat/completions", "/v1/messages", "/api/chat", "/rerank")
        ]
        said.append(it.get("/v1/models/only-late", key=key))
        return {(each.status_code, each.headers.get("retry-after")) for each in said}

    assert asked(it.key) == {(404, None)}
    port = free_port()
    it.run("backend", "add", "late", f"http://127.0.0.1:{port}")
    try:
        until(lambda: asked(it.key) == {(503, "5")})
        assert asked(other) == {(404, None)}, "what is not for a key is not there, now as ever"
        assert it.chat("only-a").status_code == 200
        with scripted(name="late", models=["only-late"], port=port):
            until(lambda: it.chat("only-late").status_code == 200)
            assert it.chat("nobody-s").status_code == 404
    finally:
        it.run("backend", "remove", "late")


def test_who_names_no_model_is_told_to_wait_while_the_usual_one_is_not_known_yet(
    engine: str,
) -> None:
    nobody = f"http://127.0.0.1:{free_port()}"
    config = f"backends: {{ a: {{ url: {nobody}, engine: vllm }} }}\ndefault_model: m\n"
    with gateway(engine, config) as it:
        key = it.new_key("other", "--models", "else")
        messages = [{"role": "user", "content": "hi"}]
        for body in ({}, {"model": "never-heard-of"}):
            answer = it.post("/v1/chat/completions", {**body, "messages": messages})
            assert (answer.status_code, answer.json()["error"]["code"]) == (503, "no_backend")
            assert answer.headers["retry-after"] == "5"
        upgrade = {**it.headers(), "Upgrade": "websocket", "Connection": "Upgrade"}
        realtime = it.url + "/v1/realtime?model=never-heard-of"
        answer = httpx.get(realtime, headers=upgrade, timeout=60)
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "no_backend")
        for path in ("/health", "/v1/health", "/ping"):
            answer = httpx.get(it.url + path, timeout=60)
            assert (answer.status_code, answer.json()["error"]["code"]) == (503, "no_backend")
            assert answer.headers["retry-after"] == "1"
        answer = it.post("/v1/chat/completions", {"messages": messages}, key=key)
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "missing_model")
