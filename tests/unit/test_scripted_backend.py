"""The scripted backend itself: what other tests rely on when they make something go wrong."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.backends.servers import Scripted, scripted

CHAT = "/v1/chat/completions"
MESSAGES = [{"role": "user", "content": "hello"}]


@pytest.fixture(scope="module")
def running() -> Iterator[Scripted]:
    with scripted(name="a", models=("m", "n")) as server:
        yield server


@pytest.fixture
def backend(running: Scripted) -> Scripted:
    running.set_models("m", "n")
    running.reset()
    return running


@pytest.fixture(scope="module")
def ollama() -> Iterator[Scripted]:
    with scripted(engine="ollama", name="o", models=("llama3:latest", "phi")) as server:
        yield server


def ask(backend: Scripted, path: str = CHAT, **body: Any) -> httpx.Response:
    asked = {"model": "m", "messages": MESSAGES, **body}
    return httpx.post(backend.url + path, json=asked, timeout=5)


def events(answer: httpx.Response) -> list[Any]:
    """The JSON of a stream's events; its end as text."""
    lines = [line[6:] for line in answer.text.splitlines() if line.startswith("data: ")]
    return [line if line == "[DONE]" else json.loads(line) for line in lines]


def until(condition: Any) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)


def test_an_answer_says_who_answers_and_what_was_asked(backend: Scripted) -> None:
    answer = ask(backend).json()
    assert answer["choices"][0]["message"]["content"] == "a"
    assert answer["seen"] == {"backend": "a", "path": CHAT, "model": "m", "prompt": "hello"}
    assert answer["usage"]["total_tokens"] == 12


@pytest.mark.parametrize("wants_usage", [False, True])
def test_a_stream_ends_in_done_and_has_usage_only_if_asked(
    backend: Scripted, wants_usage: bool
) -> None:
    options = {"stream_options": {"include_usage": True}} if wants_usage else {}
    *chunks, end = events(ask(backend, stream=True, **options))
    assert end == "[DONE]"
    assert [bool(chunk.get("usage")) for chunk in chunks] == [False] * 5 + [True] * wants_usage
    said = "".join(c["choices"][0]["delta"]["content"] for c in chunks if c["choices"])
    assert said == "a0 a1 a2 a3 a4 "


def test_the_other_paths_of_openai(backend: Scripted) -> None:
    assert ask(backend, "/v1/completions", prompt="x").json()["choices"][0]["text"] == "a"
    assert events(ask(backend, "/v1/completions", stream=True))[0]["choices"][0]["text"] == "a0 "
    streamed = events(ask(backend, "/v1/responses", input="x", stream=True))
    assert [streamed[0]["type"], streamed[-1]["type"]] == ["response.created", "response.completed"]
    vectors = ask(backend, "/v1/embeddings", input=["x", "y"]).json()["data"]
    assert [each["embedding"] for each in vectors] == [[0.25, 0.5]] * 2
    coded = ask(backend, "/v1/embeddings", input="x", encoding_format="base64").json()["data"]
    assert [each["embedding"] for each in coded] == ["AACAPgAAAD8="]
    ranked = ask(backend, "/v1/rerank", query="q", documents=["x", "y"]).json()["results"]
    assert [each["index"] for each in ranked] == [0, 1]
    assert ask(backend, "/v1/score", text_1="x", text_2="y").json()["data"][0]["score"] == 0.5
    assert ask(backend, "/tokenize", prompt="three short words").json()["count"] == 3
    assert ask(backend, "/v1/audio/speech", input="x").headers["content-type"] == "audio/mpeg"
    for path in ("/v1/audio/transcriptions", "/v1/audio/translations"):
        form: dict[str, Any] = {"data": {"model": "m"}, "files": {"file": ("a.wav", b"RIFF")}}
        said = httpx.post(backend.url + path, **form).json()
        assert said == {"text": "a", "model": "m"}
        assert 'filename="a.wav"' in backend.requests(path)[0]["body"]


def test_each_engine_says_what_it_is(backend: Scripted, ollama: Scripted) -> None:
    def owner(server: Scripted) -> str:
        return httpx.get(server.url + "/v1/models").json()["data"][0]["owned_by"]

    assert (owner(backend), owner(ollama)) == ("vllm", "library")
    assert httpx.get(backend.url + "/health").status_code == 200
    assert httpx.get(ollama.url + "/health").status_code == 404
    assert httpx.get(ollama.url).text == "Ollama is running"
    assert httpx.get(backend.url + "/api/version").status_code == 404
    assert ask(backend, "/api/chat").status_code == 404
    tags = httpx.get(ollama.url + "/api/tags").json()["models"]
    assert [each["name"] for each in tags] == ["llama3:latest", "phi"]
    loaded = httpx.get(ollama.url + "/api/ps").json()["models"]
    assert [each["name"] for each in loaded] == ["llama3:latest"]


def test_ollama_streams_unless_told_not_to(ollama: Scripted) -> None:
    lines = [json.loads(line) for line in ask(ollama, "/api/chat").text.splitlines()]
    assert [line["done"] for line in lines] == [False] * 4 + [True]
    assert lines[-1]["eval_count"] == 5
    assert ask(ollama, "/api/chat", stream=False).json()["message"]["content"] == "o"
    assert ask(ollama, "/api/generate", prompt="x", stream=False).json()["response"] == "o"
    assert len(ask(ollama, "/api/embed", input=["x", "y"]).json()["embeddings"]) == 2
    assert len(ask(ollama, "/api/pull").text.splitlines()) == 3


def test_a_fault_hits_only_its_path_and_only_so_often(backend: Scripted) -> None:
    backend.behave(path_prefix="/v1/chat", status=503, headers={"retry-after": "7"}, times=2)
    assert httpx.get(backend.url + "/v1/models").status_code == 200
    first = ask(backend)
    assert (first.status_code, first.headers["retry-after"]) == (503, "7")
    assert [ask(backend).status_code for _ in range(2)] == [503, 200]


def test_headers_alone_are_added_to_the_true_answer(backend: Scripted) -> None:
    backend.behave(headers={"x-more": "1"})
    answer = ask(backend)
    assert (answer.status_code, answer.headers["x-more"]) == (200, "1")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("place", ["before_headers", "after_headers", "mid_stream"])
def test_it_dies_where_it_is_told(backend: Scripted, place: str, stream: bool) -> None:
    backend.behave(die=place)
    status, got = None, b""

    def read() -> None:
        nonlocal status, got
        with httpx.stream("POST", backend.url + CHAT, json={"stream": stream}, timeout=5) as answer:
            status = answer.status_code
            for piece in answer.iter_raw():
                got += piece

    with pytest.raises(httpx.TransportError):
        read()
    assert status == (None if place == "before_headers" else 200)
    if place != "mid_stream":
        assert not got
    assert backend.stats()["aborted"] == 0, "it left, not the client"
    backend.behave()
    assert ask(backend).status_code == 200


@pytest.mark.parametrize("place", [True, "after_headers", "mid_stream"])
def test_it_hangs_and_notices_a_client_that_leaves(backend: Scripted, place: Any) -> None:
    backend.behave(path_prefix="/v1/chat", hang=place)
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(backend.url + CHAT, json={"stream": True}, timeout=0.2)
    until(lambda: backend.stats()["aborted"] == 1)
    (seen,) = backend.requests()
    assert seen["aborted"]
    assert seen["ended_s"] > seen["at_s"]
    assert backend.stats()["open"] == 0


def test_delays_come_where_they_are_asked_for(backend: Scripted) -> None:
    def times(**fault: Any) -> tuple[float, float, float]:
        """Seconds until the headers, the first byte and the end."""
        backend.behave()
        backend.behave(chunks=3, **fault)
        began = time.monotonic()
        with httpx.stream("POST", backend.url + CHAT, json={"stream": True}) as answer:
            seen = [time.monotonic()]
            for _ in answer.iter_raw():
                seen.append(time.monotonic())
        return seen[0] - began, seen[1] - began, seen[-1] - began

    headers, _, _ = times(delay_s=0.2)
    assert headers >= 0.2
    headers, first, _ = times(first_byte_delay_s=0.4)
    assert first - headers >= 0.2
    _, first, last = times(chunk_delay_s=0.2)
    assert last - first >= 0.4


def test_health_is_its_own_switch(backend: Scripted, ollama: Scripted) -> None:
    backend.behave(health="fail")
    assert httpx.get(backend.url + "/health").status_code == 503
    assert ask(backend).status_code == 200
    backend.behave(health="hang")
    with pytest.raises(httpx.ReadTimeout):
        httpx.get(backend.url + "/health", timeout=0.1)
    backend.behave(health="ok")
    assert httpx.get(backend.url + "/health").status_code == 200
    ollama.behave(health="fail")
    assert httpx.get(ollama.url + "/api/version").status_code == 503
    ollama.behave()
    assert httpx.get(ollama.url + "/api/version").status_code == 200


def test_models_come_and_go(backend: Scripted) -> None:
    backend.behave(models=["x"])
    assert [m["id"] for m in httpx.get(backend.url + "/v1/models").json()["data"]] == ["x"]
    assert httpx.get(backend.url + "/v1/models/x").json()["id"] == "x"
    assert httpx.get(backend.url + "/v1/models/m").status_code == 404


def test_it_counts_what_is_open_at_once(backend: Scripted) -> None:
    backend.behave(path_prefix="/v1/chat", delay_s=0.3)
    with ThreadPoolExecutor(4) as pool:
        assert {each.status_code for each in pool.map(lambda _: ask(backend), range(4))} == {200}
    assert backend.stats() == {"open": 0, "max_open": 4, "served": 4, "aborted": 0}


def test_bodies_and_repeated_headers_are_kept_as_they_came(backend: Scripted) -> None:
    body = b'{"model":"m","x":"\xc3\xa9"}'
    headers = [("x-twice", "1"), ("X-Twice", "2"), ("content-type", "application/json")]
    httpx.post(backend.url + CHAT, content=body, headers=headers)
    httpx.post(backend.url + CHAT, content=iter([body[:9], body[9:]]))  # chunked
    assert [each["body"].encode("latin-1") for each in backend.requests()] == [body, body]
    assert backend.requests()[0]["headers"]["x-twice"] == "1, 2"


def test_what_is_no_http_can_be_answered_too(backend: Scripted) -> None:
    backend.behave(raw="nonsense\r\n\r\n")
    with pytest.raises(httpx.RemoteProtocolError):
        ask(backend)


def test_a_connection_serves_many_requests(backend: Scripted) -> None:
    with httpx.Client() as client:
        for _ in range(3):
            answer = client.post(backend.url + CHAT, json={"model": "m"})
            assert answer.status_code == 200
        head = client.head(backend.url + "/health")
        assert (head.status_code, head.content) == (200, b"")
        assert client.get(backend.url + "/health").status_code == 200


def test_a_fault_that_is_misspelt_is_refused(backend: Scripted) -> None:
    for wrong in ({"delay": 1}, {"die": "sometimes"}, {"health": "so so"}):
        answer = httpx.post(backend.url + "/_control/behave", json=wrong)
        assert answer.status_code == 400
        assert "error" in answer.json()


def test_it_comes_back_on_the_same_port() -> None:
    with scripted() as server:
        server.kill()
        with pytest.raises(httpx.ConnectError):
            ask(server)
        server.restart()
        assert ask(server).status_code == 200
