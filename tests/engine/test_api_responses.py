"""Responses that are kept, on a real nginx, asked for by the official client."""

from __future__ import annotations

import gzip
import hashlib
import http.client
import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai.types.responses import Response
from sqlalchemy import select

from infergate.store.responses import OPEN
from infergate.store.tables import responses
from tests.backends.servers import Scripted, scripted
from tests.batches import database_in
from tests.gateway import Gateway, gateway, until
from tests.gateway_batches import client, kill_9
from tests.pages import DOCS, blocks

CONFIG = """
backends:
  a: {{ url: {a}, engine: tgi, max_in_flight: 4 }}
  b: {{ url: {b}, engine: vllm }}
models: {{ m: {{ backends: [a] }}, native: {{ backends: [b] }} }}
api: {{ responses: {{}} }}
auth: {{ key_in_query: true }}
"""
Running = tuple[Gateway, Scripted, Scripted]


@pytest.fixture(scope="module")
def started(engine: str) -> Iterator[Running]:
    with (
        scripted(name="a", models=["m"]) as a,
        scripted(name="b", models=["native"]) as b,
        gateway(engine, CONFIG.format(a=a.url, b=b.url)) as it,
    ):
        yield it, a, b


@pytest.fixture
def running(started: Running) -> Running:
    it, a, b = started
    a.reset()
    b.reset()
    it.forget_failures()
    return started


def ended(of: openai.OpenAI, id_: str, timeout_s: float = 60) -> Response:
    found: list[Response] = []

    def over() -> bool:
        found[:] = [of.responses.retrieve(id_)]
        return found[0].status not in OPEN

    until(over, timeout_s)
    return found[0]


def begun(of: openai.OpenAI, **more: Any) -> Response:
    found: Response = of.responses.create(model="m", input="hello", background=True, **more)
    return found


def messages(a: Scripted) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(a.requests()[-1]["body"])["messages"]
    return found


def test_a_conversation_goes_on_by_its_id_whole_and_streamed(running: Running) -> None:
    it, a, _ = running
    of = client(it)
    first = of.responses.create(model="m", input="hello")
    with of.responses.stream(model="m", input="on", previous_response_id=first.id) as stream:
        second = stream.get_final_response()
    assert [each["content"] for each in messages(a)] == ["hello", first.output_text, "on"]
    of.responses.create(model="m", input="and on", previous_response_id=second.id)
    assert [each["role"] for each in messages(a)] == ["user", "assistant"] * 2 + ["user"]
    assert of.responses.retrieve(second.id).output_text == second.output_text
    assert len(of.responses.input_items.list(second.id).data) == 3
    of.responses.delete(first.id)
    with pytest.raises(openai.NotFoundError):
        of.responses.retrieve(first.id)


def test_the_request_is_logged_once_and_its_usage_too(running: Running) -> None:
    it, _, _ = running
    of = client(it)
    before = len(it.log())
    of.responses.create(model="m", input="hello")
    done = ended(of, begun(of).id)

    def lines() -> list[dict[str, Any]]:
        mine = it.log()[before:]
        asked = [each for each in mine if each.get("parent")]
        return asked if len(asked) >= 2 else []

    asked: list[dict[str, Any]] = until(lines)
    assert [bool(each["gen_ai.usage.output_tokens"]) for each in asked] == [True, True]
    assert asked[1]["parent"] == done.id
    (outer,) = (each for each in it.log()[before:] if each["id"] == asked[0]["parent"])
    assert (outer["tier"], outer["gen_ai.usage.output_tokens"]) == ("dialect", None)


def test_nobody_else_has_it_and_a_revoked_key_has_nothing(running: Running) -> None:
    it, _, _ = running
    it.run("teams", "create", "red")
    mine, yours = (it.new_key(each, "--team", "red") for each in ("mine", "yours"))
    of = client(it, mine)
    found = of.responses.create(model="m", input="hello")
    lies = {"key": "mine", "entry": hashlib.sha256(mine.encode()).hexdigest()}
    stranger = openai.OpenAI(
        api_key=yours,
        base_url=f"{it.url}/v1",
        max_retries=0,
        default_headers={f"X-Infergate-{each}": value for each, value in lies.items()},
    )
    told = []
    for id_ in (found.id, "resp_ig_" + "0" * 32):
        with pytest.raises(openai.NotFoundError) as refused:
            stranger.responses.retrieve(id_)
        told.append(refused.value.message.replace(id_, ""))
    assert told[0] == told[1]
    with pytest.raises(openai.BadRequestError):
        stranger.responses.create(model="m", input="on", previous_response_id=found.id)
    assert get(it, f"/v1/responses/{found.id}", headers={"Authorization": ""})[0] == 401
    new = rotated(it, "mine")
    assert client(it, new).responses.retrieve(found.id) == found
    with pytest.raises(openai.AuthenticationError):
        of.responses.retrieve(found.id)
    it.run("keys", "revoke", name_of(it, "mine"))
    with pytest.raises(openai.AuthenticationError):
        client(it, new).responses.retrieve(found.id)


def name_of(it: Gateway, start: str) -> str:
    listed = json.loads(it.run("keys", "list", "--json").stdout)
    return str(next(each["name"] for each in listed if each["name"].startswith(f"{start}-")))


def rotated(it: Gateway, start: str) -> str:
    told = it.run("keys", "rotate", name_of(it, start), "--grace", "0s", "--json").stdout
    return str(json.loads(told)["key"])


def test_one_in_the_background_ends_with_its_key(running: Running) -> None:
    it, a, _ = running
    of = client(it, it.new_key("leaves"))
    a.behave(path_prefix="/v1/chat", status=503, body="{}", headers={"Retry-After": "1"})
    id_ = begun(of).id
    until(a.requests)
    it.run("keys", "revoke", name_of(it, "leaves"))
    a.behave()
    asked = len(a.requests())

    def its_end() -> str:
        with database.read() as connection:
            said = select(responses.c.document).where(responses.c.id == id_)
            document = str(connection.execute(said).scalar())
        return "" if json.loads(document)["status"] in OPEN else document

    database = database_in(it.home / "state")

    assert "not valid any more" in until(its_end)
    database.close()
    assert len(a.requests()) == asked


def test_who_leaves_a_stream_in_the_background_comes_back_to_it(running: Running) -> None:
    it, a, _ = running
    of = client(it)
    a.behave(path_prefix="/v1/chat", hold="mid_stream")
    seen = []
    with of.responses.create(model="m", input="hello", background=True, stream=True) as stream:
        for each in stream:
            seen.append(each)
            if each.type == "response.output_text.delta":
                break
    id_ = seen[0].response.id
    a.behave()
    rest = list(of.responses.retrieve(id_, stream=True, starting_after=seen[-1].sequence_number))
    assert [each.sequence_number for each in (*seen, *rest)] == list(range(len(seen) + len(rest)))
    assert rest[-1].response.output_text == ended(of, id_).output_text


def test_who_cancels_closes_the_connection_of_the_backend(running: Running) -> None:
    it, a, _ = running
    of = client(it)
    a.behave(path_prefix="/v1/chat", hold="before_headers")
    first = begun(of)
    until(lambda: a.stats()["open"] == 1)
    assert of.responses.cancel(first.id).status == "cancelled"
    until(lambda: a.stats()["open"] == 0)
    assert a.stats()["aborted"] == 1
    a.behave()
    assert of.responses.retrieve(first.id).status == "cancelled"


def test_ids_of_a_backend_are_the_backends(running: Running) -> None:
    it, a, b = running
    of = client(it)
    before = len(a.requests())
    of.responses.create(model="native", input="hello", store=True)
    assert b.requests("/v1/responses")[-1]["path"] == "/v1/responses"
    assert len(a.requests()) == before
    get(it, "/v1/responses/resp_1")
    assert b.requests("/v1/responses")[-1]["path"] == "/v1/responses/resp_1"
    asked = len(b.requests("/v1/responses"))
    assert get(it, "/v1/responses/resp_ig_1")[0] == 404
    assert len(b.requests("/v1/responses")) == asked


def test_azures_path_and_a_compressed_body_are_the_same(running: Running) -> None:
    it, _, _ = running
    body = gzip.compress(json.dumps({"model": "m", "input": "hello"}).encode())
    headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
    status, found = get(it, "/openai/v1/responses", method="POST", body=body, headers=headers)
    assert (status, found["store"]) == (200, True)
    assert get(it, f"/openai/v1/responses/{found['id']}") == (200, found)
    assert get(it, f"/v1/responses/{found['id']}", key_in_query=True) == (200, found)


def get(
    it: Gateway,
    path: str,
    method: str = "GET",
    body: bytes | None = None,
    headers: dict[str, str] | None = None,
    *,
    key_in_query: bool = False,
) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", it.port, timeout=60)
    sent = {} if key_in_query else it.headers()
    sent |= headers or {}
    if key_in_query:
        path += f"?key={it.key}"
    connection.request(method, path, body, sent)
    answer = connection.getresponse()
    found = json.loads(answer.read() or b"null")
    connection.close()
    return answer.status, found


def test_a_kill_of_everything_leaves_nothing_in_progress(engine: str) -> None:
    with scripted(name="a", models=["m"]) as a:
        config = CONFIG.format(a=a.url, b=a.url)
        with gateway(engine, config) as it:
            of = client(it)
            kept = of.responses.create(model="m", input="hello")
            a.behave(path_prefix="/v1/chat", hold="before_headers")
            first = begun(of, previous_response_id=kept.id)
            streamed = next(iter(begun(of, stream=True)))  # type: ignore[call-overload]
            until(lambda: len(a.requests()) == 3)
            kill_9(it)
            a.behave()
            it.run("up", "--detach")
            of = client(it)
            assert of.responses.retrieve(kept.id).output_text == kept.output_text
            assert ended(of, first.id).status == "completed"
            failed = ended(of, streamed.response.id)
            assert failed.status == "failed"
            assert failed.error is not None
            assert "The gateway ended" in failed.error.message


def test_without_the_setting_it_is_said_what_to_set(engine: str) -> None:
    with scripted(name="a", models=["m"]) as a:
        config = f"""
backends: {{ a: {{ url: {a.url}, engine: tgi }} }}
models: {{ m: {{ backends: [a] }} }}
api: {{}}
"""
        with gateway(engine, config) as it:
            of = client(it)
            assert of.responses.create(model="m", input="hello").store is False  # type: ignore[attr-defined]
            for more in ({"previous_response_id": "resp_ig_1"}, {"background": True}):
                with pytest.raises(openai.BadRequestError) as refused:
                    of.responses.create(model="m", input="hello", **more)
                assert "`api.responses`" in refused.value.message
            with pytest.raises(openai.NotFoundError):
                of.responses.retrieve("resp_ig_1")


def test_the_page_of_the_docs_is_so(
    engine: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    setting, *uses = (
        each for each in blocks(DOCS / "responses.md") if each.kind in ("yaml", "python")
    )
    with (
        scripted(name="a", models=["demo"]) as a,
        gateway(
            engine, f"backends: {{ a: {{ url: {a.url}, engine: tgi }} }}\n{setting.text}"
        ) as it,
    ):
        monkeypatch.setenv("OPENAI_BASE_URL", f"{it.url}/v1")
        monkeypatch.setenv("OPENAI_API_KEY", it.new_key("writer"))
        read: dict[str, Any] = {}
        printed = []
        for use in uses:
            exec(use.text, read)
            printed.append(capsys.readouterr().out.splitlines())
    assert printed[0] == ["3"]
    assert printed[1][0].startswith("completed ")
    assert printed[2][0].startswith("5 ")
    assert printed[2][-1].endswith(" response.completed")
