"""The built-in demo, as the official OpenAI client and a browser's error page see it."""

from __future__ import annotations

import base64
import json
import math
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

import infergate

if TYPE_CHECKING:
    import openai

SOURCES = str(Path(infergate.__file__).parent.parent)


def start(word_delay_ms: float) -> tuple[subprocess.Popen[bytes], str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "infergate.demo", "--port", str(port),
         "--word-delay-ms", str(word_delay_ms)],
        env={**os.environ, "PYTHONPATH": SOURCES},
        stderr=subprocess.PIPE,
    )  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + 20
    while True:
        try:
            assert httpx.get(url + "/health", trust_env=False).json() == {"status": "ok"}
            return process, url
        except httpx.TransportError:
            assert process.poll() is None, process.stderr and process.stderr.read().decode()
            assert time.monotonic() < deadline
            time.sleep(0.02)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    process, url = start(word_delay_ms=1)
    yield url
    process.terminate()
    process.wait(5)


@pytest.fixture
def client(url: str) -> Iterator[openai.OpenAI]:
    import openai  # here: it takes most of a second to load, and every process collects this file

    http = httpx.Client(trust_env=False)
    with openai.OpenAI(base_url=url + "/v1", api_key="any", max_retries=0, http_client=http) as c:
        yield c


HELLO = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Grüße, 世界!"}]


def test_it_lists_one_model(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["demo"]
    assert client.models.retrieve("demo").id == "demo"


def test_it_says_what_it_is_and_repeats_the_user(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model="demo", messages=HELLO)
    text = answer.choices[0].message.content
    assert "built-in demo and not a model" in text
    assert text.endswith("You said: Grüße, 世界!")
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.completion_tokens == len(text.split())
    assert answer.usage.prompt_tokens > 0
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


def test_text_parts_are_read_and_pictures_ignored(client: openai.OpenAI) -> None:
    parts = [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
    ]
    answer = client.chat.completions.create(
        model="demo", messages=[{"role": "user", "content": parts}]
    )
    assert answer.choices[0].message.content.endswith("You said: What is this?")


def test_a_stream_gives_the_same_text_and_usage_when_asked(client: openai.OpenAI) -> None:
    whole = client.chat.completions.create(model="demo", messages=HELLO)
    chunks = list(
        client.chat.completions.create(
            model="demo", messages=HELLO, stream=True, stream_options={"include_usage": True}
        )
    )
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert text == whole.choices[0].message.content
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-1].choices == []
    assert chunks[-1].usage == whole.usage
    assert len({chunk.id for chunk in chunks}) == 1


def test_a_stream_without_include_usage_has_none(client: openai.OpenAI) -> None:
    chunks = client.chat.completions.create(model="demo", messages=HELLO, stream=True)
    assert all(chunk.usage is None and chunk.choices for chunk in chunks)


def test_a_stream_comes_word_by_word_and_unbuffered() -> None:
    process, url = start(word_delay_ms=60)
    try:
        body = {"model": "demo", "messages": HELLO, "stream": True}
        began = time.monotonic()
        with httpx.stream(
            "POST", url + "/v1/chat/completions", json=body, trust_env=False
        ) as answer:
            assert answer.headers["x-accel-buffering"] == "no"
            assert answer.headers["content-type"].startswith("text/event-stream")
            times = [time.monotonic() - began for line in answer.iter_lines() if line]
        assert times[0] < times[-1] / 3
    finally:
        process.terminate()
        process.wait(5)


def test_max_tokens_cuts_the_answer(client: openai.OpenAI) -> None:
    for field in ("max_tokens", "max_completion_tokens"):
        answer = client.chat.completions.create(model="demo", messages=HELLO, **{field: 3})
        assert answer.choices[0].message.content == "This is Infergate's"
        assert answer.choices[0].finish_reason == "length"
        assert answer.usage.completion_tokens == 3


def test_completions(client: openai.OpenAI) -> None:
    whole = client.completions.create(model="demo", prompt="Once")
    assert whole.choices[0].text.endswith("You said: Once")
    chunks = list(
        client.completions.create(
            model="demo", prompt="Once", stream=True, stream_options={"include_usage": True}
        )
    )
    text = "".join(chunk.choices[0].text for chunk in chunks if chunk.choices)
    assert text == whole.choices[0].text
    assert chunks[-1].usage == whole.usage


def test_responses(client: openai.OpenAI) -> None:
    whole = client.responses.create(model="demo", input="Hi there")
    assert whole.output_text.endswith("You said: Hi there")
    assert whole.status == "completed"
    assert whole.usage.total_tokens == whole.usage.input_tokens + whole.usage.output_tokens
    listed = client.responses.create(model="demo", input=HELLO, max_output_tokens=2)
    assert listed.output_text == "This is"
    assert listed.incomplete_details.reason == "max_output_tokens"


def test_streamed_responses(client: openai.OpenAI) -> None:
    with client.responses.stream(model="demo", input="Hi there") as stream:
        events = list(stream)
        final = stream.get_final_response()
    assert final.output_text.endswith("You said: Hi there")
    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert "".join(deltas) == final.output_text
    assert [event.sequence_number for event in events] == list(range(len(events)))


def test_embeddings_are_the_same_every_time_and_in_both_encodings(
    client: openai.OpenAI, url: str
) -> None:
    inputs = ["the cat sat", "the cat sat down", "quarterly revenue"]
    first = client.embeddings.create(model="demo", input=inputs)  # the client asks for base64
    floats = client.embeddings.create(model="demo", input=inputs, encoding_format="float")
    assert [each.index for each in first.data] == [0, 1, 2]
    for ours, theirs in zip(first.data, floats.data, strict=True):
        assert len(ours.embedding) == 64
        assert ours.embedding == pytest.approx(theirs.embedding, abs=1e-6)
    near = math.sumprod if hasattr(math, "sumprod") else _dot
    cat, cats, money = (each.embedding for each in floats.data)
    assert near(cat, cat) == pytest.approx(1)
    assert near(cat, cats) > near(cat, money)
    body = {"model": "demo", "input": "x", "encoding_format": "base64"}
    raw = httpx.post(url + "/v1/embeddings", json=body, trust_env=False).json()
    packed = base64.b64decode(raw["data"][0]["embedding"])
    assert len(struct.unpack("<64f", packed)) == 64


def _dot(a: list[float], b: list[float]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))


def test_token_lists_can_be_embedded_too(client: openai.OpenAI) -> None:
    assert len(client.embeddings.create(model="demo", input=[1, 2, 3]).data) == 1
    assert len(client.embeddings.create(model="demo", input=[[1, 2], [3]]).data) == 2


def test_a_model_it_does_not_have(client: openai.OpenAI) -> None:
    from openai import NotFoundError

    with pytest.raises(NotFoundError) as caught:
        client.chat.completions.create(model="gpt-4o", messages=HELLO)
    assert caught.value.code == "model_not_found"
    assert caught.value.param == "model"


@pytest.mark.parametrize(
    ("path", "content", "status"),
    [
        ("/v1/chat/completions", b"{", 400),
        ("/v1/chat/completions", b"[]", 400),
        ("/v1/chat/completions", b"[" * 100_000, 400),
        ("/v1/chat/completions", b'{"messages": []}', 400),
        ("/v1/chat/completions", b'{"model": "demo"}', 400),
        ("/v1/chat/completions", b'{"model": "demo", "messages": ["hi"]}', 400),
        ("/v1/chat/completions", b'{"model":"demo","messages":[{}],"max_tokens":"x"}', 400),
        ("/v1/chat/completions", b'{"model":"demo","messages":[{}],"stream":"yes"}', 400),
        (
            "/v1/chat/completions",
            b'{"model":"demo","messages":[{"role":"user","content":"\\ud800"}]}',
            400,
        ),
        ("/v1/completions", b'{"model": "demo", "prompt": 7}', 400),
        ("/v1/responses", b'{"model": "demo"}', 400),
        ("/v1/embeddings", b'{"model": "demo"}', 400),
        ("/v1/embeddings", b'{"model": "demo", "input": []}', 400),
        ("/v1/embeddings", b'{"model": "demo", "input": "x", "dimensions": 3}', 400),
        ("/v1/embeddings", b'{"model": "demo", "input": "x", "encoding_format": "f"}', 400),
        ("/v1/images/generations", b"{}", 404),
        ("/health", b"{}", 405),
    ],
)
def test_errors_have_openais_shape(url: str, path: str, content: bytes, status: int) -> None:
    answer = httpx.post(url + path, content=content, trust_env=False)
    assert answer.status_code == status
    assert set(answer.json()["error"]) == {"message", "type", "param", "code"}
    assert answer.json()["error"]["type"] == "invalid_request_error"


def test_it_listens_on_the_loopback_address_only(url: str) -> None:
    port = int(url.rpartition(":")[2])
    listening = [
        line.split()[1]
        for table in ("/proc/net/tcp", "/proc/net/tcp6")
        if Path(table).exists()
        for line in Path(table).read_text().splitlines()[1:]
        if line.split()[1].endswith(f":{port:04X}") and line.split()[3] == "0A"
    ]
    assert listening in ([f"0100007F:{port:04X}"], [])


def test_a_client_that_leaves_is_no_error_and_it_stops_at_once() -> None:
    process, url = start(word_delay_ms=200)
    body = json.dumps({"model": "demo", "messages": HELLO, "stream": True}).encode()
    port = int(url.rpartition(":")[2])
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", port)) as leaver:
            leaver.sendall(
                b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n"
                b"content-length: " + str(len(body)).encode() + b"\r\n\r\n" + body
            )
            assert leaver.recv(4096)
    assert httpx.get(url + "/health", trust_env=False).status_code == 200
    process.send_signal(signal.SIGTERM)
    _, log = process.communicate(timeout=60)
    assert b"Traceback" not in log
    assert b"Error" not in log


def test_it_needs_no_large_imports() -> None:
    script = "import sys, infergate.demo.app; print('fastapi' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": SOURCES},
        capture_output=True,
        check=True,
    )
    assert done.stdout.strip() == b"False"
