"""Endpoints of the operator's own: what they are given, and what they cannot break."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from infergate.api.endpoints import declare
from tests.backends.qdrant_double import qdrant_double
from tests.backends.servers import Scripted, scripted
from tests.gateway import Gateway, gateway, until
from tests.pages import DOCS, blocks

EXAMPLES = Path(__file__).parents[2] / "examples" / "endpoints"
CONFIG = """
backends: {{ a: {{ url: {a}, engine: vllm }} }}
models: {{ m: [a] }}
services: {{ qdrant: {{ url: {qdrant}, path: /qdrant/ }} }}
api: {{ endpoints: ./endpoints, takes: [/, /health, /version, /rerank, /score] }}
"""
GOOD = '''
from pydantic import BaseModel
from infergate.api.endpoints import Call, endpoint

class Word(BaseModel):
    word: str

@endpoint("POST", "/v1/shout")
async def shout(word: Word, call: Call, times: int = 1) -> Word:
    """Says it louder."""
    answer = await call.openai.chat.completions.create(
        model="m", messages=[{"role": "user", "content": word.word}])
    return Word(word=answer.choices[0].message.content.upper() * times)

@endpoint("POST", "/v1/counted")
async def counted(numbers: dict[str, int]) -> dict[str, int]:
    return numbers

@endpoint("GET", "/v1/who")
async def who(call: Call) -> dict[str, str]:
    return {"key": call.key, "address": call.address, "id": call.request_id}

@endpoint("GET", "/v1/open", anyone=True)
def open_to_all() -> dict[str, bool]:
    return {"open": True}

@endpoint("GET", "/v1/few", keys=["few-*"])
def for_few() -> dict[str, bool]:
    return {"few": True}

async def asked(call: Call) -> dict[str, str]:
    await call.openai.chat.completions.create(model="m", messages=[])
    return {"version": str(VERSION)}

endpoint("GET", "/v1/asked", timeout=600)(asked)
endpoint("GET", "/v1/alone", timeout=600, at_once=1)(asked)

VERSION = 1
'''
WAYS = {
    "syntax": ('@endpoint("GET", "/wrong/syntax")\ndef (', 2),
    "imports": ("import nothing_of_that_name", 1),
    "raises": ("\n\n1 / 0", 3),
    "exits": ("import sys\nsys.exit(3)", 2),
    "dies": ("import os\nos._exit(1)", 0),
    "loops": ("x = 1\nwhile True:\n    x += 1", None),
    "eats": ("x = bytearray(8 * 2**30)", 1),
    "no_method": (
        "from infergate.api.endpoints import endpoint\n"
        "@endpoint('FETCH', '/wrong/no_method')\ndef f(): ...",
        2,
    ),
    "no_type": (
        "from infergate.api.endpoints import endpoint\nclass Odd: ...\n"
        "@endpoint('POST', '/wrong/no_type')\ndef f(odd: Odd) -> Odd: ...",
        None,
    ),
    "empty": ("", 0),
}
HANDLERS = """
import os, sys, threading, time
from infergate.api.endpoints import endpoint

@endpoint("GET", "/bad/blocks", timeout=1)
async def blocks():
    time.sleep(3600)

@endpoint("GET", "/bad/thread", timeout=1)
def thread():
    threading.Event().wait()

@endpoint("GET", "/bad/dies")
async def dies():
    os._exit(1)

@endpoint("GET", "/bad/eats")
def eats():
    return len(bytearray(8 * 2**30))

@endpoint("GET", "/bad/raises")
def raises():
    return 1 / 0

@endpoint("GET", "/bad/exits")
def exits():
    sys.exit(1)

@endpoint("GET", "/bad/well")
def well() -> dict[str, bool]:
    return {"well": True}
"""

Running = tuple[Gateway, Scripted]


@pytest.fixture(scope="module")
def qdrant() -> Iterator[str]:
    with qdrant_double(api_key=None) as url:
        yield url


@pytest.fixture(scope="module")
def running(engine: str, qdrant: str) -> Iterator[Running]:
    before, declare.LOAD_S = declare.LOAD_S, 5.0
    try:
        with scripted(name="a") as a:
            config = CONFIG.format(a=a.url, qdrant=qdrant)
            with gateway(engine, config, start=False) as it:
                folder = it.folder / "endpoints"
                shutil.copytree(EXAMPLES, folder, ignore=shutil.ignore_patterns("__pycache__"))
                (folder / "good.py").write_text(GOOD)
                it.up()
                until(lambda: len(files(it)) == 5 and not any(files(it).values()))
                yield it, a
    finally:
        declare.LOAD_S = before


@pytest.fixture
def stack(running: Running) -> Running:
    it, a = running
    a.reset()
    it.forget_failures()
    return running


def files(it: Gateway) -> dict[str, str]:
    """What is wrong with each file."""
    return {each["file"]: each["problem"] for each in it.status()["endpoints"]}


def get(it: Gateway, path: str, **more: Any) -> httpx.Response:
    return httpx.get(it.url + path, **{"headers": it.headers(), "timeout": 60, **more})


def test_an_endpoint_asks_models_as_its_caller(stack: Running) -> None:
    it, _ = stack
    key = it.new_key("caller", "--rpm", "1")
    answer = it.post("/v1/shout?times=2", {"word": "hi"}, key=key, timeout=60)
    assert (answer.status_code, answer.json()) == (200, {"word": "AA"})
    outer = answer.headers["x-infergate-request-id"]
    asked = until(lambda: [each for each in it.log() if each.get("parent") == outer])
    assert len(asked) == 1
    assert asked[0]["key"].startswith("caller-")
    limited = it.post("/v1/shout", {"word": "hi"}, key=key, timeout=60)
    assert limited.status_code == 429
    assert int(limited.headers["retry-after"]) > 0
    assert "requests per minute" in limited.json()["error"]["message"]


def test_what_is_not_as_its_model_says_is_told_where(stack: Running) -> None:
    it, _ = stack
    answer = it.post("/v1/shout", {"word": 3})
    assert answer.status_code == 422
    assert answer.json()["error"]["message"].startswith("word: ")


def test_what_is_not_as_its_model_says_is_told_whatever_its_name_is(stack: Running) -> None:
    it, _ = stack
    answer = it.post("/v1/counted", {"\ud800": "x"})
    assert (answer.status_code, answer.json()["error"]["type"]) == (422, "invalid_request_error")


def test_what_is_no_file_is_disabled_alone(stack: Running) -> None:
    """A pipe, that waits for whoever writes to it; a folder; a link to nothing; a name, and a text,
    that are no UTF-8."""
    it, _ = stack
    folder = it.folder / "endpoints"
    odd = {name: folder / name for name in ("pipe.py", "folder.py", "link.py", "bytes.py", "ÿ.py")}
    odd["\udcff.py"] = Path(os.fsdecode(os.fsencode(folder) + b"/\xff.py"))
    try:
        os.mkfifo(odd["pipe.py"])
        odd["folder.py"].mkdir()
        odd["link.py"].symlink_to("nothing")
        for name in ("bytes.py", "ÿ.py", "\udcff.py"):
            odd[name].write_bytes(b"x = '\xff'\0")
        until(lambda: len([each for each in files(it).values() if each]) == len(odd))
        assert get(it, "/v1/open", headers={}).status_code == 200
        assert "pipe.py" in it.run("status", check=False).stdout
        (folder / "good.py").write_text(GOOD.replace("VERSION = 1", "VERSION = 3"))
        until(lambda: get(it, "/v1/asked").json() == {"version": "3"})
    finally:
        (folder / "good.py").write_text(GOOD)
        for path in odd.values():
            path.rmdir() if path.is_dir() else path.unlink(missing_ok=True)
    until(lambda: get(it, "/v1/asked").json() == {"version": "1"})
    until(lambda: not any(files(it).values()))


def test_who_may_call_is_said_in_the_file(stack: Running) -> None:
    it, _ = stack
    me = get(it, "/v1/who").json()
    assert (me["address"], bool(me["key"]), bool(me["id"])) == ("127.0.0.1", True, True)
    assert get(it, "/v1/who", headers={}).status_code == 401
    assert get(it, "/v1/who", headers={"Authorization": "Bearer sk-wrong"}).status_code == 401
    assert get(it, "/v1/open", headers={}).json() == {"open": True}
    assert get(it, "/v1/open", headers={"Authorization": "Bearer sk-wrong"}).status_code == 401
    assert get(it, "/v1/few").status_code == 403
    assert get(it, "/v1/few", headers=it.headers(it.new_key("few"))).status_code == 200
    pretending = {**it.headers(), "x-infergate-key": "few-x", "x-infergate-client": "10.9.8.7"}
    assert get(it, "/v1/few", headers=pretending).status_code == 403
    assert get(it, "/v1/who", headers=pretending).json()["address"] == "127.0.0.1"


def test_a_body_of_a_stranger_is_not_read(stack: Running) -> None:
    it, _ = stack
    assert httpx.post(f"{it.url}/v1/open", content=b"x" * 100, timeout=60).status_code == 401
    assert httpx.request("GET", f"{it.url}/v1/open", content=b"x", timeout=60).status_code == 401


def test_what_there_is_not_is_404_and_another_method_405(stack: Running) -> None:
    it, _ = stack
    assert get(it, "/v1/nothing").status_code == 404
    assert (get(it, "/v1/shout").status_code, get(it, "/v1/shout").headers["allow"]) == (
        405,
        "POST",
    )
    assert get(it, "/.infergate/status").status_code == 404


def test_each_has_an_entry_in_the_openapi_document(stack: Running) -> None:
    it, _ = stack
    document = get(it, "/openapi.json").json()
    assert document["paths"]["/v1/shout"]["post"]["description"] == "Says it louder."
    assert "/v1/rag/query" in document["paths"]
    assert get(it, "/openapi.json", headers={}).status_code == 401


@contextlib.contextmanager
def asking(it: Gateway, a: Scripted, path: str) -> Iterator[list[httpx.Response]]:
    """While an endpoint waits for its model; then its answer is in the list."""
    found: list[httpx.Response] = []
    a.behave(path_prefix="/v1/chat", hold="before_headers", times=1)
    thread = threading.Thread(target=lambda: found.append(get(it, path, timeout=300)))
    thread.start()
    try:
        until(a.requests)
        yield found
    finally:
        a.behave()
        thread.join()


def test_no_more_at_once_than_the_file_says(stack: Running) -> None:
    it, a = stack
    with asking(it, a, "/v1/alone") as first:
        second = get(it, "/v1/alone")
        assert (second.status_code, second.headers["retry-after"]) == (429, "1")
    assert first[0].status_code == 200
    assert get(it, "/v1/alone").status_code == 200


def test_the_middle_tier_of_a_small_proxy_is_one_file(stack: Running) -> None:
    it, a = stack
    root = get(it, "/").json()
    assert set(root) == {"message", "timestamp", "version", "model"}
    assert get(it, "/health").json().keys() == {"status", "message", "version"}
    assert get(it, "/version").json()["proxy"] == "1.0.0"
    body = {"model": "m", "query": "q", "documents": ["a", "b"]}
    assert it.post("/rerank", body, timeout=60).status_code == 200
    wrong = it.post("/rerank", {**body, "model": "none"}, timeout=60)
    assert wrong.status_code == 404
    assert wrong.json().keys() == {"error", "details", "path"}
    assert wrong.json()["path"] == "/rerank"
    a.behave(path_prefix="/tokenize", status=500)
    ill = get(it, "/health")
    assert (ill.status_code, ill.json()["error"]) == (503, "Service Unavailable")


def test_a_summary_comes_as_it_is_written(stack: Running) -> None:
    it, _ = stack
    answer = it.post("/v1/summarize", {"model": "m", "text": "long"}, timeout=60)
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert len(answer.text.split("\n\n")) > 3


def test_a_model_is_warmed(stack: Running) -> None:
    it, a = stack
    assert it.post("/v1/models/m/warm", {}, timeout=60).json() == {"id": "m", "warm": True}
    assert json.loads(a.requests()[0]["body"])["max_tokens"] == 1


def test_a_question_is_answered_from_documents_with_where_it_stands(
    stack: Running, qdrant: str
) -> None:
    """With the scripted double of Qdrant, and embeddings that are scripted, too."""
    it, a = stack
    collection = f"{qdrant}/collections/texts"
    texts = {"sea": [1.0, 0.0], "sky": [0.1, 0.9], "sun": [0.6, 0.5]}
    points = [
        {"id": number, "vector": vector, "payload": {"text": f"About the {name}."}}
        for number, (name, vector) in enumerate(texts.items())
    ]
    assert httpx.put(collection, json={}, timeout=60).status_code == 200
    httpx.put(f"{collection}/points", json={"points": points}, timeout=60).raise_for_status()
    embedded = {"object": "embedding", "index": 0, "embedding": [0.0, 1.0]}
    usage = {"prompt_tokens": 7, "total_tokens": 7}
    answered = {"object": "list", "data": [embedded], "model": "m", "usage": usage}
    a.behave(path_prefix="/v1/embeddings", body=json.dumps(answered))
    asked = {
        "question": "What is above?",
        "collection": "texts",
        "model": "m",
        "embedding_model": "m",
        "documents": 2,
    }
    answer = it.post("/v1/rag/query", asked, timeout=60)
    assert answer.status_code == 200, answer.text
    assert answer.json()["answer"]
    assert answer.json()["citations"] == [
        {"number": 1, "id": "1", "score": 0.9, "text": "About the sky."},
        {"number": 2, "id": "2", "score": 0.5, "text": "About the sun."},
    ]
    (embedding,) = a.requests("/v1/embeddings")
    assert json.loads(embedding["body"])["input"] == asked["question"]
    (chat,) = a.requests("/v1/chat")
    system, user = json.loads(chat["body"])["messages"]
    assert user["content"] == asked["question"]
    assert "[1] About the sky.\n\n[2] About the sun." in system["content"]
    missing = it.post("/v1/rag/query", {**asked, "collection": "none"}, timeout=60)
    assert (missing.status_code, "404" in missing.text) == (502, True)


def test_the_endpoint_of_the_page_works_as_it_is_printed(stack: Running) -> None:
    it, a = stack
    (block,) = [each for each in blocks(DOCS / "api.md") if "/v1/polite" in each.text]
    assert len([each for each in block.text.splitlines() if each.strip()]) < 20
    file = it.folder / "endpoints" / "polite.py"
    file.write_text(block.text)
    try:
        until(lambda: "POST /v1/polite" in str(it.status()["endpoints"]))
        answer = it.post("/v1/polite", {"text": "no"}, timeout=60)
        assert answer.status_code == 200, answer.text
        assert answer.json()["text"]
        (asked,) = a.requests()
        content = json.loads(asked["body"])["messages"][0]["content"]
        assert content == "Say this politely: no"
    finally:
        file.unlink()
        until(lambda: "polite.py" not in files(it))


def test_a_client_that_leaves_ends_what_the_endpoint_asked_for(stack: Running) -> None:
    it, a = stack
    aborted = a.stats()["aborted"]
    a.behave(path_prefix="/v1/chat", hang="before_headers")
    content = json.dumps({"word": "hi"}).encode()
    lines = "".join(f"{name}: {value}\r\n" for name, value in it.headers().items())
    head = f"POST /v1/shout HTTP/1.1\r\nHost: 127.0.0.1\r\n{lines}"
    head += f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", it.port), 60) as connection:
        connection.sendall(head.encode() + content)
        until(a.requests)
    until(lambda: a.stats()["aborted"] > aborted)


def test_a_changed_file_is_taken_over_and_no_request_is_dropped(stack: Running) -> None:
    it, a = stack
    file = it.folder / "endpoints" / "good.py"
    try:
        with asking(it, a, "/v1/asked") as first:
            file.write_text(GOOD.replace("VERSION = 1", "VERSION = 2"))
            until(lambda: get(it, "/v1/asked").json() == {"version": "2"})
        assert (first[0].status_code, first[0].json()) == (200, {"version": "1"})
    finally:
        file.write_text(GOOD)
        until(lambda: get(it, "/v1/asked").json() == {"version": "1"})


@pytest.mark.parametrize("way", list(WAYS))
def test_a_file_that_cannot_be_loaded_is_disabled_alone(stack: Running, way: str) -> None:
    it, _ = stack
    text, line = WAYS[way]
    file = it.folder / "endpoints" / f"wrong_{way}.py"
    promise = "" if "/wrong/" in text or not text else f'\n# @endpoint("GET", "/wrong/{way}")'
    file.write_text(text + promise)
    try:
        told = until(
            lambda: [
                each
                for each in it.status()["endpoints"]
                if each["file"] == file.name and each["problem"]
            ]
        )[0]
        assert line is None or told["line"] == line
        if text:
            method = "POST" if "'POST'" in text else "GET"
            if "FETCH" not in text:
                answer = httpx.request(
                    method, f"{it.url}/wrong/{way}", headers=it.headers(), timeout=60
                )
                assert answer.status_code == 503
                assert file.name in answer.json()["error"]["message"]
        assert file.name in it.run("status", check=False).stdout
        assert get(it, "/v1/open", headers={}).status_code == 200
    finally:
        file.unlink()
    until(lambda: file.name not in files(it))


def test_what_goes_wrong_in_one_is_over_for_the_others(stack: Running) -> None:
    it, _ = stack
    file = it.folder / "endpoints" / "bad.py"
    file.write_text(HANDLERS)
    try:
        for path, status in (
            ("raises", 500),
            ("exits", 500),
            ("eats", 500),
            ("blocks", 504),
            ("thread", 504),
            ("dies", 502),
        ):
            until(lambda: get(it, "/bad/well").status_code == 200)
            assert get(it, f"/bad/{path}").status_code == status, path
            assert get(it, "/v1/open", headers={}).status_code == 200
        until(lambda: get(it, "/bad/well").status_code == 200)
    finally:
        file.unlink()
    until(lambda: "bad.py" not in files(it))


def test_an_endpoint_that_fails_leaves_the_connection_to_others(stack: Running) -> None:
    it, _ = stack
    file = it.folder / "endpoints" / "bad.py"
    file.write_text(HANDLERS)
    try:
        until(lambda: get(it, "/bad/well").status_code == 200)
        found = [get(it, f"/bad/{each}").status_code for each in ("raises", "well") * 20]
        assert found == [500, 200] * 20
    finally:
        file.unlink()
    until(lambda: "bad.py" not in files(it))


def test_the_tier_and_the_endpoints_are_told_nothing_secret(stack: Running) -> None:
    it, _ = stack
    file = it.folder / "endpoints" / "curious.py"
    file.write_text(
        "import os\nfrom infergate.api.endpoints import endpoint\n"
        '@endpoint("GET", "/curious")\ndef look() -> dict[str, str]:\n'
        "    return {**os.environ, 'uid': str(os.getuid())}\n"
    )
    try:
        told = until(lambda: (a := get(it, "/curious")).status_code == 200 and a.json())
        assert not [name for name in told if name.startswith("INFERGATE")]
        if Path("/proc/self").stat().st_uid == 0:
            assert told["uid"] != "0"
    finally:
        file.unlink()
