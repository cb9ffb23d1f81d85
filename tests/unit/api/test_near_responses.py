"""Whatever a client sends to who keeps responses, it is an answer or a refusal; nothing fails."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests import dialects
from tests.dialects import chunk
from tests.json_near import near
from tests.kept_responses import InnerDouble, Served, served

HELLO = {"role": "user", "content": "hello"}
KEPT = "resp_ig_" + "0" * 32
FULL = {
    "model": "m",
    "input": [HELLO, {"type": "item_reference", "id": f"msg_ig_{'0' * 32}_0"}],
    "previous_response_id": KEPT,
    "store": True,
    "background": True,
    "stream": False,
    "metadata": {"a": "b"},
    "instructions": "Be kind.",
}
NO_ID = {"previous_response_id": ""}
PLAIN: dict[str, Any] = {**FULL, "input": [HELLO], "previous_response_id": None}


@pytest.mark.parametrize("in_background", [False, True])
def test_a_request_of_any_depth_is_kept_or_refused(tmp_path: Path, in_background: bool) -> None:
    function = {"type": "function", "name": "f", "parameters": {"deep": 1}}
    body = json.dumps({**PLAIN, "background": in_background, "tools": [function]})
    with fuzzed(tmp_path, dialects.answer(content="hi")) as it:
        for depth in (400, 510, *range(940, 1000)):
            deep = '{"a": ' * depth + "1" + "}" * depth
            content = body.replace('{"deep": 1}', deep).encode()
            status, _ = it.ask("POST", "/v1/responses", content)
            assert status == (200 if depth < 500 else 400), depth


class Fuzzed:
    """One application for all examples, and the loop that it is in."""

    def __init__(self, it: Served, runner: asyncio.Runner) -> None:
        self.it, self._runner = it, runner

    def ask(self, method: str, path: str, content: bytes | None = None) -> tuple[int, bytes]:
        async def asked() -> tuple[int, bytes]:
            async with self.it.http() as http:
                answer = await http.request(method, path, content=content)
            return answer.status_code, answer.content

        return self._runner.run(asked())


@contextmanager
def fuzzed(folder: Path, *says: Any) -> Iterator[Fuzzed]:
    with ExitStack() as stack:
        runner = stack.enter_context(asyncio.Runner())
        around = served(folder, InnerDouble(*says), background=1000)
        it = runner.run(around.__aenter__())
        stack.callback(lambda: runner.run(around.__aexit__(None, None, None)))
        yield Fuzzed(it, runner)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fuzzed]:
    with fuzzed(tmp_path_factory.mktemp("whole"), dialects.answer(content="hi")) as found:
        yield found


@pytest.fixture(scope="module")
def streams(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fuzzed]:
    says = [chunk(content="hi", finish="stop")]
    with fuzzed(tmp_path_factory.mktemp("streams"), says) as found:
        yield found


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(near(FULL, PLAIN, {**PLAIN, "background": False}))
def test_a_body_is_answered_or_refused(whole: Fuzzed, body: Any) -> None:
    status, said = whole.ask("POST", "/v1/responses", json.dumps(body).encode())
    assert status in (200, 400), said
    found = json.loads(said) if not said.startswith(b"event:") else {"store": False}
    if status == 200 and found["store"]:
        assert whole.ask("GET", f"/v1/responses/{found['id']}")[0] == 200
        assert whole.ask("GET", f"/v1/responses/{found['id']}/input_items")[0] == 200


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(near({**PLAIN, "stream": True}, {**PLAIN, "stream": True, "background": False}))
def test_a_stream_is_whole_or_refused(streams: Fuzzed, body: Any) -> None:
    body = {**body, "stream": True}  # the backend has nothing else
    status, said = streams.ask("POST", "/v1/responses", json.dumps(body).encode())
    assert status in (200, 400), said
    if said.startswith(b"event:"):
        dialects.check_responses(dialects.events(said))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=9), st.sampled_from(["", "/input_items", "?stream=true", "?stream=1&x"]))
def test_an_id_is_none_of_ours(whole: Fuzzed, id_: str, rest: str) -> None:
    quoted = "".join(f"%{each:02x}" for each in f"resp_ig_{id_}".encode())
    assert whole.ask("GET", f"/v1/responses/{quoted}{rest}")[0] in (404, 405)


@pytest.mark.parametrize("id_", ["\ud800", "\0", "resp_ig_\0", "x" * 10**5, "", 5, [], "\u2028"])
def test_what_is_no_id_names_no_conversation(whole: Fuzzed, id_: Any) -> None:
    item = {"type": "item_reference", "id": id_}
    for named in ({"previous_response_id": id_}, {"input": [item]}):
        body = json.dumps({**PLAIN, **named}).encode()
        assert whole.ask("POST", "/v1/responses", body)[0] == (200 if named == NO_ID else 400)


@pytest.mark.parametrize("name", ["metadata", "text", "tools", "input"])
@pytest.mark.parametrize("background", [False, True])
def test_what_is_nested_deeply_is_refused(whole: Fuzzed, name: str, background: bool) -> None:
    for depth in range(700, 1000, 4):
        body = json.dumps({**PLAIN, "background": background, name: 0}).encode()
        nested = b"[" * depth + b"]" * depth
        said_so = b'"%s": ' % name.encode()
        sent = body.replace(said_so + b"0", said_so + nested)
        assert nested in sent
        status, said = whole.ask("POST", "/v1/responses", sent)
        assert status in (200, 400), (depth, said)
