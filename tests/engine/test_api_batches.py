"""Files and batches on a real nginx, asked by the official client."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from openai import OpenAI
from openai.types import Batch

from infergate.api.batches.app import BatchesApp
from infergate.live.shared_memory import read
from infergate.paths import Home
from tests.backends.servers import Scripted, scripted
from tests.gateway import Gateway, gateway, until
from tests.gateway_batches import answers, asked, begun, client, ended, kill_9, process_of, requests
from tests.pages import DOCS, blocks

CONFIG = """
backends: {{ a: {{ url: {a}, engine: vllm, max_in_flight: 2 }} }}
models: {{ m: {{ backends: [a] }} }}
api: {{ batches: {{ concurrent: 4 }} }}
auth: {{ key_in_query: true }}
"""
Running = tuple[Gateway, Scripted]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Paths and queries as the process of batches got them."""
    return tmp_path_factory.mktemp("told") / "asked"


@pytest.fixture(scope="module")
def started(engine: str, told: Path) -> Iterator[Running]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BatchesApp, "__init__", noting(BatchesApp.__init__, told))
        with scripted(name="a", models=["m"]) as a, gateway(engine, CONFIG.format(a=a.url)) as it:
            yield it, a


def noting(begin: Any, told: Path) -> Any:
    """The process of batches, which is a fork of this one, writes down what nginx asks it for."""

    def begun_so(self: BatchesApp, *of: Any) -> None:
        begin(self, *of)
        answer = self.app.__call__

        async def noted(scope: Any, receive: Any, send: Any) -> None:
            with told.open("a") as file:
                file.write(f"{scope['path']}?{scope['query_string'].decode()}\n")
            await answer(scope, receive, send)

        self.app = noted  # type: ignore[assignment]

    return begun_so


@pytest.fixture
def running(started: Running) -> Running:
    it, a = started
    a.reset()
    it.forget_failures()
    return started


def waiting(it: Gateway) -> int:
    return read(Home(it.home).socket).waiting


def lines_of(it: Gateway, batch: Batch, count: int) -> list[dict[str, Any]]:
    """What the log has of a batch, once it has so much."""

    def found() -> list[dict[str, Any]]:
        mine = [each for each in it.log() if each.get("parent") == batch.id]
        return mine if len(mine) >= count else []

    mine: list[dict[str, Any]] = until(found)
    return mine


def test_the_official_clients_batch_is_answered_by_the_models_in_its_keys_name(
    running: Running,
) -> None:
    it, a = running
    of = client(it)
    done = ended(of, begun(of, requests(12)))
    assert done.status == "completed", done.errors
    assert done.request_counts is not None
    assert done.request_counts.model_dump() == {"total": 12, "completed": 12, "failed": 0}
    found = answers(of, done.output_file_id)
    assert sorted(each["custom_id"] for each in found) == sorted(f"r{n}" for n in range(12))
    assert {each["response"]["body"]["object"] for each in found} == {"chat.completion"}
    mine = lines_of(it, done, 12)
    assert {each["id"] for each in mine} == {each["response"]["request_id"] for each in found}
    assert all(each["gen_ai.usage.output_tokens"] for each in mine)
    assert not any("authorization" in each["headers"] for each in a.requests())


def test_a_batch_waits_behind_whoever_asks_for_themselves(running: Running) -> None:
    it, a = running
    of = client(it)
    low = it.new_key("low", "--priority", "low")
    a.behave(path_prefix="/v1/chat", hold="before_headers", times=2)
    batch = begun(of, requests(8))
    until(lambda: waiting(it) == 2)  # four at once, of which the backend takes two
    with ThreadPoolExecutor() as pool:
        mine = pool.submit(it.chat, key=low, messages=[{"role": "user", "content": "me"}])
        until(lambda: waiting(it) == 3)
        a.behave()
        assert mine.result().status_code == 200
    assert ended(of, batch).status == "completed"
    bodies = [json.loads(each["body"]) for each in a.requests()]
    assert [each["messages"][0]["content"] for each in bodies].index("me") in (2, 3)


def test_a_file_may_be_larger_than_a_request_and_is_bounded_by_its_own_setting(
    running: Running,
) -> None:
    it, _ = running
    of = client(it)
    large = os.urandom(40 * 1024**2)
    made = of.files.create(file=("large", large), purpose="batch")
    assert of.files.content(made.id).content == large
    path = it.home / "files" / made.id
    assert path.stat().st_mode & 0o777 == 0o600
    of.files.delete(made.id)
    assert not path.exists()
    connection = http.client.HTTPConnection("127.0.0.1", it.port, timeout=60)
    with contextlib.closing(connection):
        connection.putrequest("POST", "/v1/files")
        for name, value in {**it.headers(), "Content-Length": str(300 * 1024**2)}.items():
            connection.putheader(name, value)
        connection.endheaders()
        answer = connection.getresponse()
        assert answer.status == 413
        assert json.loads(answer.read())["error"]["message"]


def test_nobody_sees_what_another_keys_is_whatever_they_say_of_themselves(
    running: Running,
) -> None:
    it, _ = running
    mine = client(it).files.create(file=("x", b"{}"), purpose="batch")
    other = it.new_key("other")
    lies = {"tenant": "k 0", "key": "test", "entry": "e" * 64, "client": "10.0.0.1"}
    stranger = OpenAI(
        api_key=other,
        base_url=f"{it.url}/v1",
        max_retries=0,
        default_headers={f"X-Infergate-{name}": each for name, each in lies.items()},
    )
    with pytest.raises(openai.NotFoundError):
        stranger.files.retrieve(mine.id)
    made = stranger.files.create(file=("x", b"{}"), purpose="batch")
    assert client(it, other).files.retrieve(made.id) == made
    with pytest.raises(openai.NotFoundError):
        client(it).files.retrieve(made.id)
    for path in ("/v1/files", f"/v1/files/{mine.id}/content", "/v1/batches"):
        assert httpx.get(it.url + path, timeout=60).status_code == 401
        assert it.get(path, key="sk-ig-none").status_code == 401
    assert it.get("/v1/filesx").status_code == 404
    assert it.get("/v1/files/a/b/c").status_code == 404


def test_a_key_in_the_address_goes_no_further_than_nginx(running: Running, told: Path) -> None:
    it, _ = running
    made = client(it).files.create(file=("x", b"{}"), purpose="batch")
    told.unlink()
    query = f"limit=1&key={it.key}&order=asc&purpose=batch&x={it.key}"
    listed = httpx.get(f"{it.url}/v1/files?{query}", timeout=60)
    assert len(listed.json()["data"]) == 1
    file = f"/v1/files/{made.id}"
    assert httpx.get(f"{it.url}{file}?key={it.key}", timeout=60).json()["id"] == made.id
    assert httpx.get(f"{it.url}/v1/batches?key={it.key}&limit=9", timeout=60).status_code == 200
    assert told.read_text().splitlines() == [
        "/v1/files?limit=1&order=asc&purpose=batch",
        f"{file}?",
        "/v1/batches?limit=9",
    ]


def test_requests_for_files_and_batches_are_in_the_log(running: Running) -> None:
    it, _ = running
    answers = [it.get("/v1/files"), it.get("/v1/batches/batch_x"), it.get("/v1/files", key="no")]
    ids = [each.headers["x-infergate-request-id"] for each in answers]

    def lines() -> list[Any]:
        mine = {each["id"]: each for each in it.log()}
        return [mine[each] for each in ids if each in mine] if set(ids) <= set(mine) else []

    seen = [(each["uri"], each["status"], each["attempts"]) for each in until(lines)]
    assert seen == [
        ("/v1/files", 200, []),
        ("/v1/batches/batch_x", 404, []),
        ("/v1/files", 401, []),
    ]
    assert "not found while logging" not in (it.home / "logs" / "error.log").read_text()


def test_the_keys_of_a_team_have_files_together(running: Running) -> None:
    it, _ = running
    it.run("teams", "create", "red")
    one, two = (client(it, it.new_key(each, "--team", "red")) for each in ("one", "two"))
    made = one.files.create(file=("x", b"{}"), purpose="batch")
    assert two.files.content(made.id).content == b"{}"


def test_a_cancelled_batch_closes_the_backends_connections(running: Running) -> None:
    it, a = running
    of = client(it)
    a.behave(path_prefix="/v1/chat", hold="before_headers")
    batch = begun(of, requests(6))
    until(lambda: a.stats()["open"] == 2)
    of.batches.cancel(batch.id)
    assert ended(of, batch).status == "cancelled"
    until(lambda: a.stats()["open"] == 0)
    # One that waited may have got a slot before its turn to be closed came.
    assert a.stats()["served"] == 0
    assert a.stats()["aborted"] == len(a.requests()) >= 2
    a.behave()


def test_a_batch_stops_when_its_key_is_revoked_and_says_so(running: Running) -> None:
    it, a = running
    it.run("teams", "create", "blue")
    key = it.new_key("gone", "--team", "blue")
    colleague = client(it, it.new_key("stays", "--team", "blue"))
    a.behave(path_prefix="/v1/chat", hold="before_headers")
    batch = begun(client(it, key), requests(6))
    until(lambda: a.stats()["open"] == 2)
    name = next(
        each["name"]
        for each in json.loads(it.run("keys", "list", "--json").stdout)
        if each["name"].startswith("gone-")
    )
    it.run("keys", "revoke", name)
    a.behave()
    done = ended(colleague, batch)
    assert done.status == "failed"
    assert done.errors is not None
    assert "revoked" in ((done.errors.data or [])[0].message or "")


def test_a_batch_stops_when_its_keys_budget_is_used_up_and_says_so(running: Running) -> None:
    it, _ = running
    of = client(it, it.new_key("poor", "--budget", "1-requests/day"))
    assert it.chat(key=of.api_key).status_code == 200
    until(lambda: it.chat(key=of.api_key).status_code == 429)
    done = ended(of, begun(of, requests(5)))
    assert done.status == "failed"
    assert done.errors is not None
    (error,) = done.errors.data or []
    assert error.code == "insufficient_quota"
    assert "1-requests" in (error.message or "")


def test_a_batch_goes_on_when_its_key_gets_another_secret(running: Running) -> None:
    it, a = running
    key = it.new_key("rotated")
    name = next(
        each["name"]
        for each in json.loads(it.run("keys", "list", "--json").stdout)
        if each["name"].startswith("rotated-")
    )
    file = client(it, key).files.create(file=("x", requests(6)), purpose="batch")
    new = json.loads(it.run("keys", "rotate", name, "--grace", "0s", "--json").stdout)["key"]
    assert it.get("/v1/files", key=key).status_code == 401
    batch = client(it, new).batches.create(
        input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h"
    )
    assert ended(client(it, new), batch).status == "completed"
    assert a.requests()


@pytest.mark.long
def test_kill_9_of_everything_loses_no_line_and_answers_none_twice(engine: str) -> None:
    with (
        scripted(name="a", models=["m"]) as a,
        gateway(engine, CONFIG.format(a=a.url)) as it,
    ):
        of = client(it)
        a.behave(path_prefix="/v1/chat", delay_s=0.05)
        batch = begun(of, requests(60))
        for answered in (10, 25, 40):
            until(lambda answered=answered: asked(of, batch) >= answered)
            os.kill(process_of(it), signal.SIGKILL)
        until(lambda: asked(of, batch) >= 45)
        kill_9(it)
        it.run("up", "--detach")
        done = ended(of, batch)
        assert done.status == "completed", done.errors
        found = answers(of, done.output_file_id) + answers(of, done.error_file_id)
        assert sorted(each["custom_id"] for each in found) == sorted(f"r{n}" for n in range(60))
        for each in found:
            assert each["response"]["status_code"] == 200
        assert len(a.requests()) <= 60 + 4 * 4, "only what was in flight is asked again"


@pytest.mark.parametrize("engine", ["embedded"], indirect=True)  # beside nginx: one tells as much
def test_the_page_does_what_it_says(
    engine: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    setting, use, later, shown = (
        each for each in blocks(DOCS / "batches.md") if each.kind in ("yaml", "python", "console")
    )
    with (
        scripted(name="a", models=["demo"]) as a,
        gateway(engine, f"backends: {{ a: {a.url} }}\n{setting.text}") as it,
    ):
        monkeypatch.chdir(it.folder)
        monkeypatch.setenv("OPENAI_BASE_URL", f"{it.url}/v1")
        monkeypatch.setenv("OPENAI_API_KEY", it.new_key("writer"))
        read: dict[str, Any] = {}
        exec(use.text, read)
        ended(client(it, os.environ["OPENAI_API_KEY"]), read["batch"])
        capsys.readouterr()
        exec(later.text, read)
        assert len(capsys.readouterr().out.splitlines()) == 4
        assert read["batch"].metadata == {"job": "rhymes"}
        head, row = it.run("batches", "list").stdout.splitlines()
        assert head.split() == shown.text.splitlines()[1].split()
        assert row.split()[0] == read["batch"].id
        assert row.split()[4:8] == ["3", "of", "3", "0"]
        printed = it.run("batches", "show", read["batch"].id).stdout
        assert "rhymes" in printed
        refused = it.run("batches", "cancel", read["batch"].id, check=False)
        assert refused.returncode == 2
        assert "completed" in refused.stderr


def test_an_operator_cancels_a_batch(running: Running) -> None:
    it, a = running
    of = client(it)
    a.behave(path_prefix="/v1/chat", hold="before_headers")
    batch = begun(of, requests(6))
    until(lambda: a.stats()["open"] == 2)
    it.run("batches", "cancel", batch.id)
    assert ended(of, batch).status == "cancelled"
    until(lambda: a.stats()["open"] == 0)
    a.behave()
